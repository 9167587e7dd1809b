"""Frames of two videos that belong together, of which one is an edit of the other."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from .film import Film, Shot, evenly
from .timing import TOLERANCE

SAME_RATE = 0.01
"""Rates that differ by less are one: then as many frames are the same frames."""

ROUNDED = 0.0011
"""Seconds by which rounded times differ in most files; an edit's frame that begins earlier than
that may still show what was before, and is taken only where no other one begins."""

Times = Sequence[float]
"""When frames are shown, in seconds after the first of them, in order."""


def alike(source: Times, edited: Times) -> bool:
    """Whether frame n of an edit belongs to frame n of its source.

    So it is where none is half a frame away from the other's, as far as both go; and where there
    are as many, at a rate that is nearly the same: programs that know no times play uneven frames
    evenly.
    """
    late = abs(edited[-1] - source[-1])
    if len(source) == len(edited) and late <= SAME_RATE * source[-1] + float(TOLERANCE):
        return True
    allowed = max(min((b - a for a, b in pairwise(source)), default=0) / 2, float(TOLERANCE))
    pairs = zip(source, edited, strict=False)
    return all(abs(ours - theirs) <= allowed for ours, theirs in pairs)


def matched(source: Times, edited: Times, end: float) -> list[int]:
    """For each frame of the source, the number of the edit's that shows it.

    That is the first one that begins while the source's is shown; where none does, as in an edit
    with fewer frames a second, the one that is shown then. There is none from `end` on, where the
    edit's last frame ends: the list is shorter then.
    """
    numbers, tolerance = [], float(TOLERANCE)
    for time, following in pairwise((*source, float("inf"))):
        if time + tolerance >= end:
            break
        begun = (bisect_left(edited, time - early) for early in (ROUNDED, tolerance))
        during = (n for n in begun if n < len(edited) and edited[n] < following - tolerance)
        before = max(0, bisect_left(edited, time - tolerance) - 1)
        numbers.append(next(during, before))
    return numbers


def with_frames(film: Film, numbers: Sequence[int], rate: Fraction) -> Film:
    """The frames of those numbers, which never fall, one after the other; played at a rate."""

    times = Counter(numbers)

    def shots() -> Iterator[Shot]:
        first = zip(range(max(times, default=-1) + 1), film.shots(), strict=False)
        return evenly((shot.pixels for number, shot in first for _ in range(times[number])), rate)

    return replace(film, shots=shots, frame_rate=rate, tick=1 / rate, expected=len(numbers))
