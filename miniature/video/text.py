"""The video miniature's text: the image miniature's encoder, with words of motion."""

from __future__ import annotations

from typing import Any

import torch

from .. import weights_dir
from ..models import Size, load_published, make_text_encoder
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


def start_text_encoder() -> Any:
    """A CLIPTextModel that knows what the image miniature's knows.

    New words begin small and at random, seeded: they are still to be learned.
    """
    (tokens, _), (known, _) = vocabulary(words()), vocabulary()
    still = make_text_encoder(Size(), len(known))
    load_published(still, weights_dir() / "text_encoder" / "model.safetensors")
    torch.manual_seed(0)
    model, state = make_text_encoder(Size(), len(tokens)), still.state_dict()
    embedding = next(name for name in state if name.endswith("token_embedding.weight"))
    rows = 0.02 * torch.randn(len(tokens), Size().text_width)
    for token, index in known.items():
        if token in tokens:
            rows[tokens[token]] = state[embedding][index]
    model.load_state_dict(state | {embedding: rows})
    return model
