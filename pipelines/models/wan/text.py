"""Wan's text encoder: umT5, of 512 tokens, none of which sums the prompt up."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from ...text.conditioning import Conditioning, require_known
from ...text.syntax import syntax_notes
from ...text.tokens import tokenize

MAX_TOKENS = 512
"""Of a prompt, as Wan was trained."""


@dataclass(frozen=True, eq=False)
class T5Text:
    """A `TextEncoder` (model.py) of transformers' UMT5EncoderModel."""

    fingerprint: str
    module: Any
    tokenizer: Any

    @torch.no_grad()
    def encode(self, text: str) -> Conditioning:
        """Tokens, words and states of a prompt; an error says by how much it is too long.

        Behind the tokens the states are 0, as Wan was trained: they are looked at, too.
        """
        tokens = tokenize(text, self.tokenizer, end_sums_up=False)
        require_known(tokens.ids, self.tokenizer, self.module)
        device = next(self.module.parameters()).device
        ids = torch.tensor([tokens.ids], device=device)
        states = self.module(input_ids=ids).last_hidden_state[0].float()  # tokens c
        missing = int(self.tokenizer.model_max_length) - len(states)
        padded = F.pad(states, (0, 0, 0, missing))
        return Conditioning(tokens, {"tokens": padded}, self.fingerprint, syntax_notes(text))
