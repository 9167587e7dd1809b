"""The judge: what a picture shows, from its pixels alone. No network and no knowledge of a prompt.

It reads the background against the seven known ones, takes what differs from it as foreground,
reads figures by their parts and fits the four shapes to everything else. What does not clearly
show one thing is ``None``: undetermined, which never counts as right.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from . import drawing
from .vocabulary import (
    BACKGROUNDS,
    BADGE,
    COAT,
    HAIR,
    OBJECT_COLOURS,
    RELATIONS,
    SHAPES,
    SIZE,
    SKIN,
)

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

BACKGROUND_TOLERANCE = 0.16
"""Largest RGB distance (0..sqrt 3) at which a pixel counts as a background's."""
COLOUR_TOLERANCE = 0.28
MIN_BACKGROUND = 0.30
MIN_AREA = 120
MIN_SHAPE_IOU = 0.80
MIN_SHAPE_MARGIN = 0.01
MIN_FACE = 110

_PARTS = {
    "skin": SKIN,
    "hair": HAIR,
    "female": COAT["female"],
    "male": COAT["male"],
    "white": BADGE["doctor"],
    "yellow": BADGE["engineer"],
    "green": BADGE["teacher"],
}
# Areas of the parts on the template of drawing.figure, in square units of u = half height / 44.
_BADGE_AREA = {"doctor": 500.0, "nurse": 450.0, "engineer": 720.0, "teacher": 728.0}
_COAT_AREA = 1800.0
_MANE_AREA = 300.0
_FACE_TO_HEM = 65.0


@dataclass(frozen=True)
class FoundObject:
    """An object in a picture: colour and shape (None: undetermined), centre and extent in px."""

    colour: str | None
    shape: str | None
    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class FoundFigure:
    """A figure in a picture: profession and presentation (None: undetermined), centre in px."""

    profession: str | None
    presentation: str | None
    x: float
    y: float


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
    """Read a picture.

    Args:
        image: (128, 128, 3), float in 0..1 or uint8, sRGB.

    Raises:
        ValueError: another shape.
    """
    if image.shape != (SIZE, SIZE, 3):
        raise ValueError(f"the judge reads pictures of {SIZE}x{SIZE}x3, got {image.shape}")
    scale = 255 if image.dtype == np.uint8 else 1
    pixels = (image / scale).astype(np.float32)
    name, template, share = _read_background(pixels)
    foreground = np.linalg.norm(pixels - template, axis=-1) > BACKGROUND_TOLERANCE
    opened = cv2.morphologyEx(foreground.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3)))
    number, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=8)
    objects: list[FoundObject] = []
    figures: list[FoundFigure] = []
    for label in range(1, number):
        if stats[label, cv2.CC_STAT_AREA] < MIN_AREA:
            continue
        blob = labels == label
        faces = _faces(pixels, blob)
        if faces:
            figures += _read_figures(pixels, blob, faces)
        else:
            objects += _read_objects(pixels, blob, template)
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


def subject_path(
    frames: Iterable[NDArray], colour: str | None = None, shape: str | None = None
) -> NDArray[np.float64]:
    """Centre of the subject on each frame, (f, 2) in px; NaN where it is not found.

    The subject is the object of the given colour and shape (either may be left out), or the
    leftmost figure where neither is given.
    """
    path: list[tuple[float, float]] = []
    for frame in frames:
        seen = analyse(frame)
        found: Sequence[FoundObject | FoundFigure] = seen.figures
        if colour is not None or shape is not None:
            found = [
                o for o in seen.objects if colour in (None, o.colour) and shape in (None, o.shape)
            ]
        path.append((found[0].x, found[0].y) if found else (np.nan, np.nan))
    return np.array(path)


def _read_background(pixels: Array) -> tuple[str, Array, float]:
    best: tuple[str, Array, float] | None = None
    for name in BACKGROUNDS:
        template = drawing.background(name)
        near = np.linalg.norm(pixels - template, axis=-1) < BACKGROUND_TOLERANCE
        share = float(near.mean())
        if best is None or share > best[2]:
            best = (name, template, share)
    assert best is not None
    return best


def _nearest(pixels: Array, palette: Sequence[drawing.Colour]) -> tuple[NDArray, Array]:
    """Index of and distance to the nearest colour of a palette, per pixel."""
    distance = np.linalg.norm(
        pixels[..., None, :] - np.asarray(palette, np.float32), axis=-1
    )  # ... c
    return distance.argmin(-1), distance.min(-1)


