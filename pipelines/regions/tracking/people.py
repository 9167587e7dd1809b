"""Everybody on a clip as a region, or the one person who is meant on one of its frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...common.errors import EvenframeError
from ...common.grids import Box
from ...common.pictures import to_bytes
from ...common.progress import OnFrame
from ..region import MaskRegion, mask_region, require_marks
from .drawn import Drawing
from .parts import MOST, begin, follow
from .person import DRAWN_SPECK, SPECK, Segmenter, boxes_of, find_people, inside, masks_of_people
from .sharing import Labels, Mask
from .track import frame_runs

CLOSE = 0.02
"""A point this near to a person, as a share of the frame's longer side, is on it."""
ALL_OF_IT = 0.7
"""A painted mask that covers this share of somebody means all of them; one that covers less means
what it covers, and the rest is somebody else's."""


@dataclass(frozen=True, eq=False)
class People:
    """Who was found. region: of everybody or, where one was meant, of that person."""

    region: MaskRegion
    one: bool

    def note(self) -> str:
        """On which frames nobody is; "" where on none."""
        empty = (self.region.areas() == 0).nonzero()[:, 0].tolist()
        if not empty:
            return ""
        told = f"Region '{self.region.name}' is empty on {frame_runs(empty)}"
        if not self.one:
            return f"{told}: nobody is found there."
        return f"{told}. If the person is seen there, say there who is meant."


def follow_people(
    segmenter: Segmenter,
    frames: Tensor,
    drawings: Sequence[Drawing] = (),
    masks: Iterable[Tensor] | None = None,
    *,
    name: str,
    words: str = "",
    grow: int = 0,
    soften: int = 0,
    on_frame: OnFrame | None = None,
) -> People:
    """The region of everybody on frames (f, h, w, 3) in 0..1, found on each frame anew.

    drawings: who is meant, by a box or points on one frame or on several; that person alone is
        followed from the nearest of these, before and after, past others who cross. None takes
        everybody, on each frame.
    masks: one (h, w) of 0 and 1 for each drawing, which stands for its box and points.
    Raises EvenframeError for a drawing or an edge out of range, before anybody is looked for, and
    where nobody is found: on any frame or, with drawings, where one says.
    """
    require_marks(name, words, grow, soften)
    count, size = len(frames), (frames.shape[1], frames.shape[2])
    for drawing in drawings:
        drawing.require(count, size, name)
        if masks is None and drawing.box is None and not drawing.points:
            raise EvenframeError(
                f"Nothing says who is meant on frame {drawing.frame}: give a box or points, or no "
                "prompt at all for everybody."
            )
    found = torch.zeros(count, *size)
    everybody = enumerate(masks_of_people(segmenter, frames))
    search = _one(segmenter, frames, drawings, masks) if drawings else everybody
    for done, (index, here) in enumerate(search, start=1):
        found[index] = torch.from_numpy(here)
        if on_frame is not None:
            on_frame(done)
    if not found.any():
        raise EvenframeError(
            f"Nobody is found on any of the {count} frames: draw a box around the person on one "
            "frame, which is then looked at closely, or choose another tracker."
        )
    region = mask_region(found, count, size, name=name, words=words, grow=grow, soften=soften)
    return People(region, bool(drawings))


