"""Things followed through a clip, from what the judge of pictures saw on each frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

import cv2
import numpy as np

from ..judge import Analysis, FoundFigure, FoundObject
from ..pixels import Mask

Found = FoundObject | FoundFigure
MOST = 5
"""Things that are followed on a frame; the world has three at most."""
FARTHEST = 60.0
"""Pixels from where a thing is expected, beyond which what is found is another one."""
UNLIKE = 20.0
"""What another colour or kind counts in pixels: things that cross are told apart by it, and things
that exchange their colours in their places are not."""
ROOM = 2
"""Pixels between things, at least, for both to be seen whole."""
WHOLE = 0.92
"""Overlap with its shape from which a thing may be seen whole although another one is near."""
FRONT = 0.8
"""Share of the frames on which a thing is near another one that must show it whole, for it to be
the one in front: now and then what is behind has the outline of a shape, too."""
_ABSENT = -1


@dataclass(frozen=True)
class Track:
    """One thing through a clip.

    seen: by frame, None where it was not found. clear: by frame, whether it is seen whole. hidden:
    by frame, whether it is near another thing, or was not found where another one is.
    """

    seen: tuple[Found | None, ...]
    clear: tuple[bool, ...]
    hidden: tuple[bool, ...]

    @property
    def is_lasting(self) -> bool:
        """Whether it is there for at least half of the clip."""
        return 2 * sum(found is not None for found in self.seen) >= len(self.seen)

    @property
    def is_steady(self) -> bool:
        """Whether it is there wherever nothing can hide it, and always the same thing: of what is
        never seen whole, of the same colour."""
        there = all(a is not None or b for a, b in zip(self.seen, self.hidden, strict=True))
        looks = self.looks()
        return there and len(looks if any(self.clear) else {each[:2] for each in looks}) == 1

    def shown(self) -> list[tuple[int, Found]]:
        """The frames on which it is clear, and it on them; where there is none, all of them."""
        seen = [(frame, found) for frame, found in enumerate(self.seen) if found is not None]
        return [each for each in seen if self.clear[each[0]]] or seen

    def looks(self) -> Counter[tuple[str | None, ...]]:
        """What it was read as, and on how many frames that show it."""
        return Counter(look(found) for _, found in self.shown())

    def usual(self) -> Found:
        """It as it is on a frame that shows what most do."""
        [(most, _)] = self.looks().most_common(1)
        return next(found for _, found in self.shown() if look(found) == most)


def look(found: Found) -> tuple[str | None, ...]:
    """What a thing was read as: its colour and shape, or its profession and presentation."""
    if isinstance(found, FoundFigure):
        return "figure", found.profession, found.presentation
    return "object", found.colour, found.shape


def follow(frames: Sequence[Analysis]) -> tuple[Track, ...]:
    """The things of a clip, in the order in which they appear."""
    paths: list[dict[int, Found]] = []
    for frame, analysis in enumerate(frames):
        found = _largest([*analysis.objects, *analysis.figures])
        for place, thing in zip(_assigned(paths, found, frame), found, strict=True):
            if place == _ABSENT:
                paths.append({frame: thing})
            else:
                paths[place][frame] = thing
    return tuple(_track(path, paths, len(frames)) for path in paths)


def _largest(found: list[Found]) -> list[Found]:
    covered = _joined([each for each in found if (each.cover > 0.5).any()])
    return sorted(covered, key=lambda each: -float(each.cover.sum()))[:MOST]


def _joined(found: list[Found]) -> list[Found]:
    """With parts of one colour on both sides of another thing, behind which they are, as one."""
    for one, other in combinations(found, 2):
        if isinstance(one, FoundFigure) or isinstance(other, FoundFigure):
            continue
        between = [each for each in found if each is not one and each is not other]
        apart = [each for each in between if look(each)[1] != one.colour]
        if one.colour == other.colour and any(
            _is_near(one, each) and _is_near(other, each) for each in apart
        ):
            return _joined([_both(one, other), *between])
    return found


def _both(one: FoundObject, other: FoundObject) -> FoundObject:
    cover = np.maximum(one.cover, other.cover)
    rows, columns = np.nonzero(cover > 0.5)
    x, y = (float(each.min() + each.max() + 1) / 2 for each in (columns, rows))
    radius = max(float(np.ptp(columns)), float(np.ptp(rows))) / 2 + 0.5
    return FoundObject(one.colour, None, x, y, radius, cover=cover)


def _assigned(paths: Sequence[dict[int, Found]], found: Sequence[Found], frame: int) -> list[int]:
    """For each found thing the path that it goes on with, so that together they go the least."""
    recent = [k for k, path in enumerate(paths) if path][-MOST:]
    slots = [*recent, *[_ABSENT] * len(found)]
    costs = [[_cost(paths[k], thing, frame) for k in recent] for thing in found]
    costs = [[*row, *[FARTHEST] * len(found)] for row in costs]
    best = min(
        permutations(range(len(slots)), len(found)),
        key=lambda order: sum(costs[n][k] for n, k in enumerate(order)),
    )
    return [slots[k] for k in best]


def _cost(path: dict[int, Found], thing: Found, frame: int) -> float:
    x, y = _expected(path, frame)
    unlike = look(path[max(path)])[:2] != look(thing)[:2]
    return float(np.hypot(thing.x - x, thing.y - y)) + UNLIKE * unlike


def _expected(path: dict[int, Found], frame: int) -> tuple[float, float]:
    """Where a thing would be on a frame, if it went on as it has."""
    first, last = min(path), max(path)
    since = (frame - last) / max(1, last - first) if last > first else 0.0
    a, b = path[first], path[last]
    return b.x + since * (b.x - a.x), b.y + since * (b.y - a.y)


def _track(path: dict[int, Found], paths: Sequence[dict[int, Found]], count: int) -> Track:
    hidden, whole = [], []
    ways = [found.x for found in path.values()], [found.y for found in path.values()]
    for frame in range(count):
        others = [other[frame] for other in paths if other is not path and frame in other]
        own = path.get(frame)
        if own is None:
            x, y = (float(np.interp(frame, list(path), values)) for values in ways)
            hidden.append(any(_holds(other, x, y) for other in others))
        else:
            hidden.append(any(_is_near(own, other) for other in others))
        whole.append(isinstance(own, FoundObject) and own.fit >= WHOLE)
    near = [frame for frame in path if hidden[frame]]
    in_front = sum(whole[frame] for frame in near) >= FRONT * len(near)
    clear = [
        frame in path and (not hidden[frame] or (in_front and whole[frame]))
        for frame in range(count)
    ]
    return Track(tuple(path.get(frame) for frame in range(count)), tuple(clear), tuple(hidden))


def _is_near(one: Found, other: Found) -> bool:
    return bool((_around(one) & (other.cover > 0.5)).any())


def _around(thing: Found) -> Mask:
    kernel = np.ones((2 * ROOM + 1,) * 2)
    return cv2.dilate((thing.cover > 0.5).astype(np.uint8), kernel) > 0


def _holds(thing: Found, x: float, y: float) -> bool:
    """Whether a place is within the rectangle that it takes."""
    rows, columns = np.nonzero(thing.cover > 0.5)
    return columns.min() <= x <= columns.max() and rows.min() <= y <= rows.max()