def _components(mask: Mask, smallest: int) -> list[Mask]:
    number, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8
    )
    return [labels == k for k in range(1, number) if stats[k, cv2.CC_STAT_AREA] >= smallest]


def _part_map(pixels: Array) -> NDArray:
    """Index into ``_PARTS`` per pixel, -1 where no part is near."""
    # The object colours take part, so that a purple or red blob is no skin or hair.
    extra = [OBJECT_COLOURS[name] for name in ("red", "purple")]
    index, distance = _nearest(pixels, [*_PARTS.values(), *extra])
    return np.where((distance < COLOUR_TOLERANCE) & (index < len(_PARTS)), index, -1)


def _faces(pixels: Array, blob: Mask) -> list[Mask]:
    skin = (_part_map(pixels) == list(_PARTS).index("skin")) & blob
    core = cv2.morphologyEx(skin.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5)))
    return _components(core > 0, MIN_FACE)


def _read_figures(pixels: Array, blob: Mask, faces: list[Mask]) -> list[FoundFigure]:
    """Read each figure of a blob; figures that touch are cut apart halfway between their faces."""
    columns = np.arange(SIZE)
    centres = np.array([np.nonzero(face)[1].mean() for face in faces])
    owner = np.abs(columns[:, None] - centres[None, :]).argmin(1)
    return [
        _read_figure(pixels, blob & (owner == k)[None, :], face) for k, face in enumerate(faces)
    ]


def _read_figure(pixels: Array, body: Mask, face: Mask) -> FoundFigure:
    rows, cols = np.nonzero(body)
    face_y = float(np.nonzero(face)[0].mean())
    bottom = float(np.quantile(rows, 0.995))
    unit = max((bottom - face_y) / _FACE_TO_HEM, 1e-3)
    parts = _part_map(pixels)
    area = {}
    below = np.arange(SIZE)[:, None] > face_y
    chest = np.arange(SIZE)[:, None] > face_y + 14 * unit
    for index, name in enumerate(_PARTS):
        mask = (parts == index) & body
        area[name] = float(mask.sum()) / unit**2
        area[name, "below"] = float((mask & below).sum()) / unit**2
        area[name, "chest"] = float((mask & chest).sum()) / unit**2
    x, y = (float(cols.min() + cols.max()) / 2, float(rows.min() + rows.max()) / 2)
    return FoundFigure(_profession(area), _presentation(area), x, y)


def _profession(area: dict) -> str | None:
    shares = {
        "doctor": area["white", "chest"] / _BADGE_AREA["doctor"],
        "nurse": (area["white"] - area["white", "below"]) / _BADGE_AREA["nurse"],
        "engineer": (area["yellow"] - area["yellow", "below"]) / _BADGE_AREA["engineer"],
        "teacher": area["green", "chest"] / _BADGE_AREA["teacher"],
    }
    shown = [name for name, share in shares.items() if share > 0.5]
    if len(shown) == 1:
        others = max(share for name, share in shares.items() if name != shown[0])
        return shown[0] if others < 0.35 else None
    return "person" if not shown and max(shares.values()) < 0.2 else None


def _presentation(area: dict) -> str | None:
    coats = {"female": area["female"], "male": area["male"]}
    coat = max(coats, key=lambda name: coats[name])
    other = "male" if coat == "female" else "female"
    if coats[coat] < 0.3 * _COAT_AREA or coats[other] > 0.3 * coats[coat]:
        return None
    mane = area["hair", "below"] / _MANE_AREA
    if coat == "female":
        return "female" if mane > 0.5 else None
    return "male" if mane < 0.3 else None


def _read_objects(pixels: Array, blob: Mask, template: Array) -> list[FoundObject]:
    """Objects of a blob; a blob of several colours is one object per colour."""
    names = list(OBJECT_COLOURS)
    index, distance = _nearest(pixels, list(OBJECT_COLOURS.values()))
    found: list[FoundObject] = []
    for k, name in enumerate(names):
        sure = blob & (index == k) & (distance < COLOUR_TOLERANCE)
        core = cv2.morphologyEx(sure.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3))) > 0
        for part in _components(core, MIN_AREA):
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
    sure = best >= MIN_SHAPE_IOU and best - second >= MIN_SHAPE_MARGIN
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
