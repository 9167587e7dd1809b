"""A prompt's tokens and words: the one place that knows which tokens are special.

CLIP puts a token before the words and one behind, which sums the prompt up; umT5 puts one behind,
which does not; others put none. Whoever needs to know asks `Tokens`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..common.errors import EvenframeError
from ..common.typed_text import punctuation_apart, quoted, require_typed

Place = tuple[int, int]
"""(first, end) words of a phrase, end exclusive."""
PLAIN_SIGNS = " \n.,;!?'\"-"
"""Beside letters and digits: signs that are punctuation to every encoder."""


@dataclass(frozen=True)
class Word:
    """A word of a prompt (text between blanks) and the positions of its tokens.

    core: those of its tokens that are not punctuation around it; () where they are all its tokens.
    """

    text: str
    tokens: tuple[int, ...]
    core: tuple[int, ...] = ()


@dataclass(frozen=True)
class Tokens:
    """A prompt as its text encoder reads it; positions count from 0, special tokens included.

    ids: token ids with the special ones, without padding. words: in order.
    first, last: positions of the first and the last token of the words; those before and behind
        are special. An empty prompt has last = first - 1.
    summary: position of the token that sums the prompt up (CLIP's EOS), or None where the encoder
        has no such token.
    """

    text: str
    ids: tuple[int, ...]
    words: tuple[Word, ...]
    first: int
    last: int
    summary: int | None

    def describe(self) -> str:
        """The words, each with its token positions: "a[1] silver[2] jeep[3]"."""
        return " ".join(f"{word.text}[{_span(word.tokens)}]" for word in self.words)

    def at(self, place: Place) -> tuple[int, ...]:
        """Token positions of the words at a place, without the punctuation around them."""
        return tuple(at for word in self.words[slice(*place)] for at in word.core or word.tokens)

    def require_summary(self, setting: str, instead: str) -> int:
        """The position of the token that sums the prompt up.

        Raises EvenframeError where there is none: `setting` needs it, so it is to be `instead`.
        """
        if self.summary is None:
            raise EvenframeError(
                f"{setting} needs a token that sums the prompt up, and this model's text encoder "
                f"has none: set it to {instead}."
            )
        return self.summary


def _span(tokens: tuple[int, ...]) -> str:
    return str(tokens[0]) if len(tokens) == 1 else f"{tokens[0]}-{tokens[-1]}"


def words_alone(text: str) -> Tokens | None:
    """The words of a prompt that no tokenizer has read, for checks ahead of a run.

    None for a text with signs in which an encoder may read something else, such as weights.
    """
    if not all(sign.isalnum() or sign in PLAIN_SIGNS for sign in text):
        return None
    return Tokens(text, (), tuple(Word(word, ()) for word in text.split()), 0, -1, None)


def tokenize(text: str, tokenizer: Any, *, end_sums_up: bool) -> Tokens:
    """A prompt's tokens.

    tokenizer: called with a text, gives `input_ids`; `model_max_length` is the most it may give.
    end_sums_up: whether the last token has read the whole prompt, as CLIP's.
    Raises EvenframeError for a prompt that is too long, that holds half a character or a special
    token, or whose words cannot be told apart.
    """
    require_typed(text, "The prompt")
    ids, most = tuple(tokenizer(text, verbose=False).input_ids), int(tokenizer.model_max_length)
    if len(ids) > most:
        raise EvenframeError(
            f"The prompt has {len(ids)} tokens: shorten it by {len(ids) - most} "
            f"(at most {most} with start and end): {quoted(text)}."
        )
    before, behind = _special(tokenizer)
    first, end = len(before), len(ids) - len(behind)
    found = next((index for index in ids[first:end] if index in before + behind), None)
    if found is not None:  # the prompt would end there
        mark = tokenizer.convert_ids_to_tokens(found)
        raise EvenframeError(
            f"The prompt {quoted(text)} has {quoted(mark)}, by which the model marks where prompts "
            "start and end: leave it out."
        )
    words = split_words(text, ids, tokenizer)
    return Tokens(text, ids, words, first, end - 1, len(ids) - 1 if end_sums_up else None)


def split_words(text: str, ids: Sequence[int], tokenizer: Any) -> tuple[Word, ...]:
    """Words between blanks with their token positions.

    CLIP's tokenizer never joins across a blank, nor does T5's, so each word's tokens can be
    counted alone.
    """
    before, behind = _special(tokenizer)

    def count(part: str) -> int:
        return len(tokenizer(part).input_ids) - len(before) - len(behind)

    words = place_words(text.split(), range(len(before), len(ids) - len(behind)), count)
    if words is None:
        raise EvenframeError(
            f"The words of the prompt cannot be told apart: {quoted(text)}. "
            "Separate them by single blanks and leave out unusual characters."
        )
    return words


def place_words(
    texts: Iterable[str], positions: Sequence[int], count: Callable[[str], int]
) -> tuple[Word, ...] | None:
    """Words in order, each at the next of these positions, as many as `count` says of its text.

    None where they are not as many in all.
    """
    words, at = [], 0
    for text in texts:
        tokens = tuple(positions[at : at + count(text)])
        lead, bare, trail = punctuation_apart(text)
        start, core = count(lead), count(bare)
        apart = core < len(tokens) and start + core + count(trail) == len(tokens)
        words.append(Word(text, tokens, tokens[start : start + core] if apart else ()))
        at += count(text)
    return tuple(word for word in words if word.tokens) if at == len(positions) else None


def _special(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The ids of the tokens that it puts before and behind any text."""
    every, beside = (list(tokenizer(text).input_ids) for text in ("", "a"))
    before = next((n for n, index in enumerate(every) if index != beside[n]), len(every))
    return every[:before], every[before:]
