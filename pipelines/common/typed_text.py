"""What people type: whole characters, one spelling, bounded numbers, and texts in messages."""

import math
import re
import string
import unicodedata
from collections.abc import Iterable

from .errors import EvenframeError, one_line

MAX_TYPED = 10_000
"""Characters of a prompt, of words and of other texts that are no JSON."""
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
MAX_DIGITS = 40
HEAD, TAIL = 240, 60
"""How much of a longer text a message shows."""


def require_typed(text: str, what: str, most: int = MAX_TYPED) -> str:
    """The text, if it is short enough and all its characters are whole.

    what: begins the message, as in "The prompt". Half a character is a lone surrogate, which
    programs leave when they cut an emoji in two; no file, terminal or tokenizer takes it.
    """
    if len(text) > most:
        raise EvenframeError(f"{what} has {len(text)} characters: shorten it to at most {most}.")
    half = half_character(text)
    if half is not None:
        before = text[max(0, half - 20) : half]
        where = f"after {quoted(before)}" if before else "at its beginning"
        raise EvenframeError(
            f"{what} has half a character {where}, such as an emoji that was cut in two: delete "
            "it, and type the whole one."
        )
    return text


def half_character(text: str) -> int | None:
    """Where the first half of a character stands in a text, a lone surrogate; None without any."""
    return next((at for at, sign in enumerate(text) if "\ud800" <= sign <= "\udfff"), None)


def composed(text: str) -> str:
    """The one spelling (NFC) of a text that Unicode can spell in several ways.

    "é" may be one character, or "e" and an accent, as file names of a Mac and some keyboards have
    it: both look the same, and CLIP's tokenizer reads both the same.
    """
    return unicodedata.normalize("NFC", text)


def folded(text: str) -> str:
    """A text for comparisons in which neither case nor spelling counts."""
    return composed(composed(text).lower())


def plain_words(words: Iterable[str]) -> list[str]:
    """Words in lower case and one Unicode spelling, without the punctuation around them."""
    return [folded(punctuation_apart(composed(word))[1]) for word in words]


def punctuation_apart(word: str) -> tuple[str, str, str]:
    """The punctuation before a word, the word, and that behind; only punctuation stays whole."""
    letters = [
        index
        for index, sign in enumerate(word)
        if sign not in string.punctuation and not unicodedata.category(sign).startswith("P")
    ]
    if not letters:
        return "", word, ""
    first, end = letters[0], letters[-1] + 1
    return word[:first], word[first:end], word[end:]


def read_decimal(text: str) -> float | None:
    """A finite number as people write it; None for what is none, and for one that is very long."""
    plain = text.strip()
    if len(plain) > MAX_DIGITS or not NUMBER.fullmatch(plain):
        return None
    number = float(plain)
    return number if math.isfinite(number) else None


def quoted(text: str) -> str:
    """A text in quotation marks for a message: on one line, and not too long."""
    if len(text) > HEAD + TAIL:
        text = f"{text[:HEAD]} ... {text[-TAIL:]}"
    return f"'{one_line(text)}'"
