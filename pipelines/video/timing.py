"""Which frames are kept, and the rate at which they play."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, pairwise

from ..common.errors import EvenframeError
from ..common.progress import OnNote
from ..common.settings import check, setting
from .lengths import ANY, Length
from .rate import MAX_DENOMINATOR, MAX_RATE, as_rate
from .source import Timed

# Containers round times: Matroska to 1 ms, GIF to 10 ms. A frame due within this counts as shown.
TOLERANCE = Fraction(1, 200)
# How often one picture may be repeated: no number in a file decides how many frames are made.
MOST_LOOKS = 1000


@dataclass(frozen=True)
class Choice:
    """Which frames of a video are kept; the settings apply in the order rate, skip, stride, most.

    length: numbers of frames that the clip may have. `of` gives all frames that are chosen; what
        becomes of them, `length.count` says once their number is known.
    """

    max_frames: int = setting(
        0,
        "Keep at most so many frames; 0 keeps all. Memory and time grow with them.",
        whole=(0, None),
    )
    skip: int = setting(0, "Leave out so many frames at the beginning.", whole=(0, None))
    stride: int = setting(
        1,
        "Keep every so many frames: 2 keeps every other. The clip lasts as long as that part of "
        "the video, at a lower frame rate, and its sound fits.",
        whole=(1, None),
    )
    frame_rate: float | Fraction | None = setting(
        None,
        "Bring the video to so many frames a second first; 0 keeps its own. Use it for videos "
        "whose frame rate varies.",
        within=(0, MAX_RATE),
        step=0.01,
        demand=lambda _, rate: rate and as_rate(rate),
        stand_in=(0, None),
    )
    length: Length = ANY

    def __post_init__(self) -> None:
        check(self)

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

    @property
    def unbounded(self) -> "Choice":
        """All frames before and after those that are kept, too, at their stride."""
        return replace(self, skip=self.skip % self.stride, max_frames=0)

    @property
    def left_out(self) -> int:
        """How many frames of `unbounded` come before the first that is kept."""
        return self.skip // self.stride

    def most(self, total: int, rate: Fraction | None = None) -> int:
        """How many of `total` frames are kept; 0 where `total` is not known.

        rate: at which they play; None where they are at that of the choice already.
        """
        if not total:
            return 0
        if self.rate is not None and rate is not None:
            total = math.ceil(total / rate * self.rate)
        kept = max(0, -(-(total - self.skip) // self.stride))
        return min(kept, self.max_frames or kept)

    def then(self, choice: "Choice") -> "Choice | None":
        """What keeps the frames that `choice` keeps of those that this one keeps; None where it
        brings them to another rate."""
        if choice.rate is not None:
            return None
        return replace(
            choice,
            skip=self.skip + choice.skip * self.stride,
            stride=self.stride * choice.stride,
            frame_rate=self.frame_rate,
        )

    def nothing_left(self, source: str, has: str = "fewer") -> EvenframeError:
        """Where no frame is kept. source: what they are of; has: how many that has."""
        return EvenframeError(
            f"No frames are left: skip is {self.skip}, and '{source}' has {has}. Give a smaller "
            "skip."
        )

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
    frame = next(frames, None)
    if frame is None:
        return
    start, look = frame.time, 0
    for following in chain(frames, [None]):
        if following is None:
            end = frame.time + max(frame.duration, 2 * TOLERANCE)
        else:
            end = following.time
        first = look
        while start + look / rate + TOLERANCE < end:
            if look - first == MOST_LOOKS:
                raise EvenframeError(
                    f"frame_rate is {float(rate):g}, and the video shows one picture for "
                    f"{float(end - frame.time):.6g} s (at {float(frame.time):.6g} s): it would be "
                    f"repeated more than {MOST_LOOKS} times. Give a lower frame_rate, a max_frames "
                    "that ends before, or a frame_rate of 0, which keeps the frames as they are."
                )
            yield Timed(frame.frame, start + look / rate, 1 / rate)
            look += 1
        frame = following or frame


def playing_rate(
    times: Sequence[Fraction], stride: int, claims: Sequence[Fraction], usual: Fraction
) -> tuple[Fraction, bool]:
    """The rate at which the kept frames take as long as they do in the file, and whether even.

    times: when each is shown in the file. claims: frame rates that the file gives; one of them, or
    the nearest whole number, is taken, divided by the stride, when the times agree with it.
    usual: for a single frame.
    """
    usual = (claims[0] if claims else usual) / stride
    if len(times) < 2:
        return usual, True
    steps, span = len(times) - 1, times[-1] - times[0]
    whole = round(steps * stride / span) if span > 0 else 0
    for claim in (*claims, *([Fraction(whole)] if 0 < whole <= MAX_RATE else [])):
        rate = claim / stride
        allowed = max(TOLERANCE, 1 / (2 * claim))
        if all(abs(time - times[0] - k / rate) < allowed for k, time in enumerate(times)):
            return rate, True
    if span <= 0:
        return usual, False
    measured = (steps / span).limit_denominator(1001)
    if steps / span < Fraction(1, 1001):
        measured = Fraction(1, min(round(span / steps), MAX_DENOMINATOR))
    rate = measured if 0 < measured <= MAX_RATE else usual
    gaps = [late - early for early, late in pairwise(times)]
    return rate, max(gaps) - min(gaps) <= 2 * TOLERANCE


def kept_rate(
    times: Sequence[Fraction],
    choice: Choice,
    claims: Sequence[Fraction],
    usual: Fraction,
    note: OnNote,
) -> Fraction:
    """At which chosen frames play: as asked for, or as their times say; see `playing_rate`.

    note: told what the user should know.
    """
    if choice.rate is not None:
        return choice.rate / choice.stride
    rate, even = playing_rate(times, choice.stride, claims, usual)
    if not even:
        note(
            f"The frame rate varies: the frames play evenly at {float(rate):.4g} a second. "
            "Set a frame rate to keep their timing."
        )
    return rate
