"""A prompt's words in pieces, and where the entries of the lists in `data/` stand among them."""

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from ..common.typed_text import punctuation_apart
from ..text.tokens import Place
from .attributes import DATA

APOSTROPHES = "\N{RIGHT SINGLE QUOTATION MARK}\N{LEFT SINGLE QUOTATION MARK}`"
HYPHENS = "\N{HYPHEN}\N{NON-BREAKING HYPHEN}\N{EN DASH}\N{EM DASH}\N{MINUS SIGN}"
AS_TYPED = str.maketrans(APOSTROPHES + HYPHENS, "'" * len(APOSTROPHES) + "-" * len(HYPHENS))
MOST, LONGEST = 256, 1024
"""Pieces, and characters of a word, that are read. What no text encoder can take is refused
elsewhere, by its length."""
IRREGULAR = frozenset({"people", "police", "children", "mice", "geese", "oxen"})
PIECE = re.compile(r"\d+(?:[.,]\d+)*|&|(?:[^\W\d_]|[\u0300-\u036f])+(?:'[^\W\d_]+)?")
CLASSES = {
    name: frozenset(words.split())
    for name, words in tomllib.loads((DATA / "word_classes.toml").read_text("utf-8")).items()
}
"""Classes of words by name; the file says what each is for."""


@dataclass(frozen=True)
class Piece:
    """A word, or a part of one that has hyphens or digits ('17-year-old' has three).

    text: lower case. word: index of the prompt's word. owns: it is a possessive. joined: more of
    the same word follows. pause: punctuation follows it.
    """

    text: str
    word: int
    owns: bool = False
    joined: bool = False
    pause: bool = False


Pieces = Sequence[Piece]


def read(words: Sequence[str]) -> tuple[Piece, ...]:
    """The pieces of a prompt's words, at most `MOST`."""
    pieces: list[Piece] = []
    for index, raw in enumerate(words[:MOST]):
        word = unicodedata.normalize("NFKC", raw[:LONGEST]).translate(AS_TYPED)
        before, bare, after = punctuation_apart(word)
        bare = bare.lower()
        owns = bare.endswith("'s") or (bare[-1:] + after[:1] == "s'" and not before)
        texts = PIECE.findall(bare.removesuffix("'s"))
        pause = any(sign not in "'\"-" for sign in after)
        for at, text in enumerate(texts, start=1):
            last = at == len(texts)
            pieces.append(Piece(text, index, owns and last, not last, pause and last))
    return tuple(pieces[:MOST])


@cache
def lexicon(*names: str) -> frozenset[tuple[str, ...]]:
    """The entries of shipped lists as pieces: comments and empty lines left out."""
    lines = [line for name in names for line in (DATA / name).read_text("utf-8").splitlines()]
    entries = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    return frozenset(tuple(piece.text for piece in read(entry)) for entry in entries)


def matches(pieces: Pieces, entries: frozenset[tuple[str, ...]]) -> tuple[Place, ...]:
    """Places of entries among the pieces, longer ones first, none inside another.

    An entry may be in the plural, but does not reach over punctuation.
    """
    longest = max(map(len, entries))
    places: list[Place] = []
    start = 0
    while start < len(pieces):
        nearest = pieces[start : start + longest]
        run = next((n for n, piece in enumerate(nearest, start=1) if piece.pause), len(nearest))
        ends = range(start + run, start, -1)
        end = next((end for end in ends if forms(pieces[start:end]) & entries), start)
        if end > start:
            places.append((start, end))
        start = max(end, start + 1)
    return tuple(places)


def forms(pieces: Pieces) -> set[tuple[str, ...]]:
    """The words as they are, and as the singular of a plural."""
    *rest, last = (piece.text for piece in pieces)
    return {(*rest, form) for form in (last, *_singulars(last))}


def _singulars(word: str) -> tuple[str, ...]:
    if word.endswith("ss"):
        return ()
    found = [word.removesuffix(ending) for ending in ("s", "es") if word.endswith(ending)]
    if word.endswith("ies"):
        found.append(word.removesuffix("ies") + "y")
    if word.endswith("ves"):
        found += [word.removesuffix("ves") + ending for ending in ("f", "fe")]
    if word.endswith("men"):
        found.append(word.removesuffix("men") + "man")
    return tuple(found)


def is_plural(piece: Piece) -> bool:
    """Whether a noun is in the plural, or a verb in the form of 'she cooks'."""
    return piece.text in IRREGULAR or bool(_singulars(piece.text))


def is_in(piece: Piece, *names: str) -> bool:
    """Whether a word of a shipped list, or its plural."""
    return bool(forms([piece]) & lexicon(*names))


def word_places(pieces: Pieces, places: Iterable[Place]) -> tuple[Place, ...]:
    """Places of pieces as places of the prompt's words."""
    return tuple((pieces[start].word, pieces[end - 1].word + 1) for start, end in places)
