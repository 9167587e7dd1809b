"""Colours and connected parts of pictures, for the judge."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from .vocabulary import Colour

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

COLOUR_TOLERANCE = 0.28
"""Largest RGB distance (0..sqrt 3) at which a pixel counts as of a colour."""


def nearest(pixels: Array, palette: Sequence[Colour]) -> tuple[NDArray, Array]:
    """Index of and distance to the nearest colour of a palette, per pixel."""
    distance = np.linalg.norm(
        pixels[..., None, :] - np.asarray(palette, np.float32), axis=-1
    )  # ... c
    return distance.argmin(-1), distance.min(-1)


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
