"""Scenes of the procedural world: moving shapes and figures with known truth.

`sample_scenes.sample_scene` draws one; `render` gives any of its frames together with one visible
mask per item. Numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import drawing
from .layout import Box
from .vocabulary import HELD_OUT_FIGURES, HELD_OUT_OBJECTS, NUMBERS, OBJECT_COLOURS, article

Array = NDArray[np.float32]

BACKGROUND_SLOT = -2
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

    def box(self, frame: float) -> Box:
        """Where it is on a frame."""
        return Box(*self.centre(frame), self.half_width, self.radius)

    def phrase(self) -> str:
        """The words for this item without article: ``red circle``, ``female doctor``."""
        if not self.is_figure:
            return f"{self.colour} {self.word}"
        if self.explicit and self.word == self.noun:
            return f"{self.presentation} {self.word}"
        return self.word

    def parts(self, x: float, y: float) -> list[tuple[drawing.Distance, drawing.Colour]]:
        """What it is drawn of around a centre, back to front."""
        if self.is_figure:
            return drawing.figure(self.noun, str(self.presentation), x, y, self.radius)
        return [(drawing.shape(self.noun, x, y, self.radius), OBJECT_COLOURS[str(self.colour)])]

    def is_held_out(self, background: str) -> bool:
        """Whether no training scene shows it, on this background."""
        if self.is_figure:
            return (self.noun, background) in HELD_OUT_FIGURES
        return (self.colour, self.noun) in HELD_OUT_OBJECTS


@dataclass(frozen=True)
class Scene:
    """A scene with its prompt.

    Attributes:
        kind: one of `sample_scenes.KINDS`.
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
        words += [(background, BACKGROUND_SLOT), ("background", BACKGROUND_SLOT)]
    return Scene(kind, items, background, says_background, relation, tuple(words))


def render(scene: Scene, frame: float = 0) -> tuple[Array, Array]:
    """Draw one frame.

    Returns (image, masks): image (128, 128, 3) float32 sRGB in 0..1; masks (items, 128, 128)
    float32, the visible part of each item (what a later item hides is not in it).
    """
    image = drawing.background(scene.background)
    boxes = [item.box(frame) for item in scene.items]
    things = [(i.parts(b.x, b.y), b.window) for i, b in zip(scene.items, boxes, strict=True)]
    return image, drawing.paint_all(image, things)


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
