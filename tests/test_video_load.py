"""Reading video files, each written here with the trait that it tests."""

import os
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.video import Choice, load

RATE = 10
CLIPS = Path(__file__).resolve().parents[2] / "shared" / "clips"


def grey_of(index: int) -> int:
    """The brightness that tells a frame from the others."""
    return 40 + 12 * (index % 14)


def picture(index: int, width: int, height: int) -> np.ndarray:
    """A grey frame, its brightness its number, with a red corner at the top left."""
    frame = np.full((height, width, 3), grey_of(index), np.uint8)
    frame[: height // 4, : width // 4] = (220, 30, 30)
    return frame


def write_video(
    path: Path,
    count: int = 12,
    *,
    size: tuple[int, int] = (96, 64),
    codec: str = "libx264",
    pixels: str = "yuv420p",
    times: list[float] | None = None,
    sound: Callable[[np.ndarray], np.ndarray] | None = None,
    prepare: Callable[[Any], None] = lambda stream: None,
    draw: Callable[[int, int, int], np.ndarray] = picture,
    options: dict[str, str] | None = None,
) -> Path:
    """A file of numbered frames. times: seconds, for frames that are not evenly spaced."""
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream: Any = container.add_stream(codec, rate=RATE, options=options or {})
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        prepare(stream)
        voice: Any = container.add_stream("aac", rate=16000, layout="mono") if sound else None
        for index in range(count):
            array = draw(index, *size)
            layout = {2: "gray", 3: "rgb24", 4: "rgba"}[
                array.ndim if array.ndim == 2 else array.shape[2]
            ]
            frame = av.VideoFrame.from_ndarray(array, format=layout)
            if times is None:
                frame.pts = index
            else:
                frame.pts, frame.time_base = round(times[index] * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if voice is not None and sound is not None:
            samples = sound(np.arange(16000 * count // RATE) / 16000).astype(np.float32)
            tone = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
            tone.sample_rate, tone.pts = 16000, 0
            container.mux(voice.encode(tone))
            container.mux(voice.encode(None))
    return path


def numbers(frames: torch.Tensor) -> list[int]:
    """Which frame each is, from the brightness of its lower right corner."""
    height, width = frames.shape[1:3]
    grey = frames[:, height // 2 :, width // 2 :].mean(dim=(1, 2, 3)) * 255
    return [round((float(value) - 40) / 12) for value in grey]


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mov", "libx264", "yuv420p"),
        ("a.mkv", "libx264", "yuv420p"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.gif", "gif", "rgb8"),
    ],
)
def test_every_container_gives_its_frames(
    tmp_path: Path, name: str, codec: str, pixels: str
) -> None:
    clip = load(write_video(tmp_path / name, codec=codec, pixels=pixels))
    assert clip.frames.shape == (12, 64, 96, 3)
    assert clip.frames.dtype == torch.float32 and clip.frames.is_contiguous()
    assert clip.frames.min() >= 0 and clip.frames.max() <= 1
    assert clip.frame_rate == RATE
    assert clip.timestamps == pytest.approx([index / RATE for index in range(12)], abs=1e-3)
    assert clip.audio is None and clip.warnings == () and clip.source == name
    if pixels != "rgb8":  # a GIF of fixed colours is dithered: not exact
        assert numbers(clip.frames) == list(range(12))
    red = clip.frames[0, 4, 4]
    assert red[0] > 0.75 and red[1] < 0.25 and red[2] < 0.25


def test_cap_skip_and_stride(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")
    clip = load(path, Choice(3, skip=2, stride=3))
    assert numbers(clip.frames) == [2, 5, 8]
    assert clip.frame_rate == Fraction(10, 3)
    assert clip.timestamps == pytest.approx((0.2, 0.5, 0.8))
    assert numbers(load(path, Choice(skip=11)).frames) == [11]
    assert load(path, Choice(skip=11)).frame_rate == RATE


def test_one_frame(tmp_path: Path) -> None:
    clip = load(write_video(tmp_path / "a.mp4", 1))
    assert len(clip) == 1 and clip.frame_rate == RATE and clip.warnings == ()


def test_target_rate_follows_the_times(tmp_path: Path) -> None:
    """Half a second at 10 a second, then half a second at 4: each look shows what was on."""
    times = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0]
    path = write_video(tmp_path / "a.mkv", 8, times=times)
    assert numbers(load(path, Choice(frame_rate=8)).frames)[:8] == [0, 1, 2, 3, 5, 5, 6, 6]
    slower = load(path, Choice(frame_rate=4))
    assert numbers(slower.frames)[:4] == [0, 2, 5, 6] and slower.frame_rate == 4
    even = load(write_video(tmp_path / "b.mp4", 12), Choice(frame_rate=5))
    assert numbers(even.frames) == [0, 2, 4, 6, 8, 10]
    doubled = load(tmp_path / "b.mp4", Choice(3, 1, 2, 20))
    assert numbers(doubled.frames) == [0, 1, 2] and doubled.frame_rate == 10


def test_variable_rate_keeps_the_span_and_says_so(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.2, 0.3, 0.4, 0.8, 1.2, 1.6]
    clip = load(write_video(tmp_path / "a.mkv", 8, times=times))
    assert len(clip) == 8 and clip.timestamps == pytest.approx(times)
    assert float(clip.frame_rate) == pytest.approx(7 / 1.6, rel=1e-2)
    assert any("varies" in line for line in clip.warnings)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm"])
def test_sound_belongs_to_the_kept_frames(tmp_path: Path, name: str) -> None:
    """A second of silence, a second of tone, a second of silence."""

    def sound(seconds: np.ndarray) -> np.ndarray:
        heard = (seconds >= 1) & (seconds < 2)
        return 0.5 * np.sin(2 * np.pi * 440 * seconds) * heard

    codec = "libx264"
    if name.endswith("webm"):
        name, codec = "a.mkv", "libvpx-vp9"
    path = write_video(tmp_path / name, 30, sound=sound, codec=codec)
    clip = load(path, Choice(10, skip=5, stride=2))
    assert clip.frame_rate == 5 and clip.seconds == 2
    assert clip.audio is not None and clip.audio.sample_rate == 16000
    samples = clip.audio.samples[0]
    assert samples.shape[0] == 32000
    loud = samples.abs() > 0.1
    first, last = (int(index) for index in loud.nonzero()[[0, -1], 0])
    assert first == pytest.approx(8000, abs=400) and last == pytest.approx(24000, abs=400)
    assert load(path, audio=False).audio is None


def test_sound_that_starts_late_is_preceded_by_silence(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        voice: Any = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        for index in range(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(index, 64, 64))))
        container.mux(stream.encode(None))
        tone = av.AudioFrame.from_ndarray(np.full((1, 4000), 9000, np.int16), "s16", "mono")
        tone.sample_rate, tone.pts, tone.time_base = 8000, 4000, Fraction(1, 8000)
        container.mux(voice.encode(tone))
        container.mux(voice.encode(None))
    audio = load(path).audio
    assert audio is not None and audio.samples.shape == (1, 8000)
    assert float(audio.samples[:, :3990].abs().max()) == 0
    assert float(audio.samples[:, 4010:].min()) > 0.2


@pytest.mark.parametrize(
    ("turn", "corner"), [(0, "tl"), (90, "bl"), (180, "br"), (270, "tr"), ("flip", "tr")]
)
def test_frames_come_upright(tmp_path: Path, turn: int | str, corner: str) -> None:
    def prepare(stream: Any) -> None:
        if turn == "flip":
            stream.set_display_rotation(0, hflip=True)
        elif turn:
            stream.set_display_rotation(float(turn))

    frames = load(write_video(tmp_path / "a.mp4", 2, prepare=prepare)).frames
    assert frames.shape[1:3] == ((96, 64) if turn in (90, 270) else (64, 96))
    spots = {"tl": (4, 4), "tr": (4, -5), "bl": (-5, 4), "br": (-5, -5)}
    for name, (row, column) in spots.items():
        red, green = frames[0, row, column, :2]
        assert (red - green > 0.4) == (name == corner), name


def test_frames_come_as_players_turn_them(tmp_path: Path) -> None:
    """The same turn as ComfyUI's own loader and PyAV's `rotation`: counter-clockwise."""
    path = write_video(tmp_path / "a.mp4", 1, prepare=lambda s: s.set_display_rotation(90))
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        turned = np.rot90(frame.to_ndarray(format="rgb24"), k=frame.rotation // 90)
    assert np.abs(load(path).frames[0].numpy() * 255 - turned).mean() < 2


def test_deep_colour_keeps_its_steps(tmp_path: Path) -> None:
    """More shades of grey than 8 bits have."""

    def draw(index: int, width: int, height: int) -> np.ndarray:
        ramp = np.linspace(20000, 30000, width).astype(np.uint16)
        return np.broadcast_to(ramp[None, :, None], (height, width, 3)).copy()

    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 512, 16, "yuv444p10le"
        frame = av.VideoFrame.from_ndarray(draw(0, 512, 16), format="rgb48le")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    row = load(path).frames[0, 8, :, 1]
    assert row.unique().numel() > 100  # 8 bits have 39 in this range
    assert row[0] == pytest.approx(20000 / 65535, abs=0.005)
    assert row[-1] == pytest.approx(30000 / 65535, abs=0.005)


def test_transparent_pixels_are_put_on_black(tmp_path: Path) -> None:
    def draw(index: int, width: int, height: int) -> np.ndarray:
        frame = np.full((height, width, 4), 200, np.uint8)
        frame[:, : width // 2, 3] = 0
        return frame

    path = write_video(tmp_path / "a.mov", 1, codec="qtrle", pixels="argb", draw=draw)
    clip = load(path)
    assert float(clip.frames[:, :, :40].max()) == 0
    assert any("transparent" in line for line in clip.warnings)


def test_odd_sizes_and_full_range(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", 2, size=(97, 63), codec="ffv1", pixels="yuv444p")
    assert load(path).frames.shape == (2, 63, 97, 3)
    full = write_video(tmp_path / "b.mkv", 2, codec="mjpeg", pixels="yuvj420p")
    assert numbers(load(full).frames) == [0, 1]


def test_pixels_become_square(tmp_path: Path) -> None:
    def prepare(stream: Any) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    clip = load(write_video(tmp_path / "a.mp4", 1, prepare=prepare))
    assert clip.frames.shape[1:3] == (64, 128)
    assert any("square" in line for line in clip.warnings)


def test_interlaced_frames_are_made_whole(tmp_path: Path) -> None:
    """Lines of two moments are combed: lines then differ from both their neighbours."""

    def draw(index: int, width: int, height: int) -> np.ndarray:
        frame = np.zeros((height, width, 3), np.uint8)
        for field in (0, 1):
            edge = 10 + 12 * index + 6 * field
            frame[field::2, edge : edge + 30] = 255
        return frame

    def combing(frames: torch.Tensor) -> float:
        lines = frames.mean(-1)
        middle, around = lines[:, 1:-1], (lines[:, :-2] + lines[:, 2:]) / 2
        return float((middle - around).abs().mean())

    flags = {"flags": "+ildct+ilme", "x264-params": "tff=1"}
    path = write_video(tmp_path / "a.mkv", 6, draw=draw, options=flags)
    clip = load(path)
    with av.open(str(path)) as container:
        woven = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(clip) == 6 and any("interlaced" in line for line in clip.warnings)
    assert combing(clip.frames) < combing(torch.from_numpy(np.stack(woven)) / 255) / 4


def test_interlaced_frames_may_begin_late_and_change_their_size(tmp_path: Path) -> None:
    """Joined broadcasts: each part is deinterlaced by itself."""

    def draw(index: int, width: int, height: int) -> np.ndarray:
        frame = np.full((height, width, 3), grey_of(index), np.uint8)
        frame[::2, : width // 2] = 255
        return frame

    flags = {"flags": "+ildct+ilme", "x264-params": "tff=1"}
    parts = [
        write_video(tmp_path / "a.ts", 4),
        write_video(tmp_path / "b.ts", 4, draw=draw, options=flags),
        write_video(tmp_path / "c.ts", 4, draw=draw, options=flags, size=(128, 64)),
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    clip = load(joined)
    assert 10 <= len(clip) <= 12 and any("interlaced" in line for line in clip.warnings)
    lines = clip.frames[:, 8:-8, 8:24].mean((2, 3))
    combed = (lines[:, 1:] - lines[:, :-1]).abs().mean(1)
    assert float(combed.max()) < 0.1


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.gif"])
def test_a_file_cut_short_gives_what_decodes(tmp_path: Path, name: str) -> None:
    def draw(index: int, width: int, height: int) -> np.ndarray:
        return np.random.default_rng(index).integers(0, 255, (height, width, 3), np.uint8)

    codec = {"webm": "libvpx-vp9", "gif": "gif"}.get(name[2:], "libx264")
    pixels = "rgb8" if name.endswith("gif") else "yuv420p"
    path = write_video(tmp_path / name, 30, codec=codec, pixels=pixels, draw=draw)
    assert load(path).warnings == ()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    clip = load(path)
    assert 5 <= len(clip) <= 25
    assert "cut short" in clip.warnings[0]
    assert load(path, Choice(4)).warnings == ()  # the missing part was not asked for


def test_damage_in_the_middle_is_left_out(tmp_path: Path) -> None:
    def draw(index: int, width: int, height: int) -> np.ndarray:
        return np.random.default_rng(index).integers(0, 255, (height, width, 3), np.uint8)

    path = write_video(tmp_path / "a.mp4", 30, draw=draw)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = b"\xaa" * 4000
    path.write_bytes(data)
    clip = load(path)
    assert 25 <= len(clip) <= 30
    assert len(clip) == 30 or "damaged" in clip.warnings[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"skip": 12}, ("No frames are left", "skip is 12", "12 frames")),
        ({"skip": 99, "frame_rate": 5}, ("No frames are left",)),
        ({"skip": -1}, ("skip is -1",)),
        ({"stride": 0}, ("stride is 0", "from 1 up")),
        ({"max_frames": -2}, ("max_frames is -2",)),
        ({"frame_rate": -5}, ("frame rate is -5",)),
        ({"frame_rate": 2000}, ("at most 1000",)),
        ({"frame_rate": float("nan")}, ("not a number",)),
    ],
)
def test_choices_out_of_range(
    tmp_path: Path, arguments: dict[str, float], words: tuple[str, ...]
) -> None:
    path = write_video(tmp_path / "a.mp4")
    with pytest.raises(EvenframeError) as caught:
        load(path, Choice(**arguments))  # type: ignore[arg-type]
    first = str(caught.value).splitlines()[0]
    assert all(word in first for word in words), first


def test_what_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(EvenframeError, match="No such file"):
        load(tmp_path / "absent.mp4")
    with pytest.raises(EvenframeError, match="folder"):
        load(tmp_path)
    video = write_video(tmp_path / "a.mkv")
    others = {
        "text.txt": b"no video at all\n" * 50,
        "text.mp4": b"no video at all\n" * 50,
        "empty.mp4": b"",
        "list.m3u8": f"#EXTM3U\n#EXTINF:1,\n{video}\n#EXT-X-ENDLIST\n".encode(),
        "list.mp4": f"ffconcat version 1.0\nfile '{video}'\n".encode(),
    }
    for name, data in others.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(EvenframeError, match="not a video|No frame of"):
            load(tmp_path / name)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        voice: Any = container.add_stream("aac", rate=16000, layout="mono")
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), "fltp", "mono")
        tone.sample_rate = 16000
        container.mux(voice.encode(tone))
        container.mux(voice.encode(None))
    with pytest.raises(EvenframeError, match="no video in it"):
        load(path)


class Interrupt(BaseException):
    """As a host's interrupt: not an Exception."""


def open_files() -> set[str]:
    return {os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")}


@pytest.mark.parametrize("arguments", [{}, {"skip": 100}, {"frame_rate": 3}])
def test_an_interrupt_passes_and_closes_the_file(tmp_path: Path, arguments: dict[str, Any]) -> None:
    path = write_video(tmp_path / "a.mp4", 40)
    seen: list[int] = []

    def on_frame(count: int) -> None:
        seen.append(count)
        if count == 5:
            raise Interrupt

    with pytest.raises(Interrupt):
        load(path, Choice(**arguments), on_frame=on_frame)
    assert seen == [1, 2, 3, 4, 5]
    if sys.platform == "linux":
        assert str(path) not in open_files()
    assert len(load(path)) == 40


def test_memory_grows_with_the_frames_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long file, few frames kept: few frames are converted, and decoding stops when it may."""
    from evenframe.pipelines.video import pixels

    path = write_video(tmp_path / "a.mp4", 600, size=(256, 256))
    frame_bytes = 256 * 256 * 3
    read: list[int] = []
    original = pixels.PixelReader.read

    def counted(self: pixels.PixelReader, frame: Any) -> np.ndarray:
        read.append(1)
        return original(self, frame)

    monkeypatch.setattr(pixels.PixelReader, "read", counted)
    decoded: list[int] = []
    tracemalloc.start()
    clip = load(path, Choice(skip=100, stride=100), on_frame=decoded.append)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(clip) == len(read) == 5 and len(decoded) == 600
    assert peak < 40 * frame_bytes  # of 600 frames
    decoded.clear()
    assert len(load(path, Choice(8), on_frame=decoded.append)) == 8
    assert len(decoded) == 8


def test_loading_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", size=(98, 70))
    assert torch.equal(load(path).frames, load(path).frames)


@pytest.fixture(scope="module")
def real_clips() -> Iterator[Path]:
    if not CLIPS.is_dir():
        pytest.skip(f"the real clips are not at {CLIPS}")
    yield CLIPS


@pytest.mark.parametrize(
    ("name", "size", "count", "rate"),
    [
        ("dolphins-swimming", (768, 448), 16, 10),
        ("hares-grazing", (768, 448), 16, 10),
        ("birds-standing", (768, 448), 16, 10),
        ("woman-running", (512, 512), 120, 20),
        ("man-surfing", (656, 656), 72, 24),
    ],
)
def test_real_clips(
    real_clips: Path, name: str, size: tuple[int, int], count: int, rate: int
) -> None:
    path = real_clips / f"{name}.mp4"
    decoded: list[int] = []
    clip = load(path, Choice(stride=3), on_frame=decoded.append)
    assert len(decoded) == count and len(clip) == -(-count // 3)
    assert (clip.width, clip.height) == size
    assert clip.frame_rate == Fraction(rate, 3) and clip.warnings == ()
    assert float(clip.frames.std()) > 0.05
