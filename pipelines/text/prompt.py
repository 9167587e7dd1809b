"""What people write of prompts: words and phrases to look for, lists of them, and weights."""

import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches

from ..common.errors import EvenframeError
from ..common.typed_text import folded, plain_words, quoted, read_decimal, require_typed
from .tokens import Place, Tokens


def find_tokens(prompt: Tokens, phrase: str) -> tuple[int, ...]:
    """Token positions of a word or phrase, at every place where it occurs.

    Case, punctuation around a word, and how Unicode spells its accents do not count. Raises
    EvenframeError naming the word and the prompt where it does not occur.
    """
    return tuple(token for place in find_places(prompt, phrase) for token in prompt.at(place))


def tokens_of(prompt: Tokens, phrases: Iterable[str]) -> list[int]:
    """Token positions of words or phrases; one that two of them name counts once. See
    `find_tokens`."""
    return list(dict.fromkeys(token for each in phrases for token in find_tokens(prompt, each)))


def find_places(prompt: Tokens, phrase: str) -> tuple[Place, ...]:
    """Every place where a word or phrase occurs; see `find_tokens`."""
    wanted = plain_words(require_typed(phrase, "The word").split())
    have = plain_words(word.text for word in prompt.words)
    if not wanted:
        raise EvenframeError(f"{quoted(phrase)} names no word: choose words of the prompt.")
    starts = [
        start
        for start in range(len(have) - len(wanted) + 1)
        if have[start : start + len(wanted)] == wanted
    ]
    if not starts:
        raise EvenframeError(
            f"The word {quoted(phrase)} is not in the prompt {quoted(prompt.text)}: "
            "choose one of its words, written as there."
        )
    return tuple((start, start + len(wanted)) for start in starts)


def bare_words(text: str) -> list[str]:
    """The words of a text in their order, in lower case, without signs."""
    return re.findall(r"[^\W_]+", folded(text))


def unknown_words(text: str, trained: Collection[str]) -> dict[str, list[str]]:
    """Words of a prompt that are not among the trained ones, each with the nearest that are.

    Such a word is encoded all the same, in pieces that mean nothing to the model.
    """
    words = dict.fromkeys(bare_words(text))
    known = sorted(trained)
    return {word: get_close_matches(word, known, 3, 0.5) for word in words if word not in trained}


def parse_phrases(text: str) -> tuple[str, ...]:
    """Words or phrases, separated by commas or line breaks."""
    parts = require_typed(text, "The list of words").replace("\n", ",").split(",")
    return tuple(part.strip() for part in parts if part.strip())


def parse_weights(text: str) -> tuple[tuple[str, float], ...]:
    """Weighted words, "watercolor: 10, jeep: 0.5", as (word, factor) pairs."""
    return parse_numbers(text, "weight", "word: factor", "watercolor: 10, jeep: 0.5")


def parse_numbers(text: str, what: str, form: str, example: str) -> tuple[tuple[str, float], ...]:
    """A list of names with a number each, as pairs; the error for what cannot be read says what
    each part is, in which form, and gives an example."""
    pairs = []
    for part in parse_phrases(text):
        name, _, digits = part.rpartition(":")
        number = read_decimal(digits)
        if number is None or not name.strip():
            raise EvenframeError(
                f"The {what} {quoted(part)} cannot be read: write '{form}' with a decimal point, "
                f"as in '{example}'."
            )
        pairs.append((name.strip(), number))
    return tuple(pairs)
