"""The judge: what a picture shows, from its pixels alone. No network and no knowledge of a prompt.

It reads the background against the seven known ones, takes what differs from it as foreground,
reads figures by their parts and fits the four shapes to everything else. What does not clearly
show one thing is ``None``: undetermined, which never counts as right.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from . import drawing
from .pixels import Array, components, distance, opened
from .read_figures import FoundFigure, find_faces, read_figures
from .read_objects import MIN_AREA, FoundObject, read_objects
from .vocabulary import BACKGROUNDS, RELATIONS, SIZE

BACKGROUND_TOLERANCE = 0.16
"""Largest RGB distance (0..sqrt 3) at which a pixel counts as a background's."""
MIN_BACKGROUND = 0.30
PANS = range(-14, 15)
"""Pixels by which a camera may have moved a background."""


def _black() -> Array:
    return np.zeros((SIZE, SIZE, 3), np.float32)


@dataclass(frozen=True)
class Analysis:
    """What a picture shows. behind: (128, 128, 3), the background that is nearest to it."""

    background: str | None
    objects: tuple[FoundObject, ...]
    figures: tuple[FoundFigure, ...]
    behind: Array = field(default_factory=_black, compare=False, repr=False)

    @property
    def count(self) -> int:
        """Objects and figures together."""
        return len(self.objects) + len(self.figures)


def analyse(image: NDArray, in_motion: bool = False) -> Analysis:
    """Read a picture (128, 128, 3), float in 0..1 or uint8, sRGB.

    in_motion: of the world in motion, where shapes may be turned and the camera may have moved.
    Raises ValueError for another shape.
    """
    if image.shape != (SIZE, SIZE, 3):
        raise ValueError(f"the judge reads pictures of {SIZE}x{SIZE}x3, got {image.shape}")
    scale = 255 if image.dtype == np.uint8 else 1
    pixels = (image / scale).astype(np.float32)
    name, template, share = _read_background(pixels, in_motion)
    apart = distance(pixels, template)
    foreground, cover = apart > BACKGROUND_TOLERANCE, apart / (2 * BACKGROUND_TOLERANCE)
    objects: list[FoundObject] = []
    figures: list[FoundFigure] = []
    for blob in components(opened(foreground, 3), MIN_AREA):
        if faces := find_faces(pixels, blob):
            figures += read_figures(pixels, blob, faces, np.minimum(cover, 1))
        else:
            objects += read_objects(pixels, blob, template, turned=in_motion)
    background = name if share >= MIN_BACKGROUND else None
    return Analysis(
        background,
        tuple(sorted(objects, key=lambda o: (o.x, o.y))),
        tuple(sorted(figures, key=lambda f: (f.x, f.y))),
        template,
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


@cache
def _backgrounds() -> dict[str, Array]:
    return {name: drawing.background(name) for name in BACKGROUNDS}


def _read_background(pixels: Array, panned: bool) -> tuple[str, Array, float]:
    """(name, picture, share): the background that the largest share of the pixels is near to.

    panned: the camera may have moved it along x; only of the checkered one can that be seen.
    """

    def near(picture: Array, every: int = 1) -> float:
        apart = distance(pixels[::every], picture[::every])
        return float((apart < BACKGROUND_TOLERANCE).mean())

    pictures = _backgrounds()
    shares = {name: near(picture) for name, picture in pictures.items()}
    best = max(shares, key=lambda name: shares[name])
    picture, share = pictures[best], shares[best]
    if panned and best == "checkered":
        moved = {shift: np.roll(picture, shift, axis=1) for shift in PANS}
        picture = moved[max(moved, key=lambda shift: (near(moved[shift], every=4), -abs(shift)))]
        share = near(picture)
    return best, picture, share
