"""How well FAME's words are read: the keys `words.*`, over phrases with a known answer.

`evenframe bench fairness_words --list develop` prints every phrase that is read wrongly. The
phrases of `words/develop.txt` are those that the rules were written with; `words/held_out.txt` was
left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..pipelines.common.errors import EvenframeError
from ..pipelines.common.typed_text import plain_words
from ..pipelines.fairness.gate import require_adult, require_adult_at
from ..pipelines.fairness.people import people_in
from . import main
from .shares import share_of

TABLES = Path(__file__).parent / "words"
HALVES = ("develop", "held_out")
FLOORS = {
    f"words.{half}.{kind}": least
    for half in HALVES
    for kind, least in (("right", 0.95), ("children_refused", 0.98), ("others_let_pass", 0.97))
}
"""The least that is taken for right; `evenframe bench` shows it beside the figures."""

Span = tuple[int, int]


@dataclass(frozen=True)
class Phrase:
    """A phrase and the right answer.

    trap: it looks like what it is not. child: where words describe a child. people: where words
    stand for an adult or a profession. All are (first, end) word indices, end exclusive.
    """

    words: tuple[str, ...]
    trap: bool
    child: tuple[Span, ...]
    people: tuple[Span, ...]

    @property
    def text(self) -> str:
        return " ".join(self.words)


@dataclass(frozen=True)
class Answer:
    """What was read right in a phrase.

    child: whether it describes one. people: which words are people. edited: that each of them may
    be edited, or may not where the words are a child's.
    """

    phrase: Phrase
    child: bool
    people: bool
    edited: bool

    @property
    def right(self) -> bool:
        return self.child and self.people and self.edited


def phrases(half: str) -> Iterator[Phrase]:
    """The phrases of a half of the table, with their answers."""
    trap = False
    for line in (TABLES / f"{half}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("##"):
            trap = "trap" in line
        elif line and not line.startswith("#"):
            text, child, people = (part.strip() for part in line.split("|"))
            words = tuple(text.split())
            yield Phrase(words, trap, _spans(words, child), _spans(words, people))


def assess(phrase: Phrase) -> Answer:
    """Read a phrase and compare."""
    found = {end for _, end in people_in(phrase.words)}
    wanted = {end for _, end in phrase.people}
    childs = {end for first, last in phrase.child for end in range(first + 1, last + 1)}
    edited = [
        _refuses(require_adult_at, phrase.words, place) == (place[1] in childs)
        for place in phrase.people
    ]
    return Answer(
        phrase,
        _refuses(require_adult, phrase.text) == bool(phrase.child),
        found - childs == wanted - childs,
        all(edited),
    )


def run(list: str | None = None) -> dict[str, float]:
    """The figures of both halves.

    list: one of them, of which the phrases that are read wrongly are printed instead.
    """
    if list is not None:
        print_wrong(list)
        return {}
    figures: dict[str, float] = {}
    for half in HALVES:
        answers = [assess(phrase) for phrase in phrases(half)]
        kinds = {
            "right": [answer.right for answer in answers],
            "plain_right": [answer.right for answer in answers if not answer.phrase.trap],
            "traps_right": [answer.right for answer in answers if answer.phrase.trap],
            "children_refused": [answer.child for answer in answers if answer.phrase.child],
            "others_let_pass": [answer.child for answer in answers if not answer.phrase.child],
            "people_found": [answer.people for answer in answers],
        }
        for key, held in kinds.items():
            figures |= share_of(f"words.{half}.{key}", held)
    return figures


def _refuses(gate: Callable[..., None], *said: object) -> bool:
    try:
        gate(*said)
    except EvenframeError:
        return True
    return False


def _spans(words: Sequence[str], named: str) -> tuple[Span, ...]:
    """Where the named words stand; a possessive counts as its word."""
    have = _bare(words)
    return tuple(_place(have, _bare(part.split())) for part in named.split(";") if named != "-")


def _place(have: Sequence[str], wanted: Sequence[str]) -> Span:
    size = len(wanted)
    for first in range(len(have) - size + 1):
        if have[first : first + size] == wanted:
            return first, first + size
    raise ValueError(f"{' '.join(wanted)!r} is not in {' '.join(have)!r}.")


def _bare(words: Sequence[str]) -> list[str]:
    return [word.removesuffix("'s").removesuffix("'") for word in plain_words(words)]


def print_wrong(half: str) -> None:
    """Each phrase that is read wrongly, and in what."""
    for answer in map(assess, phrases(half)):
        if not answer.right:
            wrong = [kind for kind in ("child", "people", "edited") if not getattr(answer, kind)]
            print(f"{', '.join(wrong):20} {answer.phrase.text}")


if __name__ == "__main__":
    main(__file__)
