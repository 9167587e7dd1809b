"""Open a video file and give its frames one after the other, each with its time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..common.errors import EvenframeError
from ..common.progress import OnFrame
from .clock import LONGEST, Clock
from .decoder import decoder_of, safe_codecs
from .ending import is_cut_short, promised_end
from .findings import Findings
from .rate import MAX_RATE
from .unpacking import refuse_swollen_index

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

# Real containers only: a text file is no video, and a playlist could make the reader open others.
FORMATS = "mov,mp4,matroska,webm,gif,avi,mpegts,mpeg,flv,ogg,asf,mxf,apng,nut,h264,hevc,m4v"
FALLBACK_RATE = Fraction(24)


class Timed(NamedTuple):
    """A frame, when it is shown and for how long, in seconds of the file's clock."""

    frame: Any  # a decoded av.VideoFrame, or what stands for a frame
    time: Fraction
    duration: Fraction


def announced(frames: Iterator[Timed], on_frame: OnFrame | None) -> Iterator[Timed]:
    """The same frames; `on_frame` is called as each comes, whatever becomes of it."""
    for count, frame in enumerate(frames, 1):
        if on_frame is not None:
            on_frame(count)
        yield frame


@contextmanager
def opened(path: Path, options: dict[str, str] | None = None) -> Iterator["InputContainer"]:
    """The file, open for reading, and closed whatever happens.

    Raises EvenframeError when there is no such file or it is not a video.
    """
    import av
    from av.error import FFmpegError

    if not path.exists():
        raise EvenframeError(f"No such file: '{path}'. Check the name and the folder.")
    if path.is_dir():
        raise EvenframeError(f"'{path}' is a folder: give a video file in it.")
    if not path.is_file():
        raise EvenframeError(
            f"'{path}' is a pipe or a device: give a video file, which can be read twice."
        )
    options = {
        "format_whitelist": FORMATS,
        "protocol_whitelist": "file",
        "codec_whitelist": safe_codecs(),
        **(options or {}),
    }
    try:
        refuse_swollen_index(path)
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
    return [Fraction(rate) for rate in claims if rate and 0 < rate <= MAX_RATE]


def timed_frames(
    container: "InputContainer", stream: "VideoStream", findings: Findings
) -> Iterator[Timed]:
    """Decode as a stream: no more than the decoder's few frames are held at a time.

    A frame is shown until the next, so each is given when that is decoded. Damaged packets are
    counted in `findings` and left out.
    """
    usual = min(1 / next(iter(nominal_rates(stream)), FALLBACK_RATE), LONGEST)
    clock = Clock(container.format.name, usual, findings)
    start = (stream.start_time or 0) * (stream.time_base or Fraction(1))
    held: Timed | None = None
    for frame in _decoded(container, stream, findings):
        findings.decoded += 1
        time = clock.time_of(frame, start)
        if held is not None:
            yield held._replace(duration=time - held.time)
        held = Timed(frame, time, (frame.duration or 0) * (frame.time_base or Fraction(0)))
    cut_short = False
    if held is not None:
        end = held.time + clock.length_of(held.duration)
        cut_short = is_cut_short(container, stream, findings, end, usual)
        left = (promised_end(container, stream) or end) - held.time
        # Boxes state how long frames are in the order of decoding: only their end is certain.
        if "mp4" in container.format.name and left > 0 and not cut_short:
            held = held._replace(duration=left)
        yield held._replace(duration=clock.length_of(held.duration))
    findings.cut_short = cut_short


def packets_of(
    container: "InputContainer", stream: "Stream", unreadable: Callable[[], None]
) -> Iterator["Packet"]:
    """All packets of a stream; `unreadable` is called where the file ends before its end."""
    from av.error import FFmpegError

    try:
        yield from container.demux(stream)
    except IndexError:  # PyAV, at the end of a file in which another stream began on the way
        return
    except FFmpegError:
        unreadable()


def _decoded(
    container: "InputContainer", stream: "VideoStream", findings: Findings
) -> Iterator["VideoFrame"]:
    from av.error import FFmpegError

    decode = decoder_of(stream, findings.note)
    for packet in packets_of(container, stream, findings.count_broken):
        if packet.is_corrupt:
            findings.count_broken()
            continue
        try:
            frames = decode(packet)
        except FFmpegError:
            findings.count_broken()
            continue
        yield from (frame for frame in frames if not frame.is_corrupt)
    with suppress(FFmpegError):  # those that are still held, where no last packet asked for them
        yield from decode(None)
