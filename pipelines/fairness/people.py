"""Which words of a prompt stand for the person whose attribute is meant."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..common.errors import EvenframeError
from ..common.typed_text import plain_words
from ..text.prompt import find_places
from ..text.tokens import Place, Tokens
from .children import children_in
from .grammar import PEOPLE, STOP_WORDS, is_person
from .reading import forms, lexicon, matches, read, word_places

MARGIN = 0.1
"""How far the best of a ranking must lie before the second, in cosine."""


@dataclass(frozen=True)
class Found:
    """Words of a prompt, by index, and how they were found.

    places: (start, end) word indices, end exclusive, of every place. how: "named", "lexicon" or
    "ranking". ranking: (word, cosine) pairs, best first, where they were ranked.
    """

    places: tuple[Place, ...]
    how: str
    ranking: tuple[tuple[str, float], ...] = ()


def find_person(
    prompt: Tokens, words: str, attribute: str, embed: Callable[[str], Tensor]
) -> Found:
    """The words that an attribute is for: those named, else those known, else the best ranked.

    words: of the prompt, or "" to look for them. embed: pools a text to a vector (c,).
    Raises EvenframeError where the words are not in the prompt, where the lexicon finds two
    persons, and where no word is close, or none clearly the closest: nothing is guessed in silence.
    """
    if words.strip():
        return Found(find_places(prompt, words), "named")
    places = known_person(prompt)
    return Found(places, "lexicon") if places else _ranked(prompt, attribute, embed)


def known_person(prompt: Tokens) -> tuple[Place, ...]:
    """Where a prompt names a profession or a person, by the lexicon; () where it does not.

    Raises EvenframeError where it names several.
    """
    have = plain_words(word.text for word in prompt.words)
    places = people_in([word.text for word in prompt.words])
    people = [" ".join(have[start:end]) for start, end in places]
    if len(set(people)) > 1:
        raise EvenframeError(
            f"The prompt '{prompt.text}' names several people, or may ({', '.join(people)}): say "
            "which one is meant, as words of the prompt."
        )
    return places


def people_in(words: Sequence[str]) -> tuple[Place, ...]:
    """Places (start, end) of a prompt's words for professions and persons, by the lexicon.

    Left out is what only looks like one: what a thing or an animal is called by ('a guard dog'),
    whose it is ('a chef's knife', but not 'a chef's hands'), and a verb ('a bear cooks fish').
    """
    pieces = read(words)
    entries = lexicon(*PEOPLE, "offspring.txt")
    # A longer phrase that is about nobody takes its words along: 'a coach of a train'.
    found = matches(pieces, entries | lexicon("not_people.txt", "not_children.txt"))
    children = children_in(pieces)
    people = [
        (start, end)
        for start, end in found
        if forms(pieces[start:end]) & entries
        and (start, end) not in children
        and is_person(pieces, start, end)
    ]
    return word_places(pieces, people)


def _ranked(prompt: Tokens, attribute: str, embed: Callable[[str], Tensor]) -> Found:
    """The word whose meaning is closest to the attribute's, if it is close and clearly so."""
    have = plain_words(word.text for word in prompt.words)
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
