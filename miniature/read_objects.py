"""Reads objects from a picture: fits the four shapes to what has an object's colour."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from . import drawing
from .pixels import COLOUR_TOLERANCE, Array, Mask, components, distance, nearest, no_cover, opened
from .vocabulary import OBJECT_COLOURS, SHAPES, SIZE

MIN_AREA = 120
_MIN_SHAPE_IOU = 0.80
_MIN_SHAPE_MARGIN = 0.01
_AROUND = 10
"""Pixels around a mask in which shapes are drawn to be compared with it."""


@dataclass(frozen=True)
class FoundObject:
    """An object in a picture: colour and shape (None: undetermined), centre and extent in px.

    angle: radians that it is turned clockwise, of what was read as possibly turned. fit: overlap
    with its shape, 0 where none fits. cover: (128, 128) float32, the share of each pixel that is
    its own.
    """

    colour: str | None
    shape: str | None
    x: float
    y: float
    radius: float
    angle: float = 0.0
    fit: float = 0.0
    cover: Array = field(default_factory=no_cover, compare=False, repr=False)


def read_objects(
    pixels: Array, blob: Mask, template: Array, turned: bool = False
) -> list[FoundObject]:
    """Objects of a blob; a blob of several colours is one object per colour.

    turned: read shapes at any angle, up to their own symmetry.
    """
    names = list(OBJECT_COLOURS)
    index, apart = nearest(pixels, list(OBJECT_COLOURS.values()), blob)
    found: list[FoundObject] = []
    for k, name in enumerate(names):
        sure = (index == k) & (apart < COLOUR_TOLERANCE)
        for part in components(opened(sure, 3), MIN_AREA):
            cover = _cover(pixels, part, template, OBJECT_COLOURS[name])
            found.append(_fit_shape(cover, name, turned))
    if not found:
        found.append(_fit_shape(blob.astype(np.float32), None, turned))
    return found


def _cover(pixels: Array, part: Mask, template: Array, colour: drawing.Colour) -> Array:
    """Share of a colour before the background, of the pixels near a part that are of both."""
    near = cv2.dilate(part.astype(np.uint8), np.ones((5, 5))) > 0
    span = np.asarray(colour, np.float32) - template
    alpha = ((pixels - template) * span).sum(-1) / np.maximum((span**2).sum(-1), 1e-6)
    residue = distance(pixels, template + alpha[..., None] * span)
    return np.where(near & (residue < COLOUR_TOLERANCE), np.clip(alpha, 0, 1), 0)


def _fit_shape(cover: Array, colour: str | None, turned: bool) -> FoundObject:
    """Fit every shape by overlap; the best one where it is good and clearly the best."""
    mask = cover > 0.5
    if not mask.any():
        return FoundObject(colour, None, float("nan"), float("nan"), 0.0)
    angles = _angles(cover) if turned else {}
    views = {name: _View(mask, angles.get(name, 0.0)) for name in SHAPES}
    scores = {name: view.best_overlap(name) for name, view in views.items()}
    ranked = sorted(scores, key=lambda name: scores[name], reverse=True)
    best, second = scores[ranked[0]], scores[ranked[1]]
    sure = best >= _MIN_SHAPE_IOU and best - second >= _MIN_SHAPE_MARGIN
    view = views[ranked[0]] if sure else _View(mask)
    shape = ranked[0] if sure else None
    fit = float(best) if sure else 0.0
    return FoundObject(colour, shape, *view.centre, view.place[2], view.angle, fit, cover)


def _angles(cover: Array) -> dict[str, float]:
    """How far each shape would be turned, by the moments that its symmetry leaves."""
    rows, columns = np.nonzero(cover)
    weight = cover[rows, columns]
    points = columns + 1j * rows
    points = points - np.average(points, weights=weight)
    third, fourth = (weight * points**3).sum(), (weight * points**4).sum()
    return {
        "square": float(np.angle(-fourth)) / 4,
        "cross": float(np.angle(fourth)) / 4,
        "triangle": float(np.angle(-1j * third)) / 3,
    }


class _View:
    """A mask as it is seen when the picture is turned back by an angle.

    place: (x, y, radius) of what it covers there. centre: the same in the picture.
    """

    def __init__(self, mask: Mask, angle: float = 0.0) -> None:
        self.angle, self._turn = angle, (float(np.cos(angle)), float(np.sin(angle)))
        rows, columns = np.nonzero(mask)
        x, y = self._turned(columns + 0.5, rows + 0.5)
        radius = max(float(np.ptp(x)), float(np.ptp(y))) / 2 + 0.5
        self.place = float(x.min() + x.max()) / 2, float(y.min() + y.max()) / 2, radius
        cosine, sine = self._turn
        across, down, _ = self.place
        self.centre = cosine * across - sine * down, sine * across + cosine * down
        window = tuple(
            slice(max(0, int(at.min()) - _AROUND), min(SIZE, int(at.max()) + _AROUND + 1))
            for at in (rows, columns)
        )
        grid = np.arange(SIZE, dtype=np.float32) + np.float32(0.5)
        self._mask = mask[window]
        self._grid = self._turned(grid[None, window[1]], grid[window[0], None])

    def _turned(self, x: NDArray, y: NDArray) -> tuple[NDArray, NDArray]:
        if not self.angle:
            return x, y
        cosine, sine = self._turn
        return cosine * x + sine * y, cosine * y - sine * x

    def best_overlap(self, name: str) -> float:
        """Highest IoU of a shape with the mask, by coordinate search over centre and radius."""

        def overlap(place: tuple[float, float, float]) -> float:
            drawn = drawing.shape(name, *place)(*self._grid) < 0
            both = np.count_nonzero(drawn & self._mask)
            return both / max(1, np.count_nonzero(drawn) + np.count_nonzero(self._mask) - both)

        place, best = self.place, overlap(self.place)
        for step in (3.0, 1.5, 0.75):
            for _ in range(3):
                tried = [
                    tuple(v + step * sign * (axis == k) for k, v in enumerate(place))
                    for axis in range(3)
                    for sign in (-1, 1)
                ]
                large = ((overlap(p), p) for p in tried if p[2] > 4)  # type: ignore
                score, candidate = max(large, default=(0.0, place))
                if score <= best:
                    break
                best, place = score, candidate  # type: ignore[assignment]
        return best
