"""Stable Diffusion's text encoder: CLIP's, of 77 tokens."""

from dataclasses import dataclass
from typing import Any

from ...text import conditioning
from ...text.conditioning import Conditioning
from ...text.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class ClipText:
    """A `TextEncoder` (model.py) of transformers' CLIPTextModel.

    vocabulary: see `Components`.
    """

    fingerprint: str
    module: Any
    tokenizer: Any
    vocabulary: Vocabulary | None = None

    def encode(self, text: str) -> Conditioning:
        """Tokens, words and states of a prompt; an error says by how much it is too long."""
        return conditioning.encode(
            text, self.tokenizer, self.module, self.fingerprint, self.vocabulary
        )
