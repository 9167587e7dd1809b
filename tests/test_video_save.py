"""Writing video files and reading them back."""

import json
import math
import resource
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch import Tensor

from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.video import (
    Audio,
    load,
    log_metadata,
    read_metadata,
    save,
    workflow_metadata,
)
from evenframe.pipelines.video.film import Film, Shot
from evenframe.pipelines.video.metadata import LOG_BYTES

ENDINGS = ["mp4", "mov", "mkv", "webm", "gif"]


def frames_of(count: int = 10, height: int = 64, width: int = 96) -> Tensor:
    """A slow gradient over a moving square: (f, h, w, 3)."""
    frames = torch.linspace(0.2, 0.8, width)[None, None, :, None].repeat(count, height, 1, 3)
    for index in range(count):
        frames[index, 20:40, 5 * index : 5 * index + 20] = torch.tensor([0.9, 0.2, 0.1])
    return frames


def tone(seconds: float = 3, rate: int = 48000, channels: int = 2) -> Audio:
    time = torch.arange(round(seconds * rate)) / rate
    return Audio(0.5 * torch.sin(2 * math.pi * 440 * time).repeat(channels, 1), rate)


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_saved_is_loaded(tmp_path: Path, ending: str) -> None:
    frames, path = frames_of(), tmp_path / f"a.{ending}"
    done: list[int] = []
    assert save(path, frames, 10, tone(), on_frame=done.append) == path
    assert done == list(range(1, 11)) and [p.name for p in tmp_path.iterdir()] == [path.name]
    clip = load(path)
    assert clip.frames.shape == frames.shape and clip.frame_rate == 10 and clip.warnings == ()
    limit = 0.03 if ending == "gif" else 0.012  # 256 colours; chroma at half the size
    assert float((clip.frames - frames).abs().mean()) < limit
    assert float((clip.frames.mean((0, 1, 2)) - frames.mean((0, 1, 2))).abs().max()) < 0.01
    if ending == "gif":
        assert clip.audio is None
    else:
        assert clip.audio is not None and clip.audio.samples.shape == (2, 48000)
        assert float(clip.audio.samples[:, 2000:-2000].abs().max()) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("ending", ENDINGS)
def test_same_input_same_bytes(tmp_path: Path, ending: str) -> None:
    for name in ("a", "b"):
        save(tmp_path / f"{name}.{ending}", frames_of(), 10, tone(), workflow_metadata({"1": {}}))
    first, second = ((tmp_path / f"{name}.{ending}").read_bytes() for name in ("a", "b"))
    assert first == second


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(10, 3), Fraction(1), 60])
@pytest.mark.parametrize("ending", ["mp4", "webm"])
def test_rates_survive(tmp_path: Path, ending: str, rate: Fraction) -> None:
    clip = load(save(tmp_path / f"a.{ending}", frames_of(), rate, tone(12, 22050, 1)))
    assert clip.frame_rate == rate and len(clip) == 10
    assert clip.audio is not None
    assert clip.audio.seconds == pytest.approx(min(12, 10 / rate), abs=0.05)


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_workflow_and_the_disclosure_travel(tmp_path: Path, ending: str) -> None:
    text = 'a "}" b {{ é \N{DOLPHIN}'
    prompt = {"1": {"class_type": "EvenframeLoadVideo", "inputs": {"text": text}}}
    workflow = {"nodes": [{"id": 1, "widgets_values": ["}" * 300]}], "links": []}
    fields = workflow_metadata(prompt, {"workflow": workflow})
    path = save(tmp_path / f"a.{ending}", frames_of(2), 10, metadata=fields)
    read = read_metadata(path)
    assert json.loads(read["prompt"]) == prompt and json.loads(read["workflow"]) == workflow
    assert "generative AI" in read["comment"]
    assert read["digital_source_type"].endswith("/compositeWithTrainedAlgorithmicMedia")
    if ending in ("mp4", "mov"):
        assert "Iptc4xmpExt:DigitalSourceType" in read["xmp"]
        assert "compositeWithTrainedAlgorithmicMedia" in read["xmp"]
    assert len(load(path)) == 2


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_field_takes_the_place_of_the_disclosure(tmp_path: Path, ending: str) -> None:
    fields = workflow_metadata(extra={"comment": "filmed", "digital_source_type": "camera"})
    path = save(tmp_path / f"a.{ending}", frames_of(2), 10, metadata=fields)
    read = read_metadata(path)
    assert "generative AI" in read["comment"]
    assert read["digital_source_type"].endswith("/compositeWithTrainedAlgorithmicMedia")


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_log_travels_as_it_was_given(tmp_path: Path, ending: str) -> None:
    lines = 'two\nlines, {"index": 3, "attribute": "é \N{DOLPHIN} }"}'
    longest = lines + "x" * (LOG_BYTES - len(lines.encode()))
    for number, log in enumerate((lines, longest)):
        fields = workflow_metadata({"1": {}}) | log_metadata(log)
        read = read_metadata(save(tmp_path / f"{number}.{ending}", frames_of(2), 10, None, fields))
        assert read["evenframe_log"] == log
        assert read["prompt"] == '{"1": {}}' and "generative AI" in read["comment"]


