"""Connected parts of masks, told apart and followed from frame to frame. Needs OpenCV.

Where parts touch or pass one behind the other they are one part for a while. Each then keeps the
shape it had when it was last seen alone, moved with the optical flow of what is seen of it or,
where that is little, as fast as before; its pixels are those that have its colours and lie in that
shape. When the part falls apart again, each of its pieces is given to the one whom it fits best, so
that nobody is lost. Everything is done on a small grid, see `SIDE`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .sharing import (
    Evidence,
    Labels,
    Mask,
    bins_of,
    distances,
    divide,
    flow_between,
    histogram,
    likeness,
)

SIDE = 256
"""The longer side of the grid, in cells, at most."""
MOST = 8
"""So many are followed; who comes later is nobody."""
SPECK = 0.001
"""A part that covers less of the frame begins no track."""
WHOLE = 0.5
"""Below this share of its area, something hides a track: its shape stays as it was, and moves on as
before. What little is seen of it may be another's edge."""
SEEN = 0.1
"""From this share of its area on, what is seen of a track tells where it is."""
RATE = 0.2
"""How much each frame counts in a track's colours, motion and area."""
TWINS = 0.5
"""From this likeness of their colours on, two are not told apart by them: where they share a part,
each is taken to move on as before."""
AGAIN = 1.0
"""Likeness plus nearness, each up to 1, from which a part is one that was hidden."""
LIMB = 0.3
"""A new part this near to somebody, as a share of the root of the area, belongs to it."""

Pair = NDArray[np.float64]
"""x, y in cells."""


@dataclass(frozen=True, eq=False)
class Track:
    """One that is followed. template: (rows, columns), where it was when last seen alone.

    offset: by how much it moved since. motion: cells a frame. colours: share of each bin of
    `bins_of`. area: cells. visible: (rows, columns), what is seen of it now. sure: whether its
    colours tell it from all with whom it shares a part, if it does.
    """

    template: Mask
    offset: Pair
    motion: Pair
    colours: NDArray[np.float64]
    area: float
    visible: Mask
    sure: bool = True

    def shape(self) -> Mask:
        """Where it is, or would be seen if nothing hid it."""
        import cv2

        matrix = np.array([[1, 0, self.offset[0]], [0, 1, self.offset[1]]])
        moved = cv2.warpAffine(self.template.astype(np.uint8), matrix, self.template.shape[::-1])
        return moved > 0

    def centre(self) -> Pair:
        return _centre(self.template) + self.offset


@dataclass(frozen=True, eq=False)
class Scene:
    """A frame, (rows, columns) bytes of grey, and who is on it: the n-th track has label n + 1."""

    grey: NDArray[np.uint8]
    tracks: tuple[Track, ...]


def begin(frame: NDArray[np.uint8], labels: Labels) -> Scene:
    """frame: (h, w, 3). labels: (h, w), 0 for nobody; each label from 1 on is somebody."""
    small, bins = _small(frame)
    cells = _resized(labels, small.shape[:2])
    tracks = [_new(cells == label, bins) for label in range(1, min(int(labels.max()), MOST) + 1)]
    return Scene(_grey(small), tuple(tracks))


def follow(scene: Scene, frame: NDArray[np.uint8], mask: Mask) -> tuple[Scene, Labels]:
    """The next frame (h, w, 3), where the mask (h, w) is of everybody, and who is where on it.

    Labels as of `begin`; newcomers get the next ones.
    """
    import cv2

    small, bins = _small(frame)
    grey = _grey(small)
    flow = flow_between(scene.grey, grey)
    tracks = [_moved(track, flow) for track in scene.tracks]
    cells = _resized(mask.astype(np.uint8), grey.shape) > 0
    count, labelled = cv2.connectedComponents(cells.astype(np.uint8))
    parts = [labelled == label for label in range(1, count)]
    evidence = Evidence(
        shapes=[track.shape() for track in tracks],
        colours=[track.colours for track in tracks],
        before=[track.visible for track in scene.tracks],
        motions=[track.motion for track in tracks],
        bins=bins,
        was=scene.grey,
        now=grey,
    )
    owned, sharing = divide(parts, evidence)
    owned = _found_again(tracks, owned, parts, bins)
    seen = [
        _updated(
            track, before.centre(), owned == label, bins, [tracks[n - 1] for n in sharing[label]]
        )
        for label, (before, track) in enumerate(zip(scene.tracks, tracks, strict=True), start=1)
    ]
    owned, seen = _with_newcomers(seen, owned, parts, bins)
    return Scene(grey, tuple(seen)), _enlarged(owned, cells, mask)


def _moved(track: Track, flow: NDArray[np.float32]) -> Track:
    """Where a track is expected: with what is seen of it or, where that is little, as before."""
    if not track.sure or track.visible.sum() < WHOLE * track.area:
        return replace(track, offset=track.offset + track.motion)
    shift = np.median(flow[track.visible], axis=0).astype(np.float64)
    return replace(track, offset=track.offset + shift)


