"""The video miniature's text: the image miniature's encoder, with words of motion."""

from __future__ import annotations

from typing import Any

import torch

from .. import weights_dir
from ..models import Size, make_text_encoder
from ..tokenizer import WordEncoder, vocabulary
from ..vocabulary import all_words
from .motions import MOTION_WORDS

_AXES = ("vx", "vy", "turn", "grow", "still")
MOTIONS: dict[str, tuple[float, ...]] = {
    "left": (-1, 0, 0, 0, 0),
    "right": (1, 0, 0, 0, 0),
    "up": (0, -1, 0, 0, 0),
    "down": (0, 1, 0, 0, 0),
    "turning": (0, 0, 1, 0, 0),
    "growing": (0, 0, 0, 1, 0),
    "shrinking": (0, 0, 0, -1, 0),
    "still": (0, 0, 0, 0, 1),
}
"""What a word says of the motion of the thing before it, along the axes of `_AXES`."""


def words() -> tuple[str, ...]:
    """Every word that is one token."""
    return tuple(sorted({*all_words(), *MOTION_WORDS}))


def word_encoder() -> WordEncoder:
    """Token ids of prompts of these words."""
    return WordEncoder(words())


def start_text_encoder(size: Size | None = None) -> Any:
    """A CLIPTextModel that knows what the image miniature's knows.

    New words begin small and at random, seeded: they are still to be learned.
    """
    from safetensors.torch import load_file

    tokens, _ = vocabulary(words())
    torch.manual_seed(0)
    model = make_text_encoder(size or Size(), len(tokens))
    stored = load_file(weights_dir() / "text_encoder" / "model.safetensors")
    prefix = "text_model."
    known = {name.removeprefix(prefix): value.float() for name, value in stored.items()}
    embedding = "embeddings.token_embedding.weight"
    before, _ = vocabulary()
    old = known.pop(embedding)
    state = {name.removeprefix(prefix): value for name, value in model.state_dict().items()}
    rows = 0.02 * torch.randn_like(state[embedding])
    for token, index in tokens.items():
        if token in before:
            rows[index] = old[before[token]]
    state |= known | {embedding: rows}
    full = {
        name: state[name.removeprefix(prefix)].reshape(value.shape)
        for name, value in model.state_dict().items()
    }
    model.load_state_dict(full)
    return model
