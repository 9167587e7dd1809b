"""Where a video should end, and whether its file goes on for that long."""

import re
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

    from .findings import Findings

# Matroska's own form, 00:00:01.600000000: digits and no exponent, so that no text grows in parsing.
DURATION = re.compile(r"(\d{1,5}):(\d{1,2}):(\d{1,2}(?:\.\d{1,9})?)", re.ASCII)
# What honest files get wrong: an end that is this much too late.
ROUNDING = Fraction(1, 10)


def promised_end(container: "InputContainer", stream: "VideoStream") -> Fraction | None:
    """When the video should end, in seconds of the file's clock; None where nothing says."""
    if stream.duration and stream.time_base:
        return ((stream.start_time or 0) + stream.duration) * stream.time_base
    length = duration_of(stream.metadata.get("DURATION", ""))
    if length is not None:
        return length
    if container.duration and len(container.streams) == 1:  # nothing else makes it longer
        return Fraction((container.start_time or 0) + container.duration, 1_000_000)
    return None


def duration_of(tag: str) -> Fraction | None:
    """The seconds of a Matroska DURATION tag; None where it is anything else."""
    parts = DURATION.fullmatch(tag)
    if parts is None:
        return None
    hours, minutes, seconds = parts.groups()
    return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds) or None


def is_cut_short(
    container: "InputContainer",
    stream: "VideoStream",
    findings: "Findings",
    end: Fraction,
    usual: Fraction,
) -> bool:
    """Whether the file promises more than it holds, beyond what honest files get wrong.

    Frames that an edit list hides are counted in the file's header, but its end is earlier: only
    a file with too few frames that also ends too early is cut short.

    end: when the last frame ends. usual: seconds between frames.
    """
    if container.format.name == "gif":
        return not _ends_as_gif(Path(container.name))
    promised = promised_end(container, stream)
    late = None if promised is None else promised - end
    if findings.broken and late is not None:
        return late > usual / 2
    complete = findings.decoded + findings.broken >= stream.frames - 1
    if late is None or (stream.frames and complete):
        return not complete
    return late > max(ROUNDING, 2 * usual)


def _ends_as_gif(path: Path) -> bool:
    """Whether the file ends with a GIF trailer (GIF89a, section 27)."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 256))
        return file.read().rstrip(b"\0").endswith(b";")