def _one(
    segmenter: Segmenter,
    frames: Tensor,
    drawings: Sequence[Drawing],
    masks: Iterable[Tensor] | None,
) -> Iterator[tuple[int, Mask]]:
    """From each drawn frame as far as the middle between it and the next one."""
    painted = [None] * len(drawings) if masks is None else [mask.numpy() > 0 for mask in masks]
    given = sorted(zip(drawings, painted, strict=True), key=lambda pair: pair[0].frame)
    starts = [drawing.frame for drawing, _ in given]
    ends = [*((one + other + 1) // 2 for one, other in pairwise(starts)), len(frames)]
    for begins, end, (drawing, mask) in zip([0, *ends], ends, given, strict=False):
        yield from _from(segmenter, frames, drawing, mask, range(begins, end))


def _from(
    segmenter: Segmenter, frames: Tensor, drawing: Drawing, painted: Mask | None, span: range
) -> Iterator[tuple[int, Mask]]:
    """The frame of a drawing, those of the span after it, then those before it."""
    start = drawing.frame
    found = find_people(segmenter, frames[start], drawn=_drawn(drawing, painted))
    meant = _meant(found, drawing, painted)
    yield start, meant
    # Too small for the first look: their box is looked at on each frame.
    small = not (find_people(segmenter, frames[start]) & meant).any()
    least = DRAWN_SPECK if small else SPECK
    first = begin(to_bytes(frames[start]).numpy(), _labels(found, meant))
    for order in (range(start + 1, span.stop), range(start - 1, span.start - 1, -1)):
        scene, near = first, boxes_of(found, least)
        for index in order:
            here = find_people(segmenter, frames[index], near, near if small else ())
            near = boxes_of(here, least) or near
            scene, labels = follow(scene, to_bytes(frames[index]).numpy(), here)
            yield index, labels == 1


def _drawn(drawing: Drawing, painted: Mask | None) -> list[Box]:
    """Where to look closely on the frame of the drawing."""
    if painted is not None:
        return boxes_of(painted, 0)[:1]
    return [] if drawing.box is None else [drawing.box]


def _meant(found: Mask, drawing: Drawing, painted: Mask | None) -> Mask:
    """Of those who are found on a frame, the one who is meant."""
    import cv2

    _, parts = cv2.connectedComponents(found.astype(np.uint8))
    if painted is not None:
        where, meant = "under the mask", _under(painted, parts)
    elif drawing.points:
        where, meant = "at the points", np.isin(parts, _at(drawing.points, parts))
    else:
        assert drawing.box is not None
        where, meant = "in the box", _most_in(drawing.box, parts)
    if drawing.outside and painted is None:
        meant &= _nearer(drawing, found.shape)
    if not meant.any():
        raise EvenframeError(
            f"Nobody is found {where} on frame {drawing.frame}: draw a box around the whole "
            "person, take a frame on which they are seen better, or choose another tracker."
        )
    return meant


def _under(painted: Mask, parts: np.ndarray) -> Mask:
    covered = np.bincount(parts[painted], minlength=parts.max() + 1)
    whole = covered >= ALL_OF_IT * np.bincount(parts.ravel())
    return (whole[parts] | painted) & (covered[parts] > 0) & (parts > 0)


def _at(points: tuple[tuple[float, float], ...], parts: np.ndarray) -> list[int]:
    """The parts on which points lie, or close to which."""
    rows, columns = np.nonzero(parts)
    if not len(rows):
        return []
    labels = []
    for x, y in points:
        away = np.hypot(columns + 0.5 - x, rows + 0.5 - y)
        nearest = int(away.argmin())
        if away[nearest] <= CLOSE * max(parts.shape) + 1:
            labels.append(int(parts[rows[nearest], columns[nearest]]))
    return labels


def _most_in(box: Box, parts: np.ndarray) -> Mask:
    """The part that has most of its pixels in a box; nothing where none has any."""
    areas = np.bincount(inside(parts, box).ravel(), minlength=parts.max() + 1)
    areas[0] = 0
    return (parts == areas.argmax()) & bool(areas.any())


def _nearer(drawing: Drawing, shape: tuple[int, ...]) -> Mask:
    """(h, w): what is nearer to a point on the person, or to the box's middle, than to another."""
    rows, columns = np.indices(shape) + 0.5
    inside = drawing.points
    if not inside and drawing.box is not None:
        left, top, right, bottom = drawing.box
        inside = (((left + right) / 2, (top + bottom) / 2),)

    def away(points: tuple[tuple[float, float], ...]) -> np.ndarray:
        return np.min([np.hypot(columns - x, rows - y) for x, y in points], axis=0)

    return away(inside) < away(drawing.outside)


def _labels(found: Mask, meant: Mask) -> Labels:
    """1 for who is meant, and a label each for the largest of the others."""
    import cv2

    others = (found & ~meant).astype(np.uint8)
    found_parts: Any = cv2.connectedComponentsWithStats(others)
    _, parts, stats, _ = found_parts
    order = 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable")[: MOST - 1]
    numbers = np.zeros(len(stats), np.uint8)
    numbers[order] = np.arange(2, 2 + len(order))
    labels = numbers[parts]
    labels[meant] = 1
    return labels
