"""Reads figures from a picture, by the areas of their parts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from .pixels import COLOUR_TOLERANCE, Array, Mask, components, nearest, no_cover, opened
from .vocabulary import BADGE, COAT, HAIR, OBJECT_COLOURS, SIZE, SKIN

_MIN_FACE = 110
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
class FoundFigure:
    """A figure in a picture: profession and presentation (None: undetermined), centre in px.

    cover: as of an object.
    """

    profession: str | None
    presentation: str | None
    x: float
    y: float
    cover: Array = field(default_factory=no_cover, compare=False, repr=False)


def _part_map(pixels: Array, where: Mask) -> NDArray:
    """Index into ``_PARTS`` per pixel of a mask, -1 where no part is near."""
    # The object colours take part, so that a purple or red blob is no skin or hair.
    extra = [OBJECT_COLOURS[name] for name in ("red", "purple")]
    index, distance = nearest(pixels, [*_PARTS.values(), *extra], where)
    return np.where((distance < COLOUR_TOLERANCE) & (index < len(_PARTS)), index, -1)


def find_faces(pixels: Array, blob: Mask) -> list[Mask]:
    skin = _part_map(pixels, blob) == list(_PARTS).index("skin")
    return components(opened(skin, 5), _MIN_FACE)


def read_figures(pixels: Array, blob: Mask, faces: list[Mask], cover: Array) -> list[FoundFigure]:
    """Read each figure of a blob; figures that touch are cut apart halfway between their faces.

    cover: (128, 128), the share of each pixel that is not the background's.
    """
    columns = np.arange(SIZE)
    centres = np.array([np.nonzero(face)[1].mean() for face in faces])
    owner = np.abs(columns[:, None] - centres[None, :]).argmin(1)
    near = cv2.dilate(blob.astype(np.uint8), np.ones((5, 5))) > 0
    found = []
    for k, face in enumerate(faces):
        own = (owner == k)[None, :]
        if not (blob & own).any():
            continue  # it lies right below another face, whose columns these are
        figure = _read_figure(pixels, blob & own, face)
        found.append(replace(figure, cover=np.where(near & own, cover, 0)))
    return found


def _read_figure(pixels: Array, body: Mask, face: Mask) -> FoundFigure:
    rows, cols = np.nonzero(body)
    face_y = float(np.nonzero(face)[0].mean())
    bottom = float(np.quantile(rows, 0.995))
    unit = max((bottom - face_y) / _FACE_TO_HEM, 1e-3)
    parts = _part_map(pixels, body)
    area = {}
    below = np.arange(SIZE)[:, None] > face_y
    chest = np.arange(SIZE)[:, None] > face_y + 14 * unit
    for index, name in enumerate(_PARTS):
        mask = parts == index
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
