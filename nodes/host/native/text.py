"""The host's CLIP as a `TextEncoder` (pipelines/models/model.py)."""

# pyright: reportMissingImports=false

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from comfy.sd1_clip import escape_important, token_weights, unescape_important

from ....pipelines.common.errors import EvenframeError
from ....pipelines.common.typed_text import require_typed
from ....pipelines.text.tokens import Tokens, place_words
from .prompts import notes_of, prompt_of, same_states

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ....pipelines.text.conditioning import Conditioning

Flat = list[tuple[Any, int]]
"""(token, number of its group, 0 for special ones), by position."""
UNSPLIT = (
    "The words of this prompt cannot be told apart, so none can be named: write it without "
    "brackets and unusual characters."
)

SHIFTED = (
    "An embedding in this prompt is of different lengths in the model's two text encoders, so the "
    "words behind it are looked for beside where one of them has them: put it last in the prompt."
)


@dataclass(frozen=True, eq=False)
class HostText:
    """A `TextEncoder` of a CLIP that the host loads and moves.

    Weights "(word:1.2)" and embeddings are the host's, and count. fingerprint: of its weights and
    settings. width: numbers of each token's state that the MODEL takes; 0 where it does not say.
    """

    fingerprint: str
    clip: Any
    width: int = 0

    @property
    def module(self) -> Any:
        """The host's own; it is never moved from here."""
        return self.clip.cond_stage_model

    @property
    def tokenizer(self) -> Any:
        """The host's own."""
        return self.clip.tokenizer

    def encode(self, text: str) -> Conditioning:
        """Tokens, words and states of a prompt, of any length that the host takes."""
        require_typed(text, "The prompt")
        conditioning = self.clip.encode_from_tokens_scheduled(self.clip.tokenize(text))
        return self._prompt(text, conditioning)

    def wrapped(self, text: str, conditioning: Any) -> Conditioning:
        """CONDITIONING that other nodes have made of this text, with its words and positions.

        Raises EvenframeError for states of a text of another length, or for another model.
        """
        states = conditioning[0][0]
        if states is not None and self.width and states.shape[-1] != self.width:
            raise EvenframeError(
                f"The conditioning has {states.shape[-1]} numbers for each token, but the MODEL "
                f"takes {self.width}: encode the text with the CLIP of Adopt Model."
            )
        return self._prompt(text, self._leading(text, conditioning))

    def _leading(self, text: str, conditioning: Any) -> Any:
        """The entries, with that first which has the states of this text, where one has."""
        if len(conditioning) < 2:
            return conditioning
        own = self.clip.encode_from_tokens_scheduled(self.clip.tokenize(text))[0][0]
        at = next((at for at, entry in enumerate(conditioning) if same_states(own, entry[0])), 0)
        return [*conditioning[at:], *conditioning[:at]]

    def _prompt(self, text: str, conditioning: Any) -> Conditioning:
        every = self._every(text)
        flat = _shortest(every)
        states, count = conditioning[0][0], len(flat)
        if states is None or states.shape[:2] != (1, count):
            raise EvenframeError(
                f"The conditioning has states of the shape {tuple(getattr(states, 'shape', ()))}, "
                f"and this text has {count} tokens: encode the same text, with the CLIP of Adopt "
                "Model, and without Conditioning Concat."
            )
        tokens = self._tokens(text, flat)
        notes = (UNSPLIT,) if text.strip() and not tokens.words else ()
        notes += ((SHIFTED,) if _shifted(every) else ()) + notes_of(conditioning)
        return prompt_of(conditioning, tokens, self.fingerprint, notes)

    def _tokens(self, text: str, flat: Flat) -> Tokens:
        first = int(self._flat("a")[0][1] == 0)  # CLIP's start; others have none
        positions = [at for at, (_, group) in enumerate(flat) if group]
        last = positions[-1] if positions else first - 1
        ids = tuple(_id(token) for token, _ in flat[: last + 2])
        count = cache(self._count)
        words = next(
            (
                found
                for parts in _readings(text)
                if (found := place_words(parts, positions, count)) is not None
            ),
            (),
        )
        # Where there is a start, the end has read the whole prompt.
        return Tokens(text, ids, words, first, last, last + 1 if first else None)

    def _flat(self, text: str) -> Flat:
        """Its tokens by position in the states."""
        return _shortest(self._every(text))

    def _every(self, text: str) -> list[Flat]:
        """The tokens of each text encoder, where several (SDXL's) are read side by side."""
        tokens = self.clip.tokenize(text, return_word_ids=True)
        names = [name for name in tokens if name in ("g", "l")] or [next(iter(tokens))]
        return [
            [(token, group) for batch in tokens[name] for token, _, group in batch]
            for name in names
        ]

    def _count(self, word: str) -> int:
        plain = word.replace("(", "\\(").replace(")", "\\)")
        return sum(group > 0 for _, group in self._flat(plain)) if word else 0


def _shortest(every: Sequence[Flat]) -> Flat:
    return every[0][: min(map(len, every))]  # the host cuts their states to the shortest


def _shifted(every: Sequence[Flat]) -> bool:
    """Whether a word begins at different positions in the text encoders."""
    first = [
        {group: at for at, (_, group) in reversed([*enumerate(flat)]) if group} for flat in every
    ]
    return any(begins != first[0] for begins in first[1:])


def _readings(text: str) -> list[list[str]]:
    """The words of a prompt, once with the host's weights taken out and once as they stand."""
    parts = [unescape_important(part) for part, _ in token_weights(escape_important(text), 1.0)]
    return [[word for part in parts for word in part.split()], text.split()]


def _id(token: Any) -> int:
    """A number for a token; embeddings are vectors, and equal ones have equal numbers."""
    if isinstance(token, int):
        return token
    values: Sequence[float] = token.float().flatten().tolist()
    return 2**30 | zlib.crc32(repr(values).encode()) >> 2
