"""Which frames are kept, and the rate at which they play."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, pairwise

from ..errors import EvenframeError
from .clip import MAX_DENOMINATOR, Clip, as_rate
from .lengths import ANY, Length
from .source import Timed

# Containers round times: Matroska to 1 ms, GIF to 10 ms. A frame due within this counts as shown.
TOLERANCE = Fraction(1, 200)
# How often one picture may be repeated: no number in a file decides how many frames are made.
MOST_LOOKS = 1000


@dataclass(frozen=True)
class Choice:
    """Which frames of a video are kept; the settings apply in the order rate, skip, stride, most.

    max_frames: keep at most so many; 0 keeps all.
    skip: leave out so many frames at the beginning.
    stride: keep every `stride`-th frame. The clip then plays at the video's rate / stride, so that
        it lasts as long as that part of the video, and the sound fits without being stretched.
    frame_rate: first bring the video to this rate by the frames' times, which is right for variable
        frame rates too; 0 or None keeps the frames as they are.
    length: numbers of frames that the clip may have. `of` gives all frames that are chosen; what
        becomes of them, `length.count` says once their number is known.
    """

    max_frames: int = 0
    skip: int = 0
    stride: int = 1
    frame_rate: float | Fraction | None = None
    length: Length = ANY

    def __post_init__(self) -> None:
        if self.max_frames < 0:
            raise EvenframeError(f"max_frames is {self.max_frames}: give 0 (all frames) or more.")
        if self.skip < 0:
            raise EvenframeError(f"skip is {self.skip}: give 0 or more frames.")
        if self.stride < 1:
            raise EvenframeError(f"stride is {self.stride}: give 1 (every frame) or more.")
        _ = self.rate  # raises

    @property
    def rate(self) -> Fraction | None:
        """The frame rate to bring the video to; None keeps its own."""
        return as_rate(self.frame_rate) if self.frame_rate else None

    @property
    def needed(self) -> int:
        """Frames to decode until the last that is kept; 0 where only the video can tell."""
        if self.rate is not None or not self.max_frames:
            return 0
        return self.skip + (self.max_frames - 1) * self.stride + 1

    def of(self, frames: Iterator[Timed]) -> Iterator[Timed]:
        """The frames that are kept, in their order; no further ones are asked for."""
        count, rate = 0, self.rate
        for index, frame in enumerate(frames if rate is None else resampled(frames, rate)):
            if index < self.skip or (index - self.skip) % self.stride:
                continue
            yield frame
            count += 1
            if count == self.max_frames:
                return


EVERY = Choice()


def resampled(frames: Iterator[Timed], rate: Fraction) -> Iterator[Timed]:
    """The frames that a viewer sees at `rate` looks a second, whatever their own timing.

    Look k happens k / rate seconds after the first frame; a frame is repeated when it is still
    shown at the next look, and left out when none falls on it.

    Raises EvenframeError before the look that repeats a picture more than `MOST_LOOKS` times.
    """
    shown = next(frames, None)
    if shown is None:
        return
    start, look = shown.time, 0
    for following in chain(frames, [None]):
        end = (
            shown.time + max(shown.duration, 2 * TOLERANCE) if following is None else following.time
        )
        first = look
        while start + look / rate + TOLERANCE < end:
            if look - first == MOST_LOOKS:
                raise _held_too_long(shown.time, end, rate)
            yield Timed(shown.frame, start + look / rate, 1 / rate)
            look += 1
        if following is not None:
            shown = following


def _held_too_long(early: Fraction, late: Fraction, rate: Fraction) -> EvenframeError:
    return EvenframeError(
        f"frame_rate is {float(rate):g}, and the video shows one picture for "
        f"{float(late - early):.6g} s (at {float(early):.6g} s): it would be repeated more than "
        f"{MOST_LOOKS} times. Give a lower frame_rate, a max_frames that ends before, or a "
        "frame_rate of 0, which keeps the frames as they are."
    )


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
    if steps / span < Fraction(1, 1001):
        measured = Fraction(1, min(round(span / steps), MAX_DENOMINATOR))
    rate = measured if 0 < measured <= 1000 else (claims[0] if claims else usual) / stride
    gaps = [late - early for early, late in pairwise(times)]
    return rate, max(gaps) - min(gaps) <= 2 * TOLERANCE


def select(clip: Clip, choice: Choice) -> Clip:
    """Some frames of a clip, chosen as `load` chooses them, with the sound that belongs to them."""
    rate, own = choice.rate or clip.frame_rate, 1 / clip.frame_rate
    chosen = list(choice.of(Timed(index, index * own, own) for index in range(len(clip))))
    if not chosen:
        raise EvenframeError(
            f"No frames are left: skip is {choice.skip}, and '{clip.source}' has {len(clip)} "
            "frames. Give a smaller skip."
        )
    count, whole = choice.length.count(len(chosen)), [shown.frame for shown in chosen]
    indices = whole[: count.kept] + whole[-1:] * count.repeated
    source = clip.original
    if source is None and count.kept != count.chosen:
        source = clip.frames  # of images, whose trimmed ones come back
    audio = clip.audio
    if audio is not None:
        played = (len(indices) - count.repeated) * choice.stride / rate
        audio = audio.since(chosen[0].time).cut(played)
    times = tuple(clip.timestamps[index] for index in indices) if clip.timestamps else ()
    return replace(
        clip,
        frames=clip.frames if indices == list(range(len(clip))) else clip.frames[indices],
        frame_rate=rate / choice.stride,
        audio=audio if audio is not None and audio.samples.shape[1] else None,
        timestamps=times,
        original=None if source is None else source[whole],
        window=clip.window and clip.window.of_frames(indices),
        footage=None,  # its choice is another now
        count=None if choice.length.any else count,
    )
