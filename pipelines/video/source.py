"""Open a video file and give its frames one after the other, each with its time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import EvenframeError

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

# Real containers only: a text file is no video, and a playlist could make the reader open others.
FORMATS = "mov,mp4,matroska,webm,gif,avi,mpegts,mpeg,flv,ogg,asf,mxf,apng,nut,h264,hevc,m4v"
FALLBACK_RATE = Fraction(24)


class Timed(NamedTuple):
    """A frame, when it is shown and for how long, in seconds of the file's clock."""

    frame: Any  # a decoded av.VideoFrame, or what stands for a frame
    time: Fraction
    duration: Fraction


@dataclass
class Findings:
    """What reading a file brought to light; filled in while its frames go by."""

    decoded: int = 0
    broken: int = 0
    ended: bool = False  # the end of the file was reached
    cut_short: bool = False
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def warnings(self) -> tuple[str, ...]:
        lines = list(self.notes)
        if self.cut_short:
            lines.insert(
                0, f"The file is cut short: only its first {self.decoded} frames could be decoded."
            )
        elif self.broken:
            lines.insert(0, f"{self.broken} damaged piece(s) of the video were left out.")
        return tuple(lines)


@contextmanager
def opened(path: Path, options: dict[str, str] | None = None) -> Iterator["InputContainer"]:
    """The file, open for reading, and closed whatever happens.

    Raises EvenframeError when there is no such file or it is not a video.
    """
    import av
    from av.error import FFmpegError

    if not path.exists():
        raise EvenframeError(f"No such file: '{path}'. Check the name and the folder.")
    if not path.is_file():
        raise EvenframeError(f"'{path}' is a folder: give a video file in it.")
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "file", **(options or {})}
    try:
        container = av.open(str(path.resolve()), options=options, metadata_errors="replace")
    except PermissionError as error:
        raise EvenframeError(f"'{path.name}' may not be read: check its permissions.") from error
    except FFmpegError as error:
        raise EvenframeError(
            f"'{path.name}' is not a video that can be read, or its beginning or end is missing: "
            f"give an mp4, mov, mkv, webm or gif file. ({error.strerror})"
        ) from error
    with container:
        yield container


def video_stream(container: "InputContainer", path: Path) -> "VideoStream":
    """The first moving picture of the file; a cover picture is none."""
    from av.stream import Disposition

    for stream in container.streams.video:
        if stream.codec_context is None:  # no decoder for it: touching its packets would crash
            continue
        if not stream.disposition & Disposition.attached_pic:
            stream.thread_type = "AUTO"
            return stream
    raise EvenframeError(
        f"'{path.name}' has no video in it that can be decoded: "
        "give an mp4, mov, mkv, webm or gif file."
    )


def nominal_rates(stream: "VideoStream") -> list[Fraction]:
    """The frame rates that the file claims, the likeliest first."""
    claims = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    return [Fraction(rate) for rate in claims if rate and 0 < rate <= 1000]


def timed_frames(
    container: "InputContainer", stream: "VideoStream", findings: Findings
) -> Iterator[Timed]:
    """Decode as a stream: no more than the decoder's few frames are held at a time.

    Damaged packets are counted in `findings` and left out.
    """
    usual = 1 / next(iter(nominal_rates(stream)), FALLBACK_RATE)
    clock = Fraction(0)
    for frame in _decoded(container, stream, findings):
        findings.decoded += 1
        base = frame.time_base or stream.time_base or Fraction(1, 1000)
        time = clock if frame.pts is None else frame.pts * base
        if findings.decoded > 1 and time < clock - usual:  # a clock that jumps back: carry on
            time = clock
        length = (frame.duration or 0) * base
        duration = length if 0 < length < 10 else usual
        clock = time + duration
        yield Timed(frame, time, duration)
    findings.ended = True
    findings.cut_short = _is_cut_short(container, stream, findings, clock)


def _decoded(
    container: "InputContainer", stream: "VideoStream", findings: Findings
) -> Iterator["VideoFrame"]:
    from av.error import FFmpegError

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except FFmpegError:  # the file itself cannot be read any further
            findings.broken += 1
            yield from _flushed(stream)
            return
        if packet.is_corrupt:
            findings.broken += 1
            continue
        try:
            frames = packet.decode()
        except FFmpegError:
            findings.broken += 1
            continue
        yield from (frame for frame in frames if not frame.is_corrupt)


def _flushed(stream: "VideoStream") -> list["VideoFrame"]:
    """The frames that the decoder still holds."""
    from av.error import FFmpegError

    try:
        return stream.decode(None)
    except FFmpegError:
        return []


def _is_cut_short(
    container: "InputContainer", stream: "VideoStream", findings: Findings, end: Fraction
) -> bool:
    """Whether the file promises more than it holds, beyond what honest files get wrong."""
    if container.format.name == "gif":
        return not _ends_as_gif(Path(container.name))
    frame = 1 / next(iter(nominal_rates(stream)), FALLBACK_RATE)
    promised = _promised_end(container, stream)
    if findings.broken and promised is not None:
        return promised - end > frame / 2
    if stream.frames:
        return findings.decoded + findings.broken < stream.frames - 1
    return promised is not None and promised - end > max(Fraction(1, 10), 2 * frame)


def _ends_as_gif(path: Path) -> bool:
    """Whether the file ends with a GIF trailer (GIF89a, section 27)."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 256))
        return file.read().rstrip(b"\0").endswith(b";")


def _promised_end(container: "InputContainer", stream: "VideoStream") -> Fraction | None:
    """When the video should end, in seconds of the file's clock."""
    if stream.duration and stream.time_base:
        return ((stream.start_time or 0) + stream.duration) * stream.time_base
    tag = stream.metadata.get("DURATION", "")  # Matroska: 00:00:01.600000000
    if tag.count(":") == 2:
        hours, minutes, seconds = tag.split(":")
        try:
            length = int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
        except ValueError:
            return None
        return length if length > 0 else None
    if container.duration and len(container.streams) == 1:  # nothing else makes it longer
        return Fraction((container.start_time or 0) + container.duration, 1_000_000)
    return None
