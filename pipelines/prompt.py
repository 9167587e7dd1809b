"""A prompt as tokens, words and embeddings."""

import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .errors import EvenframeError


@dataclass(frozen=True)
class Word:
    """A word of a prompt (text between blanks) and the positions of its tokens."""

    text: str
    tokens: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Prompt:
    """An encoded prompt.

    ids: token ids with BOS and EOS, without padding. words: in order.
    embeddings: (L, c), the text encoder's last hidden states, padded to L tokens.
    model: fingerprint of the model that encoded it.
    """

    text: str
    ids: tuple[int, ...]
    words: tuple[Word, ...]
    embeddings: Tensor
    model: str

    def describe(self) -> str:
        """The words, each with its token positions: "a[1] silver[2] jeep[3]"."""
        return " ".join(f"{word.text}[{_span(word.tokens)}]" for word in self.words)


@torch.no_grad()
def encode(text: str, tokenizer: Any, text_encoder: Any, model: str) -> Prompt:
    """Tokenize and encode a prompt. Raises EvenframeError where it is too long."""
    length = int(tokenizer.model_max_length)
    ids = tuple(tokenizer(text).input_ids)
    if len(ids) > length:
        raise EvenframeError(
            f"The prompt has {len(ids)} tokens: shorten it by {len(ids) - length} "
            f"(at most {length} with start and end): '{text}'."
        )
    padded = tokenizer(text, padding="max_length", max_length=length).input_ids
    device = next(text_encoder.parameters()).device
    states = text_encoder(input_ids=torch.tensor([padded], device=device)).last_hidden_state
    return Prompt(text, ids, split_words(text, ids, tokenizer), states[0].float(), model)


def split_words(text: str, ids: Sequence[int], tokenizer: Any) -> tuple[Word, ...]:
    """Words between blanks with their token positions.

    CLIP's tokenizer never joins across a blank, so each word's tokens can be counted alone.
    """
    words, position = [], 1  # 0 is BOS
    for word in text.split():
        count = len(tokenizer(word).input_ids) - 2
        words.append(Word(word, tuple(range(position, position + count))))
        position += count
    if position != len(ids) - 1:
        raise EvenframeError(
            f"The words of the prompt cannot be told apart: '{text}'. "
            "Separate them by single blanks and leave out unusual characters."
        )
    return tuple(word for word in words if word.tokens)


def find_tokens(prompt: Prompt, phrase: str) -> tuple[int, ...]:
    """Token positions of a word or phrase, at every place where it occurs.

    Case and punctuation do not count. Raises EvenframeError naming the word and the prompt where it
    does not occur.
    """
    wanted = _plain_words(phrase.split())
    have = _plain_words(word.text for word in prompt.words)
    if not wanted:
        raise EvenframeError(f"'{phrase}' names no word: choose words of the prompt.")
    starts = [
        start
        for start in range(len(have) - len(wanted) + 1)
        if have[start : start + len(wanted)] == wanted
    ]
    if not starts:
        raise EvenframeError(
            f"The word '{phrase}' is not in the prompt '{prompt.text}': "
            "choose one of its words, written as there."
        )
    places = [index for start in starts for index in range(start, start + len(wanted))]
    return tuple(token for index in places for token in prompt.words[index].tokens)


def _plain_words(words: Iterable[str]) -> list[str]:
    return [word.strip(string.punctuation).lower() for word in words]


def _span(tokens: tuple[int, ...]) -> str:
    return str(tokens[0]) if len(tokens) == 1 else f"{tokens[0]}-{tokens[-1]}"
