"""Which words of a prompt stand for the person whose attribute is meant."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from ..errors import EvenframeError
from ..prompt import Prompt, find_places, plain_words
from .attributes import DATA

MARGIN = 0.1
"""How far the best of a ranking must lie before the second, in cosine."""
POSSESSIVE = re.compile("['\N{RIGHT SINGLE QUOTATION MARK}]s$")
# fmt: off
STOP_WORDS = frozenset({
    "a", "an", "the", "of", "on", "in", "at", "to", "with", "and", "or", "by", "from", "is", "are",
    "was", "were", "be", "being", "his", "her", "their", "its", "this", "that", "as", "for", "into",
    "over", "under", "near", "next", "behind", "while", "who", "very",
})
# fmt: on


@dataclass(frozen=True)
class Found:
    """Words of a prompt, by index, and how they were found.

    places: (start, end) word indices, end exclusive, of every place. how: "named", "lexicon" or
    "ranking". ranking: (word, cosine) pairs, best first, where they were ranked.
    """

    places: tuple[tuple[int, int], ...]
    how: str
    ranking: tuple[tuple[str, float], ...] = ()


def find_person(
    prompt: Prompt, words: str, attribute: str, embed: Callable[[str], Tensor]
) -> Found:
    """The words that an attribute is for: those named, else those known, else the best ranked.

    words: of the prompt, or "" to look for them. embed: pools a text to a vector (c,).
    Raises EvenframeError where the words are not in the prompt, where the lexicon finds two
    persons, and where no word is close, or none clearly the closest: nothing is guessed in silence.
    """
    if words.strip():
        return Found(find_places(prompt, words), "named")
    places = known_person(prompt)
    if places:
        return Found(places, "lexicon")
    have = plain_words(word.text for word in prompt.words)
    return _ranked(prompt, have, attribute, embed)


def known_person(prompt: Prompt) -> tuple[tuple[int, int], ...]:
    """Where a prompt names a profession or a person, by the lexicon; () where it does not.

    Raises EvenframeError where it names several, or may: 'two women cook dinner' has no cook.
    """
    have = plain_words(word.text for word in prompt.words)
    places = people_in(have)
    people = [" ".join(have[start:end]) for start, end in places]
    if len(set(people)) > 1:
        raise EvenframeError(
            f"The prompt '{prompt.text}' names several people, or may ({', '.join(people)}): say "
            "which one is meant, as words of the prompt."
        )
    return places


def people_in(have: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Places (start, end) of the plain words for professions and persons, by the lexicon."""
    return _longest_matches(have, lexicon("professions.txt") | lexicon("people.txt"))


def require_adult(text: str) -> None:
    """Raise EvenframeError for words that describe a child, a child's ("girl's") among them."""
    words = [POSSESSIVE.sub("", word) for word in plain_words(text.split())]
    for start, end in _longest_matches(words, lexicon("children.txt")):
        raise EvenframeError(
            f"'{' '.join(words[start:end])}' describes a child: this pack edits how adults are "
            "shown. Where an adult is meant, write so, as in 'woman', 'man' or 'young adult'."
        )


@cache
def lexicon(name: str) -> frozenset[tuple[str, ...]]:
    """Words of a shipped list: comments and empty lines left out."""
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    entries = (tuple(line.lower().split()) for line in lines if not line.startswith("#"))
    return frozenset(entry for entry in entries if entry)


def _longest_matches(
    have: Sequence[str], entries: frozenset[tuple[str, ...]]
) -> tuple[tuple[int, int], ...]:
    """Places of entries, longer ones first, none inside another."""
    longest = max(map(len, entries))
    places: list[tuple[int, int]] = []
    start = 0
    while start < len(have):
        lengths = range(min(longest, len(have) - start), 0, -1)
        fits = [n for n in lengths if _singular(have[start : start + n]) & entries]
        if fits:
            places.append((start, start + fits[0]))
        start += fits[0] if fits else 1
    return tuple(places)


def _singular(words: Sequence[str]) -> set[tuple[str, ...]]:
    """The words as they are, and as the singular of a regular plural."""
    rest, last = words[:-1], words[-1]
    forms = {last, last.removesuffix("s"), last.removesuffix("es")}
    if last.endswith("ies"):
        forms.add(last.removesuffix("ies") + "y")
    if last.endswith("men"):
        forms.add(last.removesuffix("men") + "man")
    return {(*rest, form) for form in forms}


def _ranked(
    prompt: Prompt, have: Sequence[str], attribute: str, embed: Callable[[str], Tensor]
) -> Found:
    """The word whose meaning is closest to the attribute's, if it is close and clearly so."""
    candidates = list(dict.fromkeys(word for word in have if word and word not in STOP_WORDS))
    if not candidates:
        raise EvenframeError(
            f"No word of the prompt '{prompt.text}' can stand for a person: name the words."
        )
    pooled = torch.stack([embed(word) for word in candidates])  # words c
    # What an empty prompt has too says nothing about which is closest.
    centre = embed("")
    towards = embed(attribute) - centre
    cosines = torch.cosine_similarity(pooled - centre, towards[None], dim=-1).tolist()
    pairs = list(zip(candidates, cosines, strict=True))
    ranking = sorted(pairs, key=lambda pair: pair[1], reverse=True)
    far = ranking[0][1] <= 0
    if far or (len(ranking) > 1 and ranking[0][1] - ranking[1][1] < MARGIN):
        close = ", ".join(f"{word} {cosine:.2f}" for word, cosine in ranking[:3])
        which = "one" if far else "clearly the one"
        raise EvenframeError(
            f"No word of the prompt '{prompt.text}' is {which} that '{attribute}' is for "
            f"(closest: {close}): name the words."
        )
    best = ranking[0][0]
    places = tuple((index, index + 1) for index, word in enumerate(have) if word == best)
    return Found(places, "ranking", tuple(ranking))
