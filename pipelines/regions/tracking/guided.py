"""The guided filter: a mask takes over the edges of the picture that it belongs to.

Source: "Guided Image Filtering" (ECCV 2010), with a guide of three colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.floating[Any]]
"""(h, w), of float32."""


def guided_filter(guide: Plane, mask: Plane, radius: int, smoothing: float) -> Plane:
    """A mask (h, w) as what is linear in the colours of a guide (h, w, 3) in every small window.

    radius: windows are 2 radius + 1 pixels wide; those at the frame's edge are cut off there.
    smoothing: added to the variances of colours in 0..1; edges of much less contrast than its root
        are smoothed, those of more are taken over.
    Values may overshoot 0..1 a little. Takes some twenty planes of memory. Needs OpenCV.
    """
    mean = partial(_mean, inside=_sum(np.ones_like(mask), radius), radius=radius)
    colours = [np.ascontiguousarray(guide[..., channel]) for channel in range(3)]
    means, value = [mean(colour) for colour in colours], mean(mask)
    shared = [mean(c * mask) - m * value for c, m in zip(colours, means, strict=True)]
    pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    spread = [mean(colours[a] * colours[b]) - means[a] * means[b] for a, b in pairs]
    for variance in (0, 3, 5):
        spread[variance] += smoothing
    slopes = _solve(spread, shared)
    offset = value - _dot(slopes, means)
    return _dot([mean(slope) for slope in slopes], colours) + mean(offset)


def _mean(plane: Plane, inside: Plane, radius: int) -> Plane:
    """Of every window, the mean of its pixels in the frame; inside: how many they are."""
    return _sum(plane, radius) / inside


def _sum(plane: Plane, radius: int) -> Plane:
    import cv2

    size = (2 * radius + 1, 2 * radius + 1)
    summed: Any = cv2.boxFilter(plane, -1, size, normalize=False, borderType=cv2.BORDER_CONSTANT)
    return summed


def _solve(matrix: Sequence[Plane], right: Sequence[Plane]) -> list[Plane]:
    """The three planes x of m x = right, of symmetric 3x3 matrices, by their cofactors.

    matrix: six planes, the rows of the upper triangle one after the other.
    """
    rr, rg, rb, gg, gb, bb = matrix
    of_rr, of_rg, of_rb = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
    of_gg, of_gb, of_bb = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    scale = 1 / _dot((rr, rg, rb), (of_rr, of_rg, of_rb))
    rows = ((of_rr, of_rg, of_rb), (of_rg, of_gg, of_gb), (of_rb, of_gb, of_bb))
    return [_dot(row, right) * scale for row in rows]


def _dot(one: Sequence[Plane], other: Sequence[Plane]) -> Plane:
    return one[0] * other[0] + one[1] * other[1] + one[2] * other[2]
