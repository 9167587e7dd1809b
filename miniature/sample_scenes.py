"""Draws scenes of the procedural world: the same generator state gives the same scene."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .layout import all_apart
from .scenes import Item, Scene, compose, make_figure, make_object
from .vocabulary import (
    BACKGROUNDS,
    EXPLICIT_SHARE,
    FEMALE_SHARE,
    FRAMES,
    OBJECT_COLOURS,
    PERSON_WORDS,
    PROFESSIONS,
    RELATIONS,
    SHAPES,
    SIZE,
    plural,
)

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


def sample_scene(
    rng: np.random.Generator, kind: str | None = None, held_out: bool = False
) -> Scene:
    """Draw a scene.

    Args:
        rng: numpy generator.
        kind: one of ``KINDS``; drawn by their shares where None.
        held_out: draw a scene that holds at least one held-out combination (never trained on)
            instead of one that holds none.

    Returns:
        A scene that stays in the frame for ``FRAMES`` frames; its items never overlap unless the
        kind is ``crossing``.

    Raises:
        KeyError: an unknown kind.
    """
    drawn = str(rng.choice(list(KINDS), p=list(KINDS.values()))) if kind is None else kind
    maker = _MAKERS[drawn]
    while True:
        background = str(rng.choice(BACKGROUNDS, p=_BACKGROUND_SHARE))
        made = maker(rng)
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
    colour, shape = str(rng.choice(list(OBJECT_COLOURS))), str(rng.choice(SHAPES))
    return make_object(colour, shape, 0, 0, float(rng.uniform(smallest, largest)))


def _figure(rng: np.random.Generator, smallest: float, largest: float) -> Item:
    noun = str(rng.choice(PROFESSIONS, p=_PROFESSION_SHARE))
    explicit = bool(rng.random() < EXPLICIT_SHARE)
    share = 0.5 if explicit else FEMALE_SHARE[noun]
    presentation = "female" if rng.random() < share else "male"
    item = make_figure(
        noun, presentation, 0, 0, float(rng.uniform(smallest, largest)), explicit=explicit
    )
    if explicit and noun == "person" and rng.random() < 0.5:
        return replace(item, word=PERSON_WORDS[presentation])
    return item


def _place(rng: np.random.Generator, item: Item, x: float, y: float, speed: float) -> Item:
    """Centre an item at (x, y) in the middle of the clip and give it a velocity."""
    vx, vy = (float(v) for v in rng.uniform(-speed, speed, 2))
    middle = (FRAMES - 1) / 2
    return replace(item, x=x - vx * middle, y=y - vy * middle, vx=vx, vy=vy)


def _somewhere(rng: np.random.Generator, item: Item) -> tuple[float, float]:
    x_reach, y_reach = item.half_width + _MARGIN, item.radius + _MARGIN
    return float(rng.uniform(x_reach, SIZE - x_reach)), float(rng.uniform(y_reach, SIZE - y_reach))


_Made = tuple[tuple[Item, ...], str | None] | None


def _one(rng: np.random.Generator) -> _Made:
    item = _object(rng, 22, 34)
    return (_place(rng, item, *_somewhere(rng, item), 1.2),), None


def _one_figure(rng: np.random.Generator) -> _Made:
    item = _figure(rng, 40, 48)
    return (_place(rng, item, *_somewhere(rng, item), 0.9),), None


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


def _two(rng: np.random.Generator) -> _Made:
    relation = str(rng.choice(list(RELATIONS)))
    return _pair(rng, _object(rng, 20, 27), _object(rng, 20, 27), relation, 0.7)


def _figure_object(rng: np.random.Generator) -> _Made:
    relation = str(rng.choice(["left of", "right of"]))
    return _pair(rng, _figure(rng, 38, 44), _object(rng, 19, 25), relation, 0.5)


def _two_figures(rng: np.random.Generator) -> _Made:
    relation = str(rng.choice(["left of", "right of"]))
    return _pair(rng, _figure(rng, 38, 44), _figure(rng, 38, 44), relation, 0.4)


def _count(rng: np.random.Generator) -> _Made:
    """Two or three like objects at equal angles around a common centre.

    Both numbers are as frequent: the number is drawn once and kept while a place is looked for,
    since three fit less often than two.
    """
    number = int(rng.integers(2, 4))
    first = _object(rng, *((20, 26) if number == 2 else (17, 20)))
    first = replace(first, word=plural(first.noun))
    while True:
        items = _ring(rng, first, number)
        if _fits(items, "count", None):
            return items, None


def _ring(rng: np.random.Generator, first: Item, number: int) -> tuple[Item, ...]:
    """Copies of an item at equal angles around a common centre, moving together."""
    vx, vy = (float(v) for v in rng.uniform(-0.6, 0.6, 2))
    middle = (FRAMES - 1) / 2
    cx, cy = 64 - middle * vx + rng.uniform(-12, 12), 64 - middle * vy + rng.uniform(-12, 12)
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
    middle = (FRAMES - 1) / 2
    moved = [
        replace(item, vx=item.vx + way * speed, x=item.x - way * speed * middle)
        for item, way in zip(placed, (1, -1), strict=True)
    ]
    return tuple(moved), None


_MAKERS = {
    "one": _one,
    "two": _two,
    "count": _count,
    "figure": _one_figure,
    "figure_object": _figure_object,
    "two_figures": _two_figures,
    "crossing": _crossing,
}
