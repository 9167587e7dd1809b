"""When frames are shown, and the sound with them, over containers and the traits that move them."""

import shutil
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import pytest
from PIL import Image

from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.video import Choice, load
from evenframe.pipelines.video.source import packets_of
from evenframe.tests.flash_and_beep import (
    FLASHES,
    GAP,
    RATE,
    SECONDS,
    Found,
    found_by_ffmpeg,
    found_in,
    rewritten,
    write,
)

FRAME = 1 / RATE + 0.003  # and what containers round off
KINDS = [
    (ending, b_frames, gap)
    for ending in ("mp4", "mov", "mkv", "webm", "avi", "ts", "gif")
    for b_frames in (False, True)
    for gap in (False, True)
    if not (ending == "gif" and b_frames)
]
Made = Callable[[str, bool, bool], Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Each file is written once."""
    folder = tmp_path_factory.mktemp("times")

    def path(ending: str, b_frames: bool, gap: bool) -> Path:
        file = folder / f"{b_frames:d}{gap:d}.{ending}"
        return file if file.exists() else write(file, b_frames, gap)

    return path


def assert_near(found: Found, wanted: Found) -> None:
    assert found.flashes == pytest.approx(wanted.flashes, abs=FRAME)
    assert found.beeps == pytest.approx(wanted.beeps, abs=FRAME)


@pytest.mark.parametrize(("ending", "b_frames", "gap"), KINDS)
def test_flashes_and_beeps_are_where_they_were_put(
    made: Made, ending: str, b_frames: bool, gap: bool
) -> None:
    clip = load(made(ending, b_frames, gap), Choice(frame_rate=RATE))
    beeps = [] if ending == "gif" else list(FLASHES)
    assert_near(found_in(clip), Found(list(FLASHES), beeps))
    assert float(clip.seconds) == pytest.approx(SECONDS, abs=FRAME)
    assert clip.warnings == ()


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the program ffmpeg is not installed")
@pytest.mark.parametrize(("ending", "b_frames", "gap"), KINDS)
def test_flashes_and_beeps_are_where_ffmpeg_has_them(
    made: Made, ending: str, b_frames: bool, gap: bool
) -> None:
    path = made(ending, b_frames, gap)
    assert_near(found_in(load(path, Choice(frame_rate=RATE))), found_by_ffmpeg(path))


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("b_frames", [False, True])
def test_the_average_rate_follows_from_the_times(made: Made, ending: str, b_frames: bool) -> None:
    clip = load(made(ending, b_frames, True))
    shown = [index for index in range(round(SECONDS * RATE)) if index not in GAP]
    first = clip.timestamps[0]
    assert [time - first for time in clip.timestamps] == pytest.approx(
        [index / RATE for index in shown], abs=2e-3
    )
    wanted = (len(shown) - 1) / (shown[-1] / RATE)
    assert float(clip.frame_rate) == pytest.approx(wanted, rel=5e-3)
    assert any("varies" in line for line in clip.warnings)


@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi"])
def test_skipped_frames_take_their_sound_with_them(made: Made, ending: str) -> None:
    clip = load(made(ending, True, True), Choice(skip=10, frame_rate=RATE))
    assert_near(found_in(clip), Found([0.4, 0.8], [0.4, 0.8]))


def test_times_that_are_those_of_decoding(tmp_path: Path, made: Made) -> None:
    """A file whose presentation times were lost: they jump to and fro."""

    def decoding_only(packet: av.Packet) -> bool:
        packet.pts = packet.dts
        return packet.stream.type == "video"

    path = rewritten(made("mp4", True, False), tmp_path / "a.mp4", decoding_only)
    with av.open(str(path)) as container:
        given = [frame.pts or 0 for frame in container.decode(video=0)]
    assert given != sorted(given)
    clip = load(path, Choice(frame_rate=RATE))
    assert list(clip.timestamps) == sorted(clip.timestamps)
    assert found_in(clip).flashes == pytest.approx(FLASHES, abs=FRAME)


@pytest.mark.parametrize("later", [0, 1000])
def test_joined_files(tmp_path: Path, later: float) -> None:
    """The second begins its clock anew, at the same time again or far ahead, as broadcasts do."""
    write(tmp_path / "a.ts")
    ahead = rewritten(tmp_path / "a.ts", tmp_path / "b.ts", lambda packet: _moved(packet, later))
    joined = tmp_path / "joined.ts"
    joined.write_bytes((tmp_path / "a.ts").read_bytes() + ahead.read_bytes())
    both = [*FLASHES, *(at + SECONDS for at in FLASHES)]
    assert_near(found_in(load(joined, Choice(frame_rate=RATE))), Found(both, both))
    second = load(joined, Choice(skip=round(SECONDS * RATE), frame_rate=RATE))
    assert_near(found_in(second), Found(list(FLASHES), list(FLASHES)))


def _moved(packet: av.Packet, seconds: float) -> bool:
    assert packet.pts is not None and packet.dts is not None
    packet.pts += round(seconds / packet.time_base)
    packet.dts += round(seconds / packet.time_base)
    return True


@pytest.mark.parametrize("b_frames", [False, True])
def test_a_trimmed_file_is_not_cut_short(tmp_path: Path, made: Made, b_frames: bool) -> None:
    """Its header counts the frames that an edit list hides."""

    def later(packet: av.Packet) -> bool:
        _moved(packet, -0.4)
        assert packet.pts is not None
        return packet.stream.type == "video" or packet.pts >= 0

    path = rewritten(made("mov", b_frames, False), tmp_path / "a.mov", later)
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 40
    clip = load(path)
    assert len(clip) == 30 and clip.frame_rate == RATE and clip.warnings == ()
    assert_near(found_in(clip), Found([0.4, 0.8], [0.4, 0.8]))


@pytest.mark.parametrize(
    ("delays", "times", "seconds"),
    [
        ([0, 0, 0, 0], [0, 0.1, 0.2, 0.3], 0.4),
        ([1, 1, 1, 1], [0, 0.1, 0.2, 0.3], 0.4),
        ([2, 2, 2, 2], [0, 0.02, 0.04, 0.06], 0.08),
        ([20, 1, 5, 100], [0, 0.2, 0.3, 0.35], 1.35),
    ],
)
def test_gif_delays_are_those_of_browsers(
    tmp_path: Path, delays: list[int], times: list[float], seconds: float
) -> None:
    """delays: in hundredths of a second, as the file has them."""
    path = tmp_path / "a.gif"
    pictures = [Image.new("L", (16, 16), 60 * index) for index in range(len(delays))]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=10)
    data = bytearray(path.read_bytes())
    place = 0
    for delay in delays:  # graphic control extensions, GIF89a, section 23
        place = data.index(b"\x21\xf9\x04", place) + 4
        data[place : place + 2] = delay.to_bytes(2, "little")
    path.write_bytes(data)
    assert load(path).timestamps == pytest.approx(times)
    assert float(load(path, Choice(frame_rate=100)).seconds) == pytest.approx(seconds)


def test_a_long_gap_costs_no_memory(tmp_path: Path) -> None:
    """Frames that lie far apart are said to; one of them is not repeated without end."""

    def apart(packet: av.Packet) -> bool:
        assert packet.pts is not None and packet.dts is not None
        packet.pts, packet.dts = packet.pts * 10_000, packet.dts * 10_000
        return packet.stream.type == "video"

    path = rewritten(write(tmp_path / "a.mp4"), tmp_path / "a.mkv", apart)
    clip = load(path, Choice(16))
    assert clip.frame_rate == Fraction(1, 400) and "400 s" in clip.warnings[0]
    assert len(load(path, Choice(16, frame_rate=RATE))) == 16
    with pytest.raises(EvenframeError, match="frame_rate is 25.*400 s"):
        load(path, Choice(frame_rate=RATE))
    path = rewritten(tmp_path / "a.mkv", tmp_path / "b.mkv", apart)
    assert float(load(path, Choice(2)).frame_rate) == pytest.approx(1 / 4_000_000, abs=1e-5)


def test_a_stream_that_begins_on_the_way_ends_the_file(made: Made) -> None:
    """PyAV stumbles over it when the file has ended: all packets were given by then."""
    unreadable: list[int] = []
    with av.open(str(made("ts", True, False))) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]

        class Stumbling:
            def demux(self, stream: Any) -> Iterator[av.Packet]:
                yield from packets
                raise IndexError

        given = packets_of(cast(Any, Stumbling()), stream, lambda: unreadable.append(1))
        assert list(given) == packets and unreadable == []
