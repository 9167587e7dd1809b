"""Follow a mask or a box through a clip by dense optical flow. Needs OpenCV, no weights.

From the frame where it was drawn, an object is followed to both ends of the clip. Between two such
frames it is followed from both, and the two tracks are blended, each by how far it is trusted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ...common.grids import Box
from ...common.progress import OnFrame
from . import confidence
from .blend import HIDDEN, SEEN, box_overlap, mask_overlap, mixed_box, mixed_mask
from .cutout import foreground
from .fields import Fields
from .layer import Layer, begin, carried

MIN_SIDE = 2.0
"""A box never gets smaller than this, in pixels."""
STRAY = 0.01
"""This share of an object's points, on each side of it, does not count for its box."""


def follow_masks(
    frames: Tensor, masks: Mapping[int, Tensor], on_frame: OnFrame | None = None
) -> tuple[Tensor, Tensor]:
    """Masks (f, h, w) of 0 and 1 on all frames, and the confidence (f,) in 0..1 of each.

    frames: (f, h, w, 3) in 0..1. masks: by frame, (h, w) of 0 and 1, none empty; they are kept as
    they are. What is hidden is left out, and taken in again where it comes out. confidence: see
    `confidence.py`.
    """
    places, trust = _followed(_Masks(frames, masks), on_frame)
    return (torch.stack(places) == SEEN).float(), trust


def follow_boxes(
    frames: Tensor, boxes: Mapping[int, Box], on_frame: OnFrame | None = None
) -> tuple[list[Box], Tensor]:
    """A box (pixels) on every frame, and the confidence (f,) in 0..1 of each.

    boxes: by frame; they are kept as they are. What in a box differs from its surroundings is
    followed, also while it is hidden. The box is drawn around it with the room that it had, so it
    moves, grows along each axis, and widens where the object leans. It stops where it would leave
    the frame.
    """
    places, trust = _followed(_Boxes(frames, boxes), on_frame)
    told = [tuple(place.tolist()) for place in places]
    return [boxes.get(frame, box) for frame, box in enumerate(told)], trust


@dataclass(frozen=True, eq=False)
class _Place:
    """Where a track sees an object on a frame, and how far that is trusted.

    where: a mask (h, w) of `blend.py`, or a box (4,).
    """

    where: Tensor
    trust: float


@dataclass(frozen=True, eq=False)
class _Masks:
    """How a track of a mask begins, and what is made of it. drawn: masks by frame."""

    frames: Tensor
    drawn: Mapping[int, Tensor]
    overlap = staticmethod(mask_overlap)
    mixed = staticmethod(mixed_mask)

    def begin(self, frame: int, come: Layer | None) -> Layer:
        return begin(self.drawn[frame], self.frames[frame], come)

    def given(self, frame: int) -> Tensor:
        return (self.drawn[frame] > 0.5).to(torch.uint8) * SEEN

    def place(self, start: int, layer: Layer) -> _Place:
        where = torch.where(layer.seen > 0.5, SEEN, torch.where(layer.hidden > 0.5, HIDDEN, 0))
        return _Place(where.to(torch.uint8), confidence.of(layer, confidence.MASK_WEIGHTS))


@dataclass(frozen=True, eq=False)
class _Boxes:
    """As `_Masks`, of boxes."""

    frames: Tensor
    drawn: Mapping[int, Box]
    overlap = staticmethod(box_overlap)
    mixed = staticmethod(mixed_box)

    def begin(self, frame: int, come: Layer | None) -> Layer:
        image = self.frames[frame]
        return begin(foreground(image, self.drawn[frame]), image)

    def given(self, frame: int) -> Tensor:
        return torch.tensor(self.drawn[frame])

    def place(self, start: int, layer: Layer) -> _Place:
        box = _inside(_around(layer, self.given(start)), layer.seen.shape)
        return _Place(box, confidence.of(layer, confidence.BOX_WEIGHTS))


_Kind = _Masks | _Boxes


