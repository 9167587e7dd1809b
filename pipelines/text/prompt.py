"""A prompt as tokens, words and embeddings."""

import re
import string
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor

from ..common.errors import EvenframeError
from ..common.typed_text import composed, folded, quoted, read_decimal, require_typed
from .syntax import syntax_notes


@dataclass(frozen=True)
class Word:
    """A word of a prompt (text between blanks) and the positions of its tokens.

    core: those of its tokens that are not punctuation around it; () where they are all its tokens.
    """

    text: str
    tokens: tuple[int, ...]
    core: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Prompt:
    """An encoded prompt.

    ids: token ids with BOS and EOS, without padding. words: in order.
    embeddings: (L, c), the text encoder's last hidden states, padded to L tokens.
    model: fingerprint of the model that encoded it.
    notes: what the writer should know, a line each.
    """

    text: str
    ids: tuple[int, ...]
    words: tuple[Word, ...]
    embeddings: Tensor
    model: str
    notes: tuple[str, ...] = ()

    def describe(self) -> str:
        """The words, each with its token positions: "a[1] silver[2] jeep[3]"."""
        return " ".join(f"{word.text}[{_span(word.tokens)}]" for word in self.words)


@torch.no_grad()
def encode(
    text: str,
    tokenizer: Any,
    text_encoder: Any,
    model: str,
    trained: Collection[str] | None = None,
) -> Prompt:
    """Tokenize and encode a prompt.

    trained: all words of a model that was trained on few; the notes tell which it does not know.
    Raises EvenframeError where it is too long, for characters that no tokenizer reads, and for
    tokens that the text encoder does not have.
    """
    length = int(tokenizer.model_max_length)
    require_typed(text, "The prompt")
    ids = tuple(tokenizer(text, verbose=False).input_ids)
    if len(ids) > length:
        raise EvenframeError(
            f"The prompt has {len(ids)} tokens: shorten it by {len(ids) - length} "
            f"(at most {length} with start and end): {quoted(text)}."
        )
    _require_no_marks(text, ids, tokenizer)
    padded = tokenizer(text, padding="max_length", max_length=length).input_ids
    _require_known(padded, tokenizer, text_encoder)
    device = next(text_encoder.parameters()).device
    states = text_encoder(input_ids=torch.tensor([padded], device=device)).last_hidden_state
    words = split_words(text, ids, tokenizer)
    strange = {} if trained is None else unknown_words(text, trained)
    notes = (*syntax_notes(text), *(_strange(word, near) for word, near in strange.items()))
    return Prompt(text, ids, words, states[0].float(), model, notes)


def _require_no_marks(text: str, ids: Sequence[int], tokenizer: Any) -> None:
    """A prompt with the tokenizer's own marks of start and end would end where they stand."""
    marks = {tokenizer.bos_token_id, tokenizer.eos_token_id}
    found = next((index for index in ids[1:-1] if index in marks), None)
    if found is not None:
        mark = tokenizer.convert_ids_to_tokens(found)
        raise EvenframeError(
            f"The prompt {quoted(text)} has {quoted(mark)}, by which the model marks where prompts "
            "start and end: leave it out."
        )


def _require_known(ids: Sequence[int], tokenizer: Any, text_encoder: Any) -> None:
    """A GPU that is asked for a token beyond the last computes nothing more in this process."""
    known = text_encoder.get_input_embeddings().num_embeddings
    if max(ids) >= known:
        token = tokenizer.convert_ids_to_tokens(max(ids))
        raise EvenframeError(
            f"The tokenizer writes {quoted(str(token))} as token {max(ids)}, but the model's text "
            f"encoder has tokens 0 to {known - 1} only: they belong to different models, so "
            "download the complete model again."
        )


