"""Colours and connected parts of pictures, for the judge."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from .vocabulary import SIZE, Colour

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

COLOUR_TOLERANCE = 0.28
"""Largest RGB distance (0..sqrt 3) at which a pixel counts as of a colour."""


def no_cover() -> Array:
    """(128, 128): of what covers no pixel."""
    return np.zeros((SIZE, SIZE), np.float32)


def distance(pixels: Array, other: Array) -> Array:
    """RGB distance (...) of pixels (..., 3) to others, or to one colour."""
    red, green, blue = np.moveaxis(pixels - other, -1, 0)
    return np.sqrt(red * red + green * green + blue * blue)


def nearest(pixels: Array, palette: Sequence[Colour], where: Mask) -> tuple[NDArray, Array]:
    """Index of and distance to the nearest colour of a palette, per pixel of a mask; elsewhere -1
    and infinite."""
    index, least = np.full(where.shape, -1), np.full(where.shape, np.inf, np.float32)
    colours = np.asarray(palette, np.float32)
    apart = distance(pixels[where][:, None], colours)  # n c
    index[where], least[where] = apart.argmin(-1), apart.min(-1)
    return index, least


def components(mask: Mask, smallest: int) -> list[Mask]:
    """Connected parts of at least so many pixels."""
    number, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8
    )
    return [labels == k for k in range(1, number) if stats[k, cv2.CC_STAT_AREA] >= smallest]


def opened(mask: Mask, size: int) -> Mask:
    """A mask without what is narrower than this many pixels."""
    kernel = np.ones((size, size))
    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, kernel) > 0
