"""What the miniature's world can say: words, colours, shapes, professions, and what is held out.

Everything here is data. Colours are sRGB triples in 0..1. The object colours, the backgrounds and
the parts of a figure are far apart from each other, so that a latent cell of 8 px is enough to
tell them apart, and no word stands for two different colours.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from ..pipelines.text.vocabulary import Vocabulary

Colour = tuple[float, float, float]

SIZE: Final = 128
"""Width and height of every frame in pixels."""

FRAMES: Final = 16
"""Longest clip for which every scene is guaranteed to stay in the frame."""

OBJECT_COLOURS: Final[dict[str, Colour]] = {
    "red": (0.90, 0.10, 0.10),
    "green": (0.10, 0.75, 0.20),
    "blue": (0.15, 0.35, 1.00),
    "yellow": (0.98, 0.88, 0.10),
    "purple": (0.65, 0.15, 0.85),
    "white": (0.97, 0.97, 0.97),
}

SHAPES: Final = ("circle", "square", "triangle", "cross")

# A texture is two tones and the width of its bands or checks in pixels. The widths are multiples
# of two latent cells and their phase is fixed: what is asked is that a texture survives an edit,
# not that a small model invents one.
PLAIN_BACKGROUNDS: Final[dict[str, Colour]] = {
    "gray": (0.50, 0.50, 0.50),
    "black": (0.04, 0.04, 0.04),
    "brown": (0.36, 0.20, 0.08),
    "navy": (0.07, 0.10, 0.38),
    "teal": (0.05, 0.40, 0.38),
}
TEXTURES: Final[dict[str, tuple[Colour, Colour, int]]] = {
    "striped": ((0.20, 0.20, 0.22), (0.46, 0.46, 0.50), 16),
    "checkered": ((0.42, 0.34, 0.24), (0.64, 0.54, 0.40), 32),
}
BACKGROUNDS: Final = (*PLAIN_BACKGROUNDS, *TEXTURES)

RELATIONS: Final[dict[str, tuple[int, int]]] = {
    "left of": (-1, 0),
    "right of": (1, 0),
    "above": (0, -1),
    "below": (0, 1),
}

NUMBERS: Final[dict[int, str]] = {2: "two", 3: "three"}

PROFESSIONS: Final = ("doctor", "nurse", "engineer", "teacher", "person")
PRESENTATIONS: Final = ("female", "male")
PERSON_WORDS: Final = {"female": "woman", "male": "man"}

FEMALE_SHARE: Final[dict[str, float]] = {
    "doctor": 0.10,
    "nurse": 0.90,
    "engineer": 0.10,
    "teacher": 0.50,
    "person": 0.50,
}
"""The stated skew: share of female figures where the prompt names no attribute."""

EXPLICIT_SHARE: Final = 0.40
"""Share of figure phrases that name the attribute, drawn at 50/50."""

# Parts of a figure. Presentation is shown by the coat (colour and cut) and the hair (length);
# profession by one badge or hat.
SKIN: Final[Colour] = (0.97, 0.80, 0.66)
HAIR: Final[Colour] = (0.58, 0.06, 0.20)
COAT: Final[dict[str, Colour]] = {"female": (1.00, 0.55, 0.10), "male": (0.20, 0.50, 1.00)}
BADGE: Final[dict[str, Colour]] = {
    "doctor": (0.97, 0.97, 0.97),  # a cross on the chest
    "nurse": (0.97, 0.97, 0.97),  # a cap
    "engineer": (0.98, 0.88, 0.10),  # a hard hat
    "teacher": (0.10, 0.62, 0.20),  # a book held to the chest
}

# Combinations that no training scene contains: each of their words is well known from others.
HELD_OUT_OBJECTS: Final = frozenset(
    {("green", "circle"), ("purple", "square"), ("white", "triangle"), ("yellow", "cross")}
)
HELD_OUT_FIGURES: Final = frozenset(
    {("doctor", "teal"), ("nurse", "black"), ("engineer", "navy"), ("teacher", "gray")}
)

_GRAMMAR = ("a", "an", "of", "on", "and", "background", "left", "right", "above", "below")
# fmt: off
_SPARE = (
    "the", "in", "to", "with", "next", "no", "one", "four", "video", "moving", "small", "big",
    "dark", "bright", "photo", "painting", "sketch", "orange", "pink", "star", "people",
    "children", "old", "young", "dress", "coat", "hair", "hat",
)
# fmt: on
"""In the tokenizer, so that a later training run may use them; untrained in the shipped weights."""


def plural(noun: str) -> str:
    """The plural of a shape or profession word."""
    return noun + ("es" if noun.endswith("s") else "s")


def article(word: str) -> str:
    """``an`` before a vowel, else ``a``."""
    return "an" if word[0] in "aeiou" else "a"


def trained_words() -> tuple[str, ...]:
    """Every word that occurs in a training prompt, sorted."""
    words = {
        *_GRAMMAR,
        *OBJECT_COLOURS,
        *SHAPES,
        *(plural(shape) for shape in SHAPES),
        *BACKGROUNDS,
        *NUMBERS.values(),
        *PROFESSIONS,
        *PRESENTATIONS,
        *PERSON_WORDS.values(),
    }
    return tuple(sorted(words))


def vocabulary() -> Vocabulary:
    """The trained words, by what they stand for in a prompt."""
    people = (*PROFESSIONS, *PERSON_WORDS.values())
    shapes = (*SHAPES, *(plural(shape) for shape in SHAPES))
    roles = {
        "shapes it knows": SHAPES,
        "their colours": tuple(OBJECT_COLOURS),
        "how many of a kind": tuple(NUMBERS.values()),
        "people": people,
        "before a profession": PRESENTATIONS,
        "between two of them": ("and", *RELATIONS),
        "backgrounds": BACKGROUNDS,
    }
    before: dict[str, Collection[str]] = {"background": BACKGROUNDS}
    before |= dict.fromkeys(shapes, tuple(OBJECT_COLOURS))
    before |= dict.fromkeys(PROFESSIONS, PRESENTATIONS)
    before |= dict.fromkeys(PERSON_WORDS.values(), ())
    before |= dict.fromkeys(OBJECT_COLOURS, tuple(NUMBERS.values()))
    return Vocabulary(frozenset(trained_words()), roles, before)


def all_words() -> tuple[str, ...]:
    """Every word that is one token: the trained ones and the spare ones, sorted."""
    return tuple(sorted({*trained_words(), *_SPARE}))
