"""Which frames are kept, and the rate at which they play."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from ..errors import EvenframeError
from .clip import Clip, as_rate
from .source import Timed

# Containers round times: Matroska to 1 ms, GIF to 10 ms. A frame due within this counts as shown.
TOLERANCE = Fraction(1, 200)


def check_choice(max_frames: int, skip: int, stride: int) -> None:
    """Raise EvenframeError for a choice of frames that makes no sense."""
    if max_frames < 0:
        raise EvenframeError(f"max_frames is {max_frames}: give 0 (all frames) or more.")
    if skip < 0:
        raise EvenframeError(f"skip is {skip}: give 0 or more frames.")
    if stride < 1:
        raise EvenframeError(f"stride is {stride}: give 1 (every frame) or more.")


def resampled(frames: Iterator[Timed], rate: Fraction) -> Iterator[Timed]:
    """The frames that a viewer sees at `rate` looks a second, whatever their own timing.

    Look k happens k / rate seconds after the first frame; a frame is repeated when it is still
    shown at the next look, and left out when none falls on it.
    """
    shown = next(frames, None)
    if shown is None:
        return
    start, look = shown.time, 0
    for following in frames:
        while start + look / rate + TOLERANCE < following.time:
            yield Timed(shown.frame, start + look / rate, 1 / rate)
            look += 1
        shown = following
    end = max(shown.time + shown.duration - TOLERANCE, shown.time + TOLERANCE)
    while start + look / rate < end or look == 0:
        yield Timed(shown.frame, start + look / rate, 1 / rate)
        look += 1


def kept(frames: Iterator[Timed], skip: int, stride: int, max_frames: int) -> Iterator[Timed]:
    """Drop the first `skip`, keep every `stride`-th of the others, and stop after `max_frames`."""
    count = 0
    for index, frame in enumerate(frames):
        if index < skip or (index - skip) % stride:
            continue
        yield frame
        count += 1
        if count == max_frames:
            return


def playing_rate(
    times: Sequence[Fraction], stride: int, claims: Sequence[Fraction], usual: Fraction
) -> tuple[Fraction, bool]:
    """The rate at which the kept frames take as long as they do in the file, and whether even.

    times: when each is shown in the file. claims: frame rates that the file gives; one of them, or
    the nearest whole number, is taken, divided by the stride, when the times agree with it.
    usual: for a single frame.
    """
    if len(times) < 2:
        return (claims[0] if claims else usual) / stride, True
    steps, span = len(times) - 1, times[-1] - times[0]
    whole = round(steps * stride / span) if span > 0 else 0
    for claim in (*claims, *([Fraction(whole)] if 0 < whole <= 1000 else [])):
        rate = claim / stride
        allowed = max(TOLERANCE, 1 / (2 * claim))
        if all(abs(time - times[0] - k / rate) < allowed for k, time in enumerate(times)):
            return rate, True
    if span <= 0:
        return (claims[0] if claims else usual) / stride, False
    measured = (steps / span).limit_denominator(1001)
    rate = measured if 0 < measured <= 1000 else (claims[0] if claims else usual) / stride
    gaps = [late - early for early, late in pairwise(times)]
    return rate, max(gaps) - min(gaps) <= 2 * TOLERANCE


def select(
    clip: Clip,
    *,
    max_frames: int = 0,
    skip: int = 0,
    stride: int = 1,
    frame_rate: float | Fraction | None = None,
) -> Clip:
    """Some frames of a clip, chosen as `load` chooses them, with the sound that belongs to them."""
    check_choice(max_frames, skip, stride)
    rate = as_rate(frame_rate) if frame_rate else clip.frame_rate
    own = 1 / clip.frame_rate
    frames = (Timed(index, index * own, own) for index in range(len(clip)))
    if frame_rate:
        frames = resampled(frames, rate)
    chosen = list(kept(frames, skip, stride, max_frames))
    if not chosen:
        raise EvenframeError(
            f"No frames are left: skip is {skip}, and '{clip.source}' has {len(clip)} frames. "
            "Give a smaller skip."
        )
    indices = [shown.frame for shown in chosen]
    audio = clip.audio
    if audio is not None:
        audio = audio.since(chosen[0].time).cut(len(chosen) * stride / rate)
    return replace(
        clip,
        frames=clip.frames if indices == list(range(len(clip))) else clip.frames[indices],
        frame_rate=rate / stride,
        audio=audio if audio is not None and audio.samples.shape[1] else None,
        timestamps=tuple(clip.timestamps[index] for index in indices) if clip.timestamps else (),
        original=None if clip.original is None else clip.original[indices],
    )