def unknown_words(text: str, trained: Collection[str]) -> dict[str, list[str]]:
    """Words of a prompt that are not among the trained ones, each with the nearest that are.

    Such a word is encoded all the same, in pieces that mean nothing to the model.
    """
    words = dict.fromkeys(re.findall(r"[^\W_]+", folded(text)))
    known = sorted(trained)
    return {word: get_close_matches(word, known, 3, 0.5) for word in words if word not in trained}


def _strange(word: str, nearest: Sequence[str]) -> str:
    known = f": the nearest it knows are {', '.join(nearest)}." if nearest else "."
    return f"The model was never trained on '{word}'{known}"


def split_words(text: str, ids: Sequence[int], tokenizer: Any) -> tuple[Word, ...]:
    """Words between blanks with their token positions.

    CLIP's tokenizer never joins across a blank, so each word's tokens can be counted alone.
    """

    def count(part: str) -> int:
        return len(tokenizer(part).input_ids) - 2

    words, position = [], 1  # 0 is BOS
    for word in text.split():
        tokens = tuple(range(position, position + count(word)))
        before, bare, after = punctuation_apart(word)
        lead, core = count(before), count(bare)
        apart = core < len(tokens) and lead + core + count(after) == len(tokens)
        words.append(Word(word, tokens, tokens[lead : lead + core] if apart else ()))
        position += len(tokens)
    if position != len(ids) - 1:
        raise EvenframeError(
            f"The words of the prompt cannot be told apart: {quoted(text)}. "
            "Separate them by single blanks and leave out unusual characters."
        )
    return tuple(word for word in words if word.tokens)


def find_tokens(prompt: Prompt, phrase: str) -> tuple[int, ...]:
    """Token positions of a word or phrase, at every place where it occurs.

    Case, punctuation around a word, and how Unicode spells its accents do not count. Raises
    EvenframeError naming the word and the prompt where it does not occur.
    """
    places = [index for start, end in find_places(prompt, phrase) for index in range(start, end)]
    found = [prompt.words[index] for index in places]
    return tuple(token for word in found for token in word.core or word.tokens)


def find_places(prompt: Prompt, phrase: str) -> tuple[tuple[int, int], ...]:
    """(first, end) word indices, end exclusive, of a word or phrase at every place; see above."""
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


def plain_words(words: Iterable[str]) -> list[str]:
    """Words in lower case and one Unicode spelling, without the punctuation around them."""
    return [folded(punctuation_apart(composed(word))[1]) for word in words]


def punctuation_apart(word: str) -> tuple[str, str, str]:
    """A word and the punctuation before and after it; what is only punctuation stays whole."""
    letters = [index for index, sign in enumerate(word) if not _is_punctuation(sign)]
    if not letters:
        return "", word, ""
    first, end = letters[0], letters[-1] + 1
    return word[:first], word[first:end], word[end:]


def _is_punctuation(sign: str) -> bool:
    return sign in string.punctuation or unicodedata.category(sign).startswith("P")


def _span(tokens: tuple[int, ...]) -> str:
    return str(tokens[0]) if len(tokens) == 1 else f"{tokens[0]}-{tokens[-1]}"


def parse_phrases(text: str) -> tuple[str, ...]:
    """Words or phrases, separated by commas or line breaks."""
    parts = require_typed(text, "The list of words").replace("\n", ",").split(",")
    return tuple(part.strip() for part in parts if part.strip())


def parse_weights(text: str) -> tuple[tuple[str, float], ...]:
    """Weighted words, "watercolor: 10, jeep: 0.5", as (word, factor) pairs."""
    return tuple(_weight(phrase) for phrase in parse_phrases(text))


def _weight(phrase: str) -> tuple[str, float]:
    word, _, number = phrase.rpartition(":")
    factor = read_decimal(number)
    if factor is None or not word.strip():
        raise EvenframeError(
            f"The weight {quoted(phrase)} cannot be read: write 'word: factor' with a decimal "
            "point, as in 'watercolor: 10, jeep: 0.5'."
        )
    return word.strip(), factor
