"""Draws scenes of the procedural world: the same generator state gives the same scene."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from . import vocabulary
from .layout import all_apart
from .scenes import Item, Scene, compose, make_figure, make_object
from .vocabulary import FRAMES, RELATIONS, SIZE

KINDS = {
    "one": 0.20,
    "two": 0.30,
    "count": 0.12,
    "figure": 0.18,
    "figure_object": 0.09,
    "two_figures": 0.09,
    "crossing": 0.02,
}
"""Scene kinds and their shares in training."""

NO_BACKGROUND_SHARE = 0.08
"""Share of prompts that do not say the background."""

_PROFESSION_SHARE = (0.25, 0.25, 0.20, 0.15, 0.15)
_BACKGROUND_SHARE = (0.16, 0.16, 0.16, 0.16, 0.16, 0.10, 0.10)
_MARGIN = 2.0
_GAP = 5.0
_MIDDLE = (FRAMES - 1) / 2


def sample_scene(
    rng: np.random.Generator, kind: str | None = None, held_out: bool = False
) -> Scene:
    """Draw a scene that stays in the frame for `FRAMES` frames.

    kind: one of `KINDS`, drawn by their shares where None; items overlap in ``crossing`` only.
    held_out: one that holds a held-out combination, instead of one that holds none.
    Raises KeyError for an unknown kind.
    """
    drawn = str(rng.choice(list(KINDS), p=list(KINDS.values()))) if kind is None else kind
    while True:
        background = str(rng.choice(vocabulary.BACKGROUNDS, p=_BACKGROUND_SHARE))
        made = _make(rng, drawn)
        if made is None:
            continue
        items, relation = made
        if not _fits(items, drawn, relation):
            continue
        if any(item.is_held_out(background) for item in items) != held_out:
            continue
        says = bool(rng.random() >= NO_BACKGROUND_SHARE) or held_out
        return compose(drawn, items, background, relation, says)


def _fits(items: tuple[Item, ...], kind: str, relation: str | None) -> bool:
    """In the frame and apart on the first and the last frame; motion is straight, so always."""
    for frame in (0, FRAMES - 1):
        boxes = [item.box(frame) for item in items]
        if not all(box.is_inside(_MARGIN) for box in boxes):
            return False
        if kind != "crossing" and not all_apart(boxes, _GAP):
            return False
        if relation is not None and not boxes[0].is_to(relation, boxes[1]):
            return False
    return True


def _object(rng: np.random.Generator, smallest: float, largest: float) -> Item:
    colour = str(rng.choice(list(vocabulary.OBJECT_COLOURS)))
    shape = str(rng.choice(vocabulary.SHAPES))
    return make_object(colour, shape, 0, 0, float(rng.uniform(smallest, largest)))


def _figure(rng: np.random.Generator, smallest: float, largest: float) -> Item:
    noun = str(rng.choice(vocabulary.PROFESSIONS, p=_PROFESSION_SHARE))
    explicit = bool(rng.random() < vocabulary.EXPLICIT_SHARE)
    share = 0.5 if explicit else vocabulary.FEMALE_SHARE[noun]
    presentation = "female" if rng.random() < share else "male"
    item = make_figure(
        noun, presentation, 0, 0, float(rng.uniform(smallest, largest)), explicit=explicit
    )
    if explicit and noun == "person" and rng.random() < 0.5:
        return replace(item, word=vocabulary.PERSON_WORDS[presentation])
    return item


def _place(rng: np.random.Generator, item: Item, x: float, y: float, speed: float) -> Item:
    """Centre an item at (x, y) in the middle of the clip and give it a velocity."""
    vx, vy = (float(v) for v in rng.uniform(-speed, speed, 2))
    return replace(item, x=x - vx * _MIDDLE, y=y - vy * _MIDDLE, vx=vx, vy=vy)


def _somewhere(rng: np.random.Generator, item: Item) -> tuple[float, float]:
    x_reach, y_reach = item.half_width + _MARGIN, item.radius + _MARGIN
    return float(rng.uniform(x_reach, SIZE - x_reach)), float(rng.uniform(y_reach, SIZE - y_reach))


_Made = tuple[tuple[Item, ...], str | None] | None


def _pair(rng: np.random.Generator, a: Item, b: Item, relation: str, speed: float) -> _Made:
    """Two items on both sides of a point near the centre, apart along the relation's axis."""
    dx, dy = RELATIONS[relation]
    reach = a.half_width + b.half_width if dx else a.radius + b.radius
    room = SIZE - 2 * _MARGIN - reach
    apart = float(rng.uniform(reach / 2 + _GAP / 2, max(reach / 2 + _GAP, room / 2)))
    slip = float(rng.uniform(-9, 9))
    cx, cy = (64 + float(v) for v in rng.uniform(-16, 16, 2))
    sides = ((1, a), (-1, b))
    placed = tuple(
        _place(
            rng,
            item,
            cx + side * (dx * apart + abs(dy) * slip),
            cy + side * (dy * apart + abs(dx) * slip),
            speed,
        )
        for side, item in sides
    )
    return placed, relation


