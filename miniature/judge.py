"""The judge: what a picture shows, from its pixels alone. No network and no knowledge of a prompt.

It reads the background against the seven known ones, takes what differs from it as foreground,
reads figures by their parts and fits the four shapes to everything else. What does not clearly
show one thing is ``None``: undetermined, which never counts as right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import drawing
from .pixels import Array, components, opened
from .read_figures import FoundFigure, find_faces, read_figures
from .read_objects import MIN_AREA, FoundObject, read_objects
from .vocabulary import BACKGROUNDS, RELATIONS, SIZE

BACKGROUND_TOLERANCE = 0.16
"""Largest RGB distance (0..sqrt 3) at which a pixel counts as a background's."""
MIN_BACKGROUND = 0.30


@dataclass(frozen=True)
class Analysis:
    """What a picture shows."""

    background: str | None
    objects: tuple[FoundObject, ...]
    figures: tuple[FoundFigure, ...]

    @property
    def count(self) -> int:
        """Objects and figures together."""
        return len(self.objects) + len(self.figures)


def analyse(image: NDArray) -> Analysis:
    """Read a picture (128, 128, 3), float in 0..1 or uint8, sRGB.

    Raises ValueError for another shape.
    """
    if image.shape != (SIZE, SIZE, 3):
        raise ValueError(f"the judge reads pictures of {SIZE}x{SIZE}x3, got {image.shape}")
    scale = 255 if image.dtype == np.uint8 else 1
    pixels = (image / scale).astype(np.float32)
    name, template, share = _read_background(pixels)
    foreground = np.linalg.norm(pixels - template, axis=-1) > BACKGROUND_TOLERANCE
    objects: list[FoundObject] = []
    figures: list[FoundFigure] = []
    for blob in components(opened(foreground, 3), MIN_AREA):
        if faces := find_faces(pixels, blob):
            figures += read_figures(pixels, blob, faces)
        else:
            objects += read_objects(pixels, blob, template)
    background = name if share >= MIN_BACKGROUND else None
    return Analysis(
        background,
        tuple(sorted(objects, key=lambda o: (o.x, o.y))),
        tuple(sorted(figures, key=lambda f: (f.x, f.y))),
    )


def relations(a: FoundObject | FoundFigure, b: FoundObject | FoundFigure) -> frozenset[str]:
    """Relations of a to b that hold: the direction that clearly dominates, else none."""
    dx, dy = a.x - b.x, a.y - b.y
    held = {
        name
        for name, (ux, uy) in RELATIONS.items()
        if dx * ux + dy * uy > 8 and dx * ux + dy * uy > 1.2 * abs(dx * uy + dy * ux)
    }
    return frozenset(held)


def _read_background(pixels: Array) -> tuple[str, Array, float]:
    """(name, picture, share): the background that the largest share of the pixels is near to."""

    def near(picture: Array) -> float:
        distance = np.linalg.norm(pixels - picture, axis=-1)
        return float((distance < BACKGROUND_TOLERANCE).mean())

    pictures = {name: drawing.background(name) for name in BACKGROUNDS}
    shares = {name: near(picture) for name, picture in pictures.items()}
    best = max(shares, key=lambda name: shares[name])
    return best, pictures[best], shares[best]
