"""The procedural world: seeded scenes of moving shapes and figures with known truth.

A scene is drawn by :func:`sample_scene`, and :func:`render` gives any of its frames together with
one visible mask per item. Numpy only; the same generator state gives the same scene.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from . import drawing
from .vocabulary import (
    BACKGROUNDS,
    EXPLICIT_SHARE,
    FEMALE_SHARE,
    FRAMES,
    HELD_OUT_FIGURES,
    HELD_OUT_OBJECTS,
    NUMBERS,
    OBJECT_COLOURS,
    PERSON_WORDS,
    PROFESSIONS,
    RELATIONS,
    SHAPES,
    SIZE,
    article,
    plural,
)

Array = NDArray[np.float32]

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
_BACKGROUND_SLOT = -2
_NO_SLOT = -1


@dataclass(frozen=True)
class Item:
    """One object or figure.

    Attributes:
        noun: shape or profession (``PROFESSIONS``).
        word: noun as the prompt says it (``woman`` for a female person, ``circles`` in a count).
        colour: name of the object's colour; None for a figure.
        presentation: ``female`` or ``male``; None for an object.
        explicit: whether the prompt names the presentation.
        x, y: centre on frame 0 in pixels.
        vx, vy: velocity in pixels per frame.
        radius: half extent in pixels (half height of a figure).
    """

    noun: str
    word: str
    colour: str | None
    presentation: str | None
    explicit: bool
    x: float
    y: float
    vx: float
    vy: float
    radius: float

    @property
    def is_figure(self) -> bool:
        """Whether this is a figure rather than an object."""
        return self.colour is None

    @property
    def half_width(self) -> float:
        """Half extent along x in pixels."""
        return self.radius * drawing.FIGURE_ASPECT if self.is_figure else self.radius

    def centre(self, frame: float) -> tuple[float, float]:
        """Centre (x, y) in pixels on a frame."""
        return self.x + self.vx * frame, self.y + self.vy * frame

    def phrase(self) -> str:
        """The words for this item without article: ``red circle``, ``female doctor``."""
        if not self.is_figure:
            return f"{self.colour} {self.word}"
        if self.explicit and self.word == self.noun:
            return f"{self.presentation} {self.word}"
        return self.word


@dataclass(frozen=True)
class Scene:
    """A scene with its prompt.

    Attributes:
        kind: one of ``KINDS``.
        items: one to three items, drawn in this order (later ones in front).
        background: name of the background.
        says_background: whether the prompt names it.
        relation: of the first item to the second, or None.
        words: pairs (word, slot): slot is the index of the item that the word stands for, -1 for
            none, -2 for the background. In a count every word stands for slot 0.
    """

    kind: str
    items: tuple[Item, ...]
    background: str
    says_background: bool
    relation: str | None
    words: tuple[tuple[str, int], ...]

    @property
    def prompt(self) -> str:
        """The prompt, lower case, words separated by single spaces."""
        return " ".join(word for word, _ in self.words)

    @property
    def slot_items(self) -> tuple[tuple[int, ...], ...]:
        """Item indices behind each slot."""
        if self.kind == "count":
            return (tuple(range(len(self.items))),)
        return tuple((i,) for i in range(len(self.items)))


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
        if any(_is_held_out(item, background) for item in items) != held_out:
            continue
        says = bool(rng.random() >= NO_BACKGROUND_SHARE) or held_out
        return compose(drawn, items, background, relation, says)


def compose(
    kind: str,
    items: tuple[Item, ...],
    background: str,
    relation: str | None = None,
    says_background: bool = True,
) -> Scene:
    """Put a scene together and write its prompt; for scenes made by hand."""
    words: list[tuple[str, int]] = []
    if kind == "count":
        first = items[0]
        words += [(NUMBERS[len(items)], 0), (str(first.colour), 0), (first.word, 0)]
    else:
        for index, item in enumerate(items):
            if index:
                words += [(word, _NO_SLOT) for word in (relation or "and").split()]
            phrase = item.phrase().split()
            words.append((article(phrase[0]), _NO_SLOT))
            words += [(word, index) for word in phrase]
    if says_background:
        words += [("on", _NO_SLOT), (article(background), _NO_SLOT)]
        words += [(background, _BACKGROUND_SLOT), ("background", _BACKGROUND_SLOT)]
    return Scene(kind, items, background, says_background, relation, tuple(words))


def render(scene: Scene, frame: float = 0) -> tuple[Array, Array]:
    """Draw one frame.

    Returns:
        (image, masks): image (128, 128, 3) float32 sRGB in 0..1; masks (items, 128, 128) float32,
        the visible part of each item (what a later item hides is not in it).
    """
    image = drawing.background(scene.background)
    masks = np.zeros((len(scene.items), SIZE, SIZE), np.float32)
    for index, item in enumerate(scene.items):
        cx, cy = item.centre(frame)
        if item.is_figure:
            parts = drawing.figure(item.noun, str(item.presentation), cx, cy, item.radius)
        else:
            colour = OBJECT_COLOURS[str(item.colour)]
            parts = [(drawing.shape(item.noun, cx, cy, item.radius), colour)]
        mask = drawing.paint(image, parts, _window(item, cx, cy))
        masks[:index] *= 1 - mask
        masks[index] = mask
    return image, masks


def make_object(
    colour: str,
    shape: str,
    x: float,
    y: float,
    radius: float = 26.0,
    velocity: tuple[float, float] = (0.0, 0.0),
) -> Item:
    """An object by hand."""
    return Item(shape, shape, colour, None, False, x, y, *velocity, radius)


def make_figure(
    profession: str,
    presentation: str,
    x: float,
    y: float,
    radius: float = 44.0,
    velocity: tuple[float, float] = (0.0, 0.0),
    explicit: bool = False,
) -> Item:
    """A figure by hand."""
    return Item(profession, profession, None, presentation, explicit, x, y, *velocity, radius)


def _window(item: Item, cx: float, cy: float) -> tuple[int, int, int, int]:
    reach_x, reach_y = item.half_width + 2, item.radius + 2
    return (
        max(0, int(cx - reach_x)),
        max(0, int(cy - reach_y)),
        min(SIZE, int(cx + reach_x) + 1),
        min(SIZE, int(cy + reach_y) + 1),
    )


def _is_held_out(item: Item, background: str) -> bool:
    if item.is_figure:
        return (item.noun, background) in HELD_OUT_FIGURES
    return (item.colour, item.noun) in HELD_OUT_OBJECTS


def _fits(items: tuple[Item, ...], kind: str, relation: str | None) -> bool:
    """In the frame and apart on the first and the last frame; motion is straight, so always."""
    for frame in (0, FRAMES - 1):
        centres = [item.centre(frame) for item in items]
        for item, (cx, cy) in zip(items, centres, strict=True):
            x_room = min(cx, SIZE - cx) - item.half_width
            y_room = min(cy, SIZE - cy) - item.radius
            if min(x_room, y_room) < _MARGIN:
                return False
        if kind == "crossing":
            continue
        for i, a in enumerate(items):
            for j in range(i):
                gap_x = abs(centres[i][0] - centres[j][0]) - a.half_width - items[j].half_width
                gap_y = abs(centres[i][1] - centres[j][1]) - a.radius - items[j].radius
                if max(gap_x, gap_y) < _GAP:
                    return False
    return relation is None or _relation_holds(items, relation)


def _relation_holds(items: tuple[Item, ...], relation: str) -> bool:
    dx, dy = RELATIONS[relation]
    for frame in (0, FRAMES - 1):
        (ax, ay), (bx, by) = items[0].centre(frame), items[1].centre(frame)
        along = (ax - bx) * dx + (ay - by) * dy
        across = abs((ax - bx) * dy) + abs((ay - by) * dx)
        if along < 1.6 * across:
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
