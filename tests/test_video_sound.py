"""Sound that is damaged, changes on the way, or claims to be longer than anyone can hold."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from evenframe.pipelines.video import Audio, Choice, load

RATE, SOUND_RATE = 10, 48000


def tone(layout: str, rate: int, start: float, seconds: float) -> av.AudioFrame:
    times = np.arange(round(seconds * rate)) / rate
    wave = 0.5 * np.sin(2 * np.pi * 440 * times).astype(np.float32)
    channels = 2 if layout == "stereo" else 1
    frame = av.AudioFrame.from_ndarray(np.stack([wave] * channels), "fltp", layout)
    frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
    frame.pts = round(start * rate)
    return frame


def write(
    path: Path,
    codec: str = "aac",
    sounds: list[av.AudioFrame] | None = None,
    change: Callable[[int, av.Packet], av.Packet] = lambda index, packet: packet,
    times: list[float] | None = None,
) -> Path:
    """A video of a second with a tone. change: gets each packet of sound before it is written."""
    sounds = sounds or [tone("mono", SOUND_RATE, 0, 1)]
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=RATE, options={"bf": "0"})
        stream.width = stream.height = 64
        stream.codec_context.time_base = Fraction(1, 1000)
        voice: Any = container.add_stream(
            codec, rate=sounds[0].sample_rate, layout=sounds[0].layout.name
        )
        for time in times or [index / RATE for index in range(RATE)]:
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8), "rgb24")
            frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        packets = [packet for sound in [*sounds, None] for packet in voice.encode(sound)]
        for index, packet in enumerate(packets):
            container.mux(change(index, packet))
    return path


def damaged(index: int, packet: av.Packet) -> av.Packet:
    """The tenth packet holds what no decoder takes."""
    if index != 10:
        return packet
    no_frames = b"\x03\0" if packet.stream.codec_context.name == "libopus" else b"\xff\xff"
    noise = av.Packet(no_frames * (packet.size // 2))
    noise.pts, noise.dts, noise.duration = packet.pts, packet.dts, packet.duration
    noise.stream, noise.time_base = packet.stream, packet.time_base
    return noise


def sound_of(path: Path, choice: Choice | None = None) -> Audio:
    audio = load(path, choice or Choice()).audio
    assert audio is not None
    return audio


@pytest.mark.parametrize(
    ("name", "codec", "packet"),
    [("a.mp4", "aac", 1024), ("a.mkv", "aac", 1024), ("a.mkv", "libopus", 960)],
)
def test_a_damaged_packet_costs_itself(tmp_path: Path, name: str, codec: str, packet: int) -> None:
    """Silence for as long as the packet, and what follows in its place."""
    whole = sound_of(write(tmp_path / f"whole-{name}", codec)).samples[0]
    path = write(tmp_path / name, codec, change=damaged)
    hurt = sound_of(path).samples[0]
    if codec == "aac":  # a reader takes the other for no packet at all
        assert any("silent" in line for line in load(path).warnings)
    assert len(hurt) == pytest.approx(len(whole), abs=48)  # Matroska rounds to a millisecond
    assert float(whole.abs().unfold(0, 100, 1).amax(1)[2000:-2000].min()) > 0.4
    silent = (hurt[1000:-1000] == 0).nonzero()[:, 0] + 1000
    assert len(silent) == pytest.approx(packet, abs=60)
    assert int(silent[-1] - silent[0]) == pytest.approx(packet, abs=60)
    assert int(silent[0]) == pytest.approx(9.5 * packet, abs=1.5 * packet)
    apart = (hurt[30_000:40_000] - whole[30_000:40_000]).abs().max()
    assert float(apart) < 0.02


@pytest.mark.parametrize(
    ("layout", "rate", "channels"), [("stereo", 48000, 1), ("mono", 44100, 1), ("stereo", 44100, 1)]
)
def test_sound_that_changes_on_the_way(
    tmp_path: Path, layout: str, rate: int, channels: int
) -> None:
    """Joined broadcasts: mono at 48 kHz, then something else."""
    first = write(tmp_path / "a.ts")
    second = write(tmp_path / "b.ts", sounds=[tone(layout, rate, 0, 1)])
    joined = tmp_path / "joined.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    clip = load(joined)
    assert clip.audio is not None and any("changes" in line for line in clip.warnings)
    assert clip.audio.samples.shape[0] == channels and clip.audio.sample_rate == SOUND_RATE
    assert clip.audio.seconds == pytest.approx(2, abs=0.1)
    late = clip.audio.samples[0, round(1.2 * SOUND_RATE) : round(1.8 * SOUND_RATE)]
    assert float(late.abs().max()) == pytest.approx(0.5, abs=0.1)
    crossings = int((late[1:].sign() != late[:-1].sign()).sum())
    assert crossings == pytest.approx(2 * 440 * 0.6, abs=4)


@pytest.fixture
def silences(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many samples of silence are made, each time."""
    made: list[int] = []
    zeros = torch.zeros

    def counted(*size: int, **options: Any) -> torch.Tensor:
        made.append(int(np.prod(size)))
        return zeros(*size, **options)

    monkeypatch.setattr("evenframe.pipelines.video.sound.torch.zeros", counted)
    yield made


def test_no_silence_is_made_for_what_has_no_sound(tmp_path: Path, silences: list[int]) -> None:
    """Frames an hour apart, and a second of sound at the beginning."""
    path = write(tmp_path / "a.mkv", times=[3600.0 * index for index in range(4)])
    assert sound_of(path).seconds == pytest.approx(1, abs=0.05)
    assert sum(silences) < SOUND_RATE


def test_a_pause_of_an_hour_ends_the_sound(tmp_path: Path, silences: list[int]) -> None:
    sounds = [tone("mono", SOUND_RATE, at, 1) for at in (0, 3600)]
    times = [3600.0 * index for index in range(4)]
    path = write(tmp_path / "a.mkv", "pcm_s16le", sounds, times=times)
    clip = load(path)
    assert clip.audio is not None and clip.audio.seconds == pytest.approx(1, abs=0.05)
    assert any("silent for 3599 s" in line for line in clip.warnings)
    assert sum(silences) < SOUND_RATE
    late = load(path, Choice(skip=1))
    assert late.audio is not None and late.audio.seconds == pytest.approx(1, abs=0.05)


def test_a_short_pause_is_kept(tmp_path: Path) -> None:
    sounds = [tone("mono", SOUND_RATE, at, 0.2) for at in (0, 0.6)]
    audio = sound_of(write(tmp_path / "a.mkv", "pcm_s16le", sounds))
    loud = audio.samples[0].abs() > 0.1
    assert not bool(loud[round(0.21 * SOUND_RATE) : round(0.59 * SOUND_RATE)].any())
    assert bool(loud[round(0.61 * SOUND_RATE) :].any())


def test_sound_has_a_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evenframe.pipelines.video.sound.MOST_SAMPLES", SOUND_RATE // 2)
    clip = load(write(tmp_path / "a.mkv"))
    assert clip.audio is not None and 0.4 < clip.audio.seconds <= 0.6
    assert any("of the sound were kept" in line for line in clip.warnings)