def _followed(kind: _Kind, on_frame: OnFrame | None) -> tuple[list[Tensor], Tensor]:
    """Where it is on each frame, and how far that is trusted, (f,)."""
    frames, drawn = kind.frames, sorted(kind.drawn)
    fields, count = Fields(frames), len(frames)
    first, last = drawn[0], drawn[-1]
    total = (count - 1) + (last - first)  # between drawings there are two tracks
    steps = _reporting(len(drawn), count, total, on_frame)

    def track(
        layer: Layer, start: int, stop: int, again: bool = False
    ) -> tuple[dict[int, _Place], Layer]:
        """From after the frame `start` to `stop`, on either side of it."""
        places, way = {}, 1 if stop > start else -1
        for before in range(start, stop, way):
            now = before + way
            layer = carried(layer, frames[before], frames[now], fields.step(before, now, again))
            places[now] = kind.place(start, layer)
            next(steps)
        return places, layer

    found = {frame: _Place(kind.given(frame), 1.0) for frame in drawn}
    layer = kind.begin(first, None)
    found |= track(layer, first, 0)[0]
    for before, after in pairwise(drawn):
        onward, come = track(layer, before, after, again=True)
        layer = kind.begin(after, come)
        found |= _blended(kind, onward, track(layer, after, before)[0])
    found |= track(layer, last, count - 1)[0]
    places = [found[frame] for frame in range(count)]
    return [place.where for place in places], torch.tensor([place.trust for place in places])


def _reporting(given: int, count: int, total: int, on_frame: OnFrame | None) -> Iterator[None]:
    """Report after each of `total` steps how many of `count` frames are as good as done."""
    for done in range(1, total + 1):
        if on_frame is not None:
            on_frame(given + done * (count - given) // total)
        yield


def _blended(
    kind: _Kind, onward: Mapping[int, _Place], backward: Mapping[int, _Place]
) -> dict[int, _Place]:
    """The frames between two drawings. Each track ends on the other's drawing, which tells how far
    off it has come, and so how far its trust is to be trusted."""
    before, after = min(backward), max(onward)

    def trusted(track: Mapping[int, _Place], end: int) -> dict[int, float]:
        overlap = kind.overlap(track[end].where, kind.given(end))
        ratio = confidence.error_ratio(track[end].trust, overlap)
        return {at: confidence.corrected(place.trust, ratio) for at, place in track.items()}

    first, second = trusted(onward, after), trusted(backward, before)
    found = {}
    for frame in range(before + 1, after):
        trust = first[frame], second[frame]
        share = confidence.weight(*trust)
        where = kind.mixed(onward[frame].where, backward[frame].where, share)
        found[frame] = _Place(where, confidence.together(*trust))
    return found


def _around(layer: Layer, given: Tensor) -> Tensor:
    """The box (4,) around what is followed, with the room that the given one had at its start."""
    rows, columns = layer.shape.nonzero().T
    points = torch.stack([columns, rows], -1).float()
    first, now = _extent(points), _extent(layer.moved.of(points))
    scale = ((now[2:] - now[:2]) / (first[2:] - first[:2])).repeat(2)
    box = now + (given - first) * scale
    middle, half = (box[:2] + box[2:]) / 2, ((box[2:] - box[:2]) / 2).clamp(min=MIN_SIDE / 2)
    return torch.cat([middle - half, middle + half])


def _inside(box: Tensor, frame_size: Sequence[int]) -> Tensor:
    """A box moved back until a pixel of it is in the frame."""
    height, width = frame_size
    limits = torch.tensor([width, height])
    back = (limits - 1 - box[:2]).clamp(max=0) + (1 - box[2:]).clamp(min=0)
    return box + back.repeat(2)


def _extent(points: Tensor) -> Tensor:
    """left, top, right, bottom (4,) of most of some pixels (n, 2)."""
    stray = int(STRAY * len(points))
    ordered = points.sort(0).values
    return torch.cat([ordered[stray], ordered[len(points) - 1 - stray] + 1])