def test_a_log_that_no_file_can_hold_is_refused() -> None:
    assert log_metadata("") == {}
    message = f"^The log has {LOG_BYTES + 1} bytes: a file takes at most {LOG_BYTES}. Save without"
    with pytest.raises(EvenframeError, match=message):
        log_metadata("é" * (LOG_BYTES // 2) + "x")
    for log in ("a\0b", "a\ud83d"):
        with pytest.raises(EvenframeError, match="^The log has characters that no file can hold"):
            log_metadata(log)


def test_without_disclosure(tmp_path: Path) -> None:
    path = save(tmp_path / "a.mp4", frames_of(2), 10, disclose=False)
    assert not {"comment", "digital_source_type", "xmp"} & set(read_metadata(path))


def test_the_editor_finds_the_workflow_in_an_mp4(tmp_path: Path) -> None:
    """ComfyUI's editor looks in moov/udta/meta for keys and values, near the beginning."""
    path = save(tmp_path / "a.mp4", frames_of(2), 10, metadata={"workflow": '{"nodes": []}'})
    data = path.read_bytes()
    places = [data.index(name) for name in (b"moov", b"udta", b"meta", b"keys", b"workflow")]
    assert places == sorted(places)
    assert data.index(b'{"nodes": []}') < data.index(b"mdat")


def test_the_editor_finds_the_workflow_in_a_webm(tmp_path: Path) -> None:
    """It counts braces, those inside strings too: ours must balance."""
    fields = workflow_metadata(None, {"workflow": {"text": "}{{", "nodes": []}})
    path = save(tmp_path / "a.webm", frames_of(2), 10, metadata=fields)
    data = path.read_bytes()
    start = data.index(b"{", data.index(b"WORKFLOW"))
    depth, end = 0, start
    while True:
        depth += {b"{": 1, b"}": -1}.get(data[end : end + 1], 0)
        end += 1
        if depth == 0:
            break
    assert json.loads(data[start:end]) == {"text": "}{{", "nodes": []}


def test_odd_sizes(tmp_path: Path) -> None:
    notes: list[str] = []
    frames = frames_of(2, 63, 97)
    path = save(tmp_path / "a.mp4", frames, 10, on_note=notes.append)
    assert load(path).frames.shape == (2, 64, 98, 3)
    assert len(notes) == 1 and "97x63" in notes[0] and "98x64" in notes[0]
    notes.clear()
    assert load(save(tmp_path / "a.webm", frames, 10, on_note=notes.append)).frames.shape == (
        2, 63, 97, 3,
    )  # fmt: skip
    assert load(save(tmp_path / "a.gif", frames, 10, on_note=notes.append)).height == 63
    assert notes == []


def test_one_frame_is_a_video(tmp_path: Path) -> None:
    for ending in ENDINGS:
        path = save(tmp_path / f"a.{ending}", frames_of(1), 10, tone(1))
        assert len(load(path)) == 1, ending


def test_players_are_told_the_colours(tmp_path: Path) -> None:
    for ending in ("mp4", "webm"):
        with av.open(str(save(tmp_path / f"a.{ending}", frames_of(2), 10))) as container:
            stream = container.streams.video[0]
            assert (stream.colorspace, stream.color_primaries, stream.color_trc) == (1, 1, 1)
            assert stream.color_range == 1 and stream.pix_fmt == "yuv420p"


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"precious")
    with pytest.raises(EvenframeError, match="never overwritten"):
        save(path, frames_of(2), 10)
    assert path.read_bytes() == b"precious" and len(list(tmp_path.iterdir())) == 1


class Interrupt(BaseException):
    """As a host's interrupt: not an Exception."""


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_interrupt_leaves_no_file(tmp_path: Path, ending: str) -> None:
    def on_frame(done: int) -> None:
        if done == 3:
            raise Interrupt

    with pytest.raises(Interrupt):
        save(tmp_path / f"a.{ending}", frames_of(), 10, tone(), on_frame=on_frame)
    assert list(tmp_path.iterdir()) == []
    save(tmp_path / f"a.{ending}", frames_of(2), 10)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("room", [0.0, 0.5, 0.99])
def test_a_full_disk_leaves_no_file(tmp_path: Path, ending: str, room: float) -> None:
    """A limit on the size of files fails as a full disk does, at the same calls."""
    frames = torch.rand(6, 64, 96, 3, generator=torch.Generator().manual_seed(0))
    whole = save(tmp_path / f"whole.{ending}", frames, 10).stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(whole * room), hard))
    try:
        with pytest.raises(EvenframeError, match="disk is full"):
            save(tmp_path / f"a.{ending}", frames, 10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == [f"whole.{ending}"]


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("a.avi", {}, "use .mp4"),
        ("a", {}, "ending"),
        ("absent/a.mp4", {}, "No such file or directory. Check the name and the folder"),
        ("a.mp4", {"crf": 52}, "crf is 52"),
        ("a.webm", {"crf": -1}, "0 .best. to 63"),
        ("a.mp4", {"frame_rate": 0}, "frame rate is 0"),
        ("a.mp4", {"frames": torch.rand(0, 8, 8, 3)}, "at least one frame"),
        ("a.mp4", {"frames": torch.full((1, 8, 8, 3), float("nan"))}, "Frame 0"),
        ("a.mp4", {"audio": Audio(torch.full((1, 99), float("nan")), 8000)}, "sound"),
    ],
)
def test_what_cannot_be_saved(tmp_path: Path, name: str, arguments: dict, words: str) -> None:
    given = {"frames": frames_of(2), "frame_rate": 10, **arguments}
    with pytest.raises(EvenframeError, match=words):
        save(tmp_path / name, **given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("channels", "rate", "kept"), [(1, 44056, 1), (4, 8000, 2), (6, 48000, 6)])