def _updated(
    track: Track, was: Pair, visible: Mask, bins: NDArray[np.intp], others: Sequence[Track]
) -> Track:
    """A track after a frame. was: its centre before. others: with whom it shares a part."""
    area = float(visible.sum())
    if others or area < WHOLE * track.area:
        sure = all(np.sqrt(track.colours * other.colours).sum() < TWINS for other in others)
        kept = track.area if others or not area else track.area + RATE * (area - track.area)
        told = sure and area > SEEN * track.area
        back = _outside(visible, track.shape()) if told else np.zeros(2)
        offset = track.offset + back
        return replace(track, visible=visible, area=kept, offset=offset, sure=sure)
    step = _centre(visible) - was
    return replace(
        track,
        template=visible,
        offset=np.zeros(2),
        motion=track.motion + RATE * (step - track.motion),
        colours=track.colours + RATE * (histogram(bins[visible]) - track.colours),
        area=area,
        visible=visible,
        sure=True,
    )


def _outside(visible: Mask, shape: Mask) -> Pair:
    """By how much a shape must move for what is seen of it to lie in its box."""
    if not shape.any():
        return np.zeros(2)
    moves = []
    for axis in (0, 1):  # columns, then rows
        low, high = np.quantile(np.nonzero(visible.any(axis))[0], [0.1, 0.9])
        least, most = np.nonzero(shape.any(axis))[0][[0, -1]]
        moves.append(min(low - least, 0.0) + max(high - most, 0.0))
    return np.array(moves)


def _found_again(
    tracks: Sequence[Track], owned: Labels, parts: list[Mask], bins: NDArray[np.intp]
) -> Labels:
    """Parts that nobody has, or that are not their owner's largest, go to who was out of sight."""
    owned = owned.copy()
    for label, track in enumerate(tracks, start=1):
        if (owned == label).any() or (track.shape() & (owned > 0)).sum() > WHOLE * track.area:
            continue  # seen, or behind somebody
        spare = [part for part in parts if _is_spare(part, owned, parts, track)]
        fits = [likeness(track.colours, part, bins) + _nearness(track, part) for part in spare]
        if fits and max(fits) >= AGAIN:
            owned[spare[int(np.argmax(fits))]] = label
    return owned


def _is_spare(part: Mask, owned: Labels, parts: list[Mask], track: Track) -> bool:
    if not 0.25 * track.area <= part.sum() <= 4 * track.area:
        return False
    owners = np.unique(owned[part])
    if len(owners) > 1:
        return False
    others = [other.sum() for other in parts if (owned[other] == owners[0]).any()]
    return owners[0] == 0 or max(others) > part.sum()


def _nearness(track: Track, part: Mask) -> float:
    """1 where a part is in a track's place, falling with the distance in sizes of the track."""
    away = np.linalg.norm(_centre(part) - track.centre())
    return float(np.exp(-away / (2 * np.sqrt(track.area))))


def _with_newcomers(
    tracks: list[Track], owned: Labels, parts: list[Mask], bins: NDArray[np.intp]
) -> tuple[Labels, list[Track]]:
    """Parts that are still nobody's: limbs of who is near, or somebody new."""
    tracks, owned = list(tracks), owned.copy()
    for part in parts:
        if (owned[part] > 0).any():
            continue
        away = [
            distances(track.visible)[part].min() / np.sqrt(track.area)
            if track.visible.any()
            else np.inf
            for track in tracks
        ]
        if away and min(away) <= LIMB:
            owned[part] = int(np.argmin(away)) + 1
        elif part.sum() >= SPECK * part.size and len(tracks) < MOST:
            tracks.append(_new(part, bins))
            owned[part] = len(tracks)
    return owned, tracks


def _new(visible: Mask, bins: NDArray[np.intp]) -> Track:
    still = np.zeros(2)
    return Track(
        visible, still, still, histogram(bins[visible]), float(max(visible.sum(), 1)), visible
    )


def _enlarged(owned: Labels, cells: Mask, mask: Mask) -> Labels:
    """The owners of a mask's pixels, from those of the grid's cells: that of the nearest cell."""
    labels = np.unique(owned[cells])
    if not len(labels):
        return np.zeros(mask.shape, np.uint8)
    nearest = np.stack([distances(cells & (owned == label)) for label in labels]).argmin(0)
    return _resized(labels[nearest], mask.shape) * mask


def _small(frame: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """A frame on the grid, and the bins of its colours."""
    import cv2

    height, width = frame.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small: Any = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return small, bins_of(small)


def _resized(labels: Labels, shape: tuple[int, ...]) -> Labels:
    import cv2

    size = (shape[1], shape[0])
    resized: Any = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT)
    return resized


def _grey(small: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2

    grey: Any = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    return grey


def _centre(mask: Mask) -> Pair:
    rows, columns = np.nonzero(mask)
    return np.array([columns.mean(), rows.mean()]) if len(rows) else np.zeros(2)
