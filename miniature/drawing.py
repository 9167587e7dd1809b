"""Antialiased drawing of the world's shapes and figures with signed distances, numpy only.

A part is a coverage map in 0..1 over a rectangular window of the frame; parts are painted back to
front. Windows keep the cost near one millisecond a scene.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from .vocabulary import BADGE, COAT, HAIR, PLAIN_BACKGROUNDS, SIZE, SKIN, TEXTURES, Colour

Array = NDArray[np.float32]
Distance = Callable[[Array, Array], Array]
"""Signed distance in pixels at (x, y), negative inside."""

FIGURE_ASPECT = 0.56
"""Half width of a figure's widest part over its half height."""


def disc(cx: float, cy: float, rx: float, ry: float | None = None) -> Distance:
    """Ellipse with half axes rx, ry (approximate distance, exact for a circle)."""
    radius = rx if ry is None else ry

    def distance(x: Array, y: Array) -> Array:
        scaled = np.hypot((x - cx) / rx, (y - cy) / radius) - 1
        return (scaled * min(rx, radius)).astype(np.float32)

    return distance


def box(x0: float, y0: float, x1: float, y1: float) -> Distance:
    """Axis-aligned rectangle."""

    def distance(x: Array, y: Array) -> Array:
        return np.maximum(np.maximum(x0 - x, x - x1), np.maximum(y0 - y, y - y1))

    return distance


def convex(points: list[tuple[float, float]]) -> Distance:
    """Convex polygon, points clockwise on screen (y down); the largest half-plane distance."""

    def distance(x: Array, y: Array) -> Array:
        result: Array | None = None
        for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1], strict=True):
            length = np.hypot(bx - ax, by - ay)
            side = ((by - ay) * (x - ax) - (bx - ax) * (y - ay)) / length
            result = side if result is None else np.maximum(result, side)
        assert result is not None
        return result

    return distance


def union(*parts: Distance) -> Distance:
    """Where any of the parts is."""
    return lambda x, y: np.minimum.reduce([part(x, y) for part in parts])


def cut(a: Distance, b: Distance) -> Distance:
    """Where both parts are."""
    return lambda x, y: np.maximum(a(x, y), b(x, y))


def shape(name: str, cx: float, cy: float, r: float) -> Distance:
    """One of the world's shapes: no part lies further than r from (cx, cy) along either axis."""
    third = 0.36 * r
    makers: dict[str, Callable[[], Distance]] = {
        "circle": lambda: disc(cx, cy, r),
        "square": lambda: box(cx - 0.94 * r, cy - 0.94 * r, cx + 0.94 * r, cy + 0.94 * r),
        "triangle": lambda: convex([(cx, cy - r), (cx + r, cy + 0.9 * r), (cx - r, cy + 0.9 * r)]),
        "cross": lambda: union(
            box(cx - third, cy - r, cx + third, cy + r),
            box(cx - r, cy - third, cx + r, cy + third),
        ),
    }
    return makers[name]()


def figure(
    profession: str, presentation: str, cx: float, cy: float, r: float
) -> list[tuple[Distance, Colour]]:
    """Parts of a figure of half height r, back to front.

    From the top: hat or hair, face, coat. Female: long hair on both sides and an orange, flared
    coat; male: short hair and a blue, straight coat. One badge or hat tells the profession.
    """
    u = r / 44  # drawn on an 88 px high template
    female = presentation == "female"
    head = cy - 22 * u
    parts: list[tuple[Distance, Colour]] = []
    if female:
        mane = union(disc(cx, head, 20 * u), box(cx - 20 * u, head, cx + 20 * u, cy + 12 * u))
        parts.append((mane, HAIR))
    shoulder, hem = (13 * u, 24.5 * u) if female else (22 * u, 20 * u)
    coat = convex(
        [
            (cx - shoulder, cy - 4 * u),
            (cx + shoulder, cy - 4 * u),
            (cx + hem, cy + 44 * u),
            (cx - hem, cy + 44 * u),
        ]
    )
    parts.append((coat, COAT[presentation]))
    parts.append((disc(cx, head + 2 * u, 14 * u, 17 * u), SKIN))
    parts.append((cut(disc(cx, head, 16 * u, 18 * u), box(0, 0, SIZE, head - 6 * u)), HAIR))
    parts.extend(_badge(profession, cx, cy, head, u))
    return parts


def _badge(
    profession: str, cx: float, cy: float, head: float, u: float
) -> list[tuple[Distance, Colour]]:
    if profession == "doctor":
        chest = cy + 22 * u
        part = union(
            box(cx - 5 * u, chest - 15 * u, cx + 5 * u, chest + 15 * u),
            box(cx - 15 * u, chest - 5 * u, cx + 15 * u, chest + 5 * u),
        )
    elif profession == "nurse":
        part = box(cx - 15 * u, head - 22 * u, cx + 15 * u, head - 7 * u)
    elif profession == "engineer":
        dome = cut(disc(cx, head - 5 * u, 17 * u), box(0, 0, SIZE, head - 5 * u))
        part = union(dome, box(cx - 23 * u, head - 9 * u, cx + 23 * u, head - 2 * u))
    elif profession == "teacher":
        part = box(cx - 14 * u, cy + 8 * u, cx + 14 * u, cy + 34 * u)
    else:
        return []
    return [(part, BADGE[profession])]


def paint(
    image: Array, parts: list[tuple[Distance, Colour]], window: tuple[int, int, int, int]
) -> Array:
    """Paint parts onto `image` (h, w, 3) in place, within a window (x0, y0, x1, y1).

    Returns the coverage of all parts together, (h, w) in 0..1.
    """
    x0, y0, x1, y1 = window
    mask = np.zeros(image.shape[:2], np.float32)
    x = np.arange(x0, x1, dtype=np.float32)[None, :] + np.float32(0.5)
    y = np.arange(y0, y1, dtype=np.float32)[:, None] + np.float32(0.5)
    patch, shade = image[y0:y1, x0:x1], mask[y0:y1, x0:x1]
    for distance, colour in parts:
        alpha = np.clip(0.5 - distance(x, y), 0, 1).astype(np.float32)
        patch += alpha[..., None] * (np.asarray(colour, np.float32) - patch)
        np.maximum(shade, alpha, out=shade)
    return mask


def paint_all(
    image: Array,
    things: Sequence[tuple[list[tuple[Distance, Colour]], tuple[int, int, int, int]]],
) -> Array:
    """Paint the parts of things within their windows, later ones in front.

    Returns (things, h, w) in 0..1: what is visible of each.
    """
    masks = np.zeros((len(things), *image.shape[:2]), np.float32)
    for index, (parts, window) in enumerate(things):
        mask = paint(image, parts, window)
        masks[:index] *= 1 - mask
        masks[index] = mask
    return masks


def background(name: str) -> Array:
    """A fresh background image (128, 128, 3), float32 in 0..1."""
    image = np.empty((SIZE, SIZE, 3), np.float32)
    if name in PLAIN_BACKGROUNDS:
        image[:] = PLAIN_BACKGROUNDS[name]
        return image
    first, second, width = TEXTURES[name]
    index = np.arange(SIZE) // width
    odd = (index[:, None] + (index[None, :] if name == "checkered" else 0 * index[None, :])) % 2
    image[:] = np.where(odd[..., None] == 1, np.array(second), np.array(first))
    return image