def test_unusual_sound(tmp_path: Path, channels: int, rate: int, kept: int) -> None:
    notes: list[str] = []
    for ending in ("mp4", "webm"):
        sound = tone(1, rate, channels)
        path = save(tmp_path / f"a.{ending}", frames_of(), 10, sound, on_note=notes.append)
        audio = load(path).audio
        assert audio is not None and audio.samples.shape[0] == kept
        assert audio.seconds == pytest.approx(1, abs=0.03)
    assert bool(notes) == (kept != channels)


def test_quality_can_be_chosen(tmp_path: Path) -> None:
    frames = torch.rand(4, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    sizes = [
        save(tmp_path / f"{crf}.mp4", frames, 10, crf=crf).stat().st_size for crf in (0, 20, 45)
    ]
    assert sizes[0] > sizes[1] > sizes[2]


def test_sound_stays_with_the_pictures(tmp_path: Path) -> None:
    """A flash and a beep at the same moment, saved, loaded, and saved again."""
    frames = torch.full((20, 64, 64, 3), 0.1)
    frames[12] = 0.9
    samples = torch.zeros(1, 32000)
    samples[:, 19200:20800] = tone(0.1, 16000, 1).samples
    audio: Audio | None = Audio(samples, 16000)
    for turn in range(3):
        clip = load(save(tmp_path / f"{turn}.mp4", frames, 10, audio))
        frames, audio = clip.frames, clip.audio
        assert audio is not None
        beep = int((audio.samples[0].abs() > 0.1).nonzero()[0]) / audio.sample_rate
        assert int(frames.mean((1, 2, 3)).argmax()) == 12 and beep == pytest.approx(1.2, abs=0.02)


def test_a_gif_of_frames_closer_than_it_can_tell_apart(tmp_path: Path) -> None:
    pixels = [np.full((16, 16, 3), 40 * index, np.uint8) for index in range(5)]
    shots = [Shot(each, Fraction(3 * index, 1000)) for index, each in enumerate(pixels)]
    film = Film((16, 16), Fraction(30), lambda: iter(shots), Fraction(1, 1000))
    assert len(load(save(tmp_path / "a.gif", film))) == 5
