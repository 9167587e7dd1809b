"""Reads objects from a picture: fits the four shapes to what has an object's colour."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from . import drawing
from .pixels import COLOUR_TOLERANCE, Array, Mask, components, nearest, opened
from .vocabulary import OBJECT_COLOURS, SHAPES, SIZE

MIN_AREA = 120
_MIN_SHAPE_IOU = 0.80
_MIN_SHAPE_MARGIN = 0.01


@dataclass(frozen=True)
class FoundObject:
    """An object in a picture: colour and shape (None: undetermined), centre and extent in px."""

    colour: str | None
    shape: str | None
    x: float
    y: float
    radius: float


def read_objects(pixels: Array, blob: Mask, template: Array) -> list[FoundObject]:
    """Objects of a blob; a blob of several colours is one object per colour."""
    names = list(OBJECT_COLOURS)
    index, distance = nearest(pixels, list(OBJECT_COLOURS.values()))
    found: list[FoundObject] = []
    for k, name in enumerate(names):
        sure = blob & (index == k) & (distance < COLOUR_TOLERANCE)
        for part in components(opened(sure, 3), MIN_AREA):
            mask = _soft_mask(pixels, part, template, OBJECT_COLOURS[name])
            found.append(_fit_shape(mask, name))
    if not found:
        found.append(_fit_shape(blob, None))
    return found


def _soft_mask(pixels: Array, part: Mask, template: Array, colour: drawing.Colour) -> Mask:
    """Pixels near a part that are at least half its colour and half the background's."""
    near = cv2.dilate(part.astype(np.uint8), np.ones((5, 5))) > 0
    span = np.asarray(colour, np.float32) - template
    alpha = ((pixels - template) * span).sum(-1) / np.maximum((span**2).sum(-1), 1e-6)
    residue = np.linalg.norm(pixels - template - alpha[..., None] * span, axis=-1)
    return near & (alpha > 0.5) & (residue < COLOUR_TOLERANCE)


def _fit_shape(mask: Mask, colour: str | None) -> FoundObject:
    """Fit every shape by overlap; the best one where it is good and clearly the best."""
    rows, cols = np.nonzero(mask)
    if len(rows) == 0:
        return FoundObject(colour, None, float("nan"), float("nan"), 0.0)
    x = (float(cols.min()) + float(cols.max()) + 1) / 2
    y = (float(rows.min()) + float(rows.max()) + 1) / 2
    radius = max(float(np.ptp(cols)) + 1, float(np.ptp(rows)) + 1) / 2
    scores = {name: _best_overlap(mask, name, x, y, radius) for name in SHAPES}
    ranked = sorted(scores, key=lambda name: scores[name], reverse=True)
    best, second = scores[ranked[0]], scores[ranked[1]]
    sure = best >= _MIN_SHAPE_IOU and best - second >= _MIN_SHAPE_MARGIN
    return FoundObject(colour, ranked[0] if sure else None, x, y, radius)


def _best_overlap(mask: Mask, name: str, x: float, y: float, radius: float) -> float:
    """Highest IoU of a shape with the mask, by coordinate search over centre and radius."""
    grid = np.arange(SIZE, dtype=np.float32) + np.float32(0.5)

    def overlap(place: tuple[float, float, float]) -> float:
        drawn = drawing.shape(name, *place)(grid[None, :], grid[:, None]) < 0
        both = np.count_nonzero(drawn & mask)
        return both / max(1, np.count_nonzero(drawn) + np.count_nonzero(mask) - both)

    place = (x, y, radius)
    best = overlap(place)
    for step in (3.0, 1.5, 0.75):
        for _ in range(3):
            tried = [
                tuple(v + step * sign * (axis == k) for k, v in enumerate(place))
                for axis in range(3)
                for sign in (-1, 1)
            ]
            score, candidate = max((overlap(p), p) for p in tried if p[2] > 4)  # type: ignore
            if score <= best:
                break
            best, place = score, candidate  # type: ignore[assignment]
    return best
