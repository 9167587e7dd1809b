"""Load a clip from a video file."""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..common.errors import EvenframeError
from ..common.memory import FreeMemory, free_memory
from ..common.progress import OnFrame
from .audio import Audio
from .budget import Budget
from .clip import Clip
from .deinterlace import progressive
from .findings import Findings
from .footage import Footage
from .pixels import PixelReader
from .reel import Reel, SoundOf
from .sizes import Fitting, Size
from .sound import read_sound
from .source import (
    FALLBACK_RATE,
    Timed,
    announced,
    nominal_rates,
    opened,
    timed_frames,
    video_stream,
)
from .timing import EVERY, Choice, kept_rate

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

DECODER_BYTES = 16 * 2**20
"""Of frames, at most, that the decoder's threads work on: one of 4K, five of 1080p."""

OnRead = Callable[[int, int], None]
"""Called with how many frames were read, and how many there will be; 0 where nobody knows."""


def load(
    path: str | PathLike[str],
    choice: Choice = EVERY,
    fitting: Fitting | None = None,
    *,
    audio: bool = True,
    on_frame: OnFrame | None = None,
    free: FreeMemory = free_memory,
) -> Clip:
    """Decode a video file (mp4, mov, mkv, webm, gif, and other common containers).

    choice: which frames are kept. Memory grows with these, never with the length of the file.
    fitting: the size that each is brought to as it is decoded, see `fit_clip`; None keeps the
        file's. Of the source no more is held than what a crop cuts away, as decoded.
    audio: whether to read the sound of the kept part.
    on_frame: called for every decoded frame, kept or not.
    free: frames that would need more are refused, before they are decoded where their number is
        known.

    Frames come upright (display matrix), with square pixels, deinterlaced, in RGB; transparent
    pixels are put on black. Of a damaged file the frames that decode are returned. All of this is
    said in the clip's `warnings`.

    Raises EvenframeError: no such file, not a video, no frames left, no room for them.
    """
    with reading(Path(path), choice, on_frame) as source:
        reel = Reel(fitting, Budget.of(f"'{source.file.name}'", free), source.expected)
        if source.size[0] and source.size[1]:
            reel.require(source.size, source.depth)
        for pixels, time in source.frames:
            reel.add(pixels, time)
            del pixels  # or it would be held while the next is decoded

    def sound(start: Fraction, seconds: Fraction) -> Audio | None:
        return read_sound(source.file, start, seconds, source.findings) if audio else None

    return _clip(source, reel, sound)


@dataclass(frozen=True, eq=False)
class Reading:
    """A file that is being decoded.

    findings: filled in meanwhile.
    timed: the frames as decoded. read: gives the upright (h, w, 3) pixels of one, 8 or 16 bits.
    expected: how many there will be at most; 0 where that is not known.
    claims: frame rates that the file gives.
    size: (width, height) as stored. depth: bytes of a channel, 1 or 2.
    """

    file: Path
    choice: Choice
    findings: Findings
    timed: Iterator[Timed]
    read: Callable[["VideoFrame"], np.ndarray]
    expected: int
    claims: Sequence[Fraction]
    size: Size
    depth: int

    @property
    def frames(self) -> Iterator[tuple[np.ndarray, Fraction]]:
        """Pixels, and when they are shown, in seconds of the file's clock."""
        return ((self.read(timed.frame), timed.time) for timed in self.timed)


@contextmanager
def reading(
    file: Path, choice: Choice, on_frame: OnFrame | None = None, size: Size | None = None
) -> Iterator[Reading]:
    """The chosen frames of a file, one by one as they are asked for; closed at the end.

    size: (width, height) that the pixels are given, in a file whose frames change theirs; None
    takes that of the first frame read. Raises EvenframeError as `opened`.
    """
    findings = Findings()
    with opened(file) as container:
        stream = video_stream(container, file)
        limit_threads(stream.codec_context)
        pixels = PixelReader(stream.sample_aspect_ratio, findings.note, size)
        decoded = announced(timed_frames(container, stream, findings), on_frame)
        yield Reading(
            file,
            choice,
            findings,
            choice.of(progressive(decoded, findings)),
            pixels.read,
            expected(container, stream, choice),
            nominal_rates(stream),
            (stream.codec_context.width, stream.codec_context.height),
            _depth(stream.codec_context),
        )


def expected(container: "InputContainer", stream: "VideoStream", choice: Choice) -> int:
    """How many frames will be kept, at most; 0 where the file gives nothing to tell.

    An index counts its frames. A duration can only lower what is asked for: in files whose clock
    jumps it stands for frames that are not there.
    """
    if choice.rate is None and stream.frames:
        return max(1, choice.most(stream.frames))
    seconds = Fraction(container.duration or 0, 1_000_000)
    total = math.ceil(seconds * (choice.rate or stream.average_rate or 0))
    return max(1, choice.most(total)) if total > 0 and choice.max_frames else 0


def _depth(context: "VideoCodecContext") -> int:
    components = context.format.components if context.format else ()
    return 2 if any(part.bits > 8 for part in components) else 1


def limit_threads(context: "VideoCodecContext") -> None:
    """Decode large frames with few threads, since each of them holds a frame."""
    bits = context.format.padded_bits_per_pixel if context.format else 12
    frame = context.width * context.height * bits // 8
    threads = max(1, DECODER_BYTES // max(1, frame))
    if threads <= (os.cpu_count() or 1):
        context.thread_count = threads


def outline(
    path: str | PathLike[str],
    choice: Choice = EVERY,
    fitting: Fitting | None = None,
    *,
    on_frame: OnRead | None = None,
) -> Clip:
    """A clip without pixels or sound, for who reads the file again: its frames are all black, and
    take no memory. All are decoded once, since only their times say how they play.

    choice, fitting, and what is raised: as of `load`.
    """
    with reading(Path(path), choice) as source:
        reel = Reel(fitting, Budget.of(f"'{source.file.name}'", free_memory), 1)
        for timed in source.timed:
            if reel.times:
                reel.times.append(timed.time)
            else:
                reel.add(source.read(timed.frame), timed.time)
            if on_frame is not None:
                on_frame(len(reel.times), source.expected)
    clip = _clip(source, reel, lambda *_: None)
    black = torch.zeros(1, 1, 1, 3).expand(len(clip.timestamps), clip.height, clip.width, 3)
    return replace(clip, frames=black, original=None)


def _clip(source: Reading, reel: Reel, sound: SoundOf) -> Clip:
    """Of a file that was read."""
    file, choice, findings = source.file, source.choice, source.findings
    if not reel.times:
        raise _nothing_left(source)
    rate = kept_rate(reel.times, choice, source.claims, FALLBACK_RATE, findings.note)
    clip = reel.clip(rate, choice.length, sound)
    footage = Footage.of(file, choice)
    return replace(clip, source=file.name, warnings=findings.warnings(), footage=footage)


def _nothing_left(source: Reading) -> EvenframeError:
    name, rate, decoded = source.file.name, source.choice.rate, source.findings.decoded
    if decoded == 0:
        return EvenframeError(
            f"No frame of '{name}' could be decoded: the file is empty or damaged. "
            "Give another file."
        )
    at = "" if rate is None else f" (before the frame rate was brought to {float(rate):g})"
    return source.choice.nothing_left(name, f"{decoded} frames{at}")