def _count(rng: np.random.Generator) -> _Made:
    """Two or three like objects at equal angles around a common centre.

    Both numbers are as frequent: the number is drawn once and kept while a place is looked for,
    since three fit less often than two.
    """
    number = int(rng.integers(2, 4))
    first = _object(rng, *((20, 26) if number == 2 else (17, 20)))
    first = replace(first, word=vocabulary.plural(first.noun))
    while True:
        items = _ring(rng, first, number)
        if _fits(items, "count", None):
            return items, None


def _ring(rng: np.random.Generator, first: Item, number: int) -> tuple[Item, ...]:
    """Copies of an item at equal angles around a common centre, moving together."""
    vx, vy = (float(v) for v in rng.uniform(-0.6, 0.6, 2))
    cx, cy = 64 - _MIDDLE * vx + rng.uniform(-12, 12), 64 - _MIDDLE * vy + rng.uniform(-12, 12)
    reach = rng.uniform(first.radius + _GAP / 2, SIZE / 2 - first.radius)
    angles = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.arange(number) / number
    return tuple(
        replace(
            first,
            x=float(cx + reach * np.cos(angle)),
            y=float(cy + reach * np.sin(angle)),
            vx=vx,
            vy=vy,
        )
        for angle in angles
    )


def _crossing(rng: np.random.Generator) -> _Made:
    """Two objects whose paths cross in the middle of the clip, the second in front."""
    a, b = _object(rng, 20, 26), _object(rng, 20, 26)
    if a.colour == b.colour:
        return None
    y, shift = rng.uniform(40, 88), rng.uniform(-6, 6)
    speed = rng.uniform(2.2, 3.4)
    placed = [_place(rng, item, 64 + shift, float(y), 0.3) for item in (a, b)]
    return tuple(
        replace(item, vx=item.vx + way * speed, x=item.x - way * speed * _MIDDLE)
        for item, way in zip(placed, (1, -1), strict=True)
    ), None


def _make(rng: np.random.Generator, kind: str) -> _Made:
    """Items of a kind and the first one's relation to the second; None where they do not fit."""
    if kind in _ALONE:
        (draw, *sizes), speed = _ALONE[kind]
        item = draw(rng, *sizes)
        return (_place(rng, item, *_somewhere(rng, item), speed),), None
    if kind in _PAIRS:
        relations, first, second, speed = _PAIRS[kind]
        relation = str(rng.choice(relations))
        a, b = (draw(rng, *sizes) for draw, *sizes in (first, second))
        return _pair(rng, a, b, relation, speed)
    return {"count": _count, "crossing": _crossing}[kind](rng)


# What is drawn, its smallest and largest radius, and the highest speed.
_ALONE = {"one": ((_object, 22, 34), 1.2), "figure": ((_figure, 40, 48), 0.9)}
_BESIDE = ["left of", "right of"]
_PAIRS = {
    "two": (list(RELATIONS), (_object, 20, 27), (_object, 20, 27), 0.7),
    "figure_object": (_BESIDE, (_figure, 38, 44), (_object, 19, 25), 0.5),
    "two_figures": (_BESIDE, (_figure, 38, 44), (_figure, 38, 44), 0.4),
}
