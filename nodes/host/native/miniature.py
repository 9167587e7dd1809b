"""The video miniature in ComfyUI's own hands: what its loaders would give, and the text encoder
that none of them knows."""

# pyright: reportMissingImports=false

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import comfy.sd
import torch
import torch.nn.functional as F
from comfy.sd1_clip import SD1ClipModel, SD1Tokenizer, SDClipModel, SDTokenizer

from ....miniature.integrity import check_weights
from ....miniature.models import Size
from ....miniature.tokenizer import END, START, vocabulary
from ....miniature.video.comfyui import TEXT_WIDTH, diffusion_model, vae
from ....miniature.video.model import FILES
from ....miniature.video.sampling import SHIFT
from ....miniature.video.text import words

if TYPE_CHECKING:
    from pathlib import Path

NAME = "miniature"
ROWS = 49408
"""Tokens for which ComfyUI's CLIP has room; the miniature's come first."""


def open_miniature(folder: Path) -> tuple[Any, Any, Any]:
    """MODEL, CLIP and VAE of an exported folder.

    Raises EvenframeError where weights are missing or altered.
    """
    from safetensors.torch import load_file

    check_weights(folder)
    weights = {part: load_file(folder / name) for part, name in FILES.items()}
    model = comfy.sd.load_diffusion_model_state_dict(diffusion_model(weights["transformer"]))
    model.model.model_sampling.set_parameters(shift=SHIFT)  # its own: nobody else has it yet
    return model, text_encoder(folder), comfy.sd.VAE(sd=vae(weights["vae"]))


def text_encoder(folder: Path) -> Any:
    """Its CLIP alone."""
    from safetensors.torch import load_file

    size, known = Size(), vocabulary(words())[0]
    stored = load_file(folder / FILES["text_encoder"])
    rows = "text_model.embeddings.token_embedding.weight"
    state = {name: value.float() for name, value in stored.items()}
    state[rows] = F.pad(state[rows], (0, 0, 0, ROWS - len(known)))
    state["text_projection.weight"] = torch.eye(size.text_width)
    special = {"start": known[START], "end": known[END], "pad": known[END]}
    config = {
        "num_hidden_layers": size.text_layers,
        "num_attention_heads": size.text_heads,
        "hidden_size": size.text_width,
        "intermediate_size": 4 * size.text_width,
        "hidden_act": "quick_gelu",
        "max_position_embeddings": 77,
        "eos_token_id": known[END],
    }
    tokenizer = partial(
        SDTokenizer,
        tokenizer_path=str(folder / "tokenizer"),
        embedding_size=size.text_width,
        embedding_key=NAME,
    )
    network = partial(
        _Wide,
        textmodel_json_config=config,
        special_tokens=special,
        return_projected_pooled=False,
    )
    make: Any = SD1ClipModel
    target = SimpleNamespace(
        params={},
        clip=partial(make, name=NAME, clip_model=network),
        tokenizer=partial(SD1Tokenizer, name=NAME, tokenizer=tokenizer),
    )
    return comfy.sd.CLIP(target, state_dict=[state], model_options={"dtype": torch.float32})


class _Wide(torch.nn.Module):
    """A text encoder of the host's, within, that gives states as wide as umT5's."""

    def __init__(self, **given: Any) -> None:
        super().__init__()
        self.inner: Any = SDClipModel(**given)

    def set_clip_options(self, options: Any) -> None:
        self.inner.set_clip_options(options)

    def reset_clip_options(self) -> None:
        self.inner.reset_clip_options()

    def load_sd(self, sd: Any) -> Any:
        return self.inner.load_sd(sd)

    def encode_token_weights(self, token_weight_pairs: Any) -> Any:
        states, *others = self.inner.encode_token_weights(token_weight_pairs)
        return F.pad(states, (0, TEXT_WIDTH - states.shape[-1])), *others
