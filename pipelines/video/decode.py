"""Load a clip from a video file."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from os import PathLike
from pathlib import Path

import numpy as np

from ..errors import EvenframeError
from .clip import Clip
from .deinterlace import progressive
from .pixels import PixelReader, stacked
from .sound import read_sound
from .source import (
    FALLBACK_RATE,
    Findings,
    Timed,
    nominal_rates,
    opened,
    timed_frames,
    video_stream,
)
from .timing import EVERY, Choice, playing_rate

OnFrame = Callable[[int], None]


def load(
    path: str | PathLike[str],
    choice: Choice = EVERY,
    *,
    audio: bool = True,
    on_frame: OnFrame | None = None,
) -> Clip:
    """Decode a video file (mp4, mov, mkv, webm, gif, and other common containers).

    choice: which frames are kept. Memory grows with these, never with the length of the file.
    audio: whether to read the sound of the kept part.
    on_frame: called for every decoded frame with how many were decoded; what it raises (an
        interrupt) ends the loading and closes the file.

    Frames come upright (display matrix), with square pixels, deinterlaced, in RGB; transparent
    pixels are put on black. Of a damaged file the frames that decode are returned. All of this is
    said in the clip's `warnings`.

    Raises EvenframeError: no such file, not a video, no frames left, a value out of range.
    """
    file = Path(path)
    findings = Findings()
    arrays: list[np.ndarray] = []
    times: list[Fraction] = []
    with opened(file) as container:
        stream = video_stream(container, file)
        claims = nominal_rates(stream)
        pixels = PixelReader(stream.sample_aspect_ratio, findings.note)
        frames = _announced(timed_frames(container, stream, findings), on_frame)
        frames = progressive(frames, findings)
        for shown in choice.of(frames):
            arrays.append(pixels.read(shown.frame))
            times.append(shown.time)
    if not arrays:
        raise _nothing_left(file, findings, choice)
    if choice.rate is not None:
        rate = choice.rate / choice.stride
    else:
        rate, even = playing_rate(times, choice.stride, claims, FALLBACK_RATE)
        if not even:
            findings.note(
                f"The frame rate varies: the frames play evenly at {float(rate):.4g} a second. "
                "Set a frame rate to keep their timing."
            )
    sound = read_sound(file, times[0], len(times) / rate, findings) if audio else None
    return Clip(
        stacked(arrays),
        rate,
        sound,
        tuple(float(time) for time in times),
        file.name,
        warnings=findings.warnings(),
    )


def _announced(frames: Iterator[Timed], on_frame: OnFrame | None) -> Iterator[Timed]:
    """The same frames; each is told to `on_frame` as it is decoded, kept or not."""
    for count, frame in enumerate(frames, 1):
        if on_frame is not None:
            on_frame(count)
        yield frame


def _nothing_left(file: Path, findings: Findings, choice: Choice) -> EvenframeError:
    if findings.decoded == 0:
        return EvenframeError(
            f"No frame of '{file.name}' could be decoded: the file is empty or damaged. "
            "Give another file."
        )
    rate = choice.rate
    at = "" if rate is None else f" (before the frame rate was brought to {float(rate):g})"
    return EvenframeError(
        f"No frames are left: skip is {choice.skip}, and '{file.name}' has {findings.decoded} "
        f"frames{at}. Give a smaller skip."
    )
