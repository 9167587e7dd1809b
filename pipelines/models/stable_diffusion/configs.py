"""Empty modules by the configurations of a model folder, which part_config.py checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...common.errors import EvenframeError, in_short
from ..files.folder_files import AGAIN
from ..files.part_config import MAX_NUMBER, Allowed, Config, defaults_of, refusal
from .components import empty
from .compose import check_latents, check_widths

RANGES: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "unet": {
        "sample_size": (8, 4096),
        "layers_per_block": (1, 8),
        "transformer_layers_per_block": (1, 16),
        "downsample_padding": (1, 1),
        "out_channels": (4, 4),
        "norm_eps": (0, 1),
    },
    "vae": {
        "layers_per_block": (1, 8),
        "in_channels": (3, 3),
        "out_channels": (3, 3),
        "latent_channels": (4, 4),
        "scaling_factor": (1e-6, 1e6),
    },
    "text_encoder": {
        "num_hidden_layers": (1, 64),
        "max_position_embeddings": (77, 4096),
        "layer_norm_eps": (0, 1),
        "pad_token_id": (-1, MAX_NUMBER),
    },
}
"""What numbers may be: some count what is made, of others there is one that can be used."""
TEXT: Config = {
    "vocab_size": 49408,
    "hidden_size": 512,
    "intermediate_size": 2048,
    "projection_dim": 512,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
    "pad_token_id": 1,
    "bos_token_id": 49406,
    "eos_token_id": 49407,
}
"""The library's defaults for what a text encoder computes; other names may make it fetch code."""
NUMBERS = frozenset(
    {"sample_size", "attention_head_dim", "num_attention_heads", "time_cond_proj_dim"}
)
"""What is a whole number though its default is none."""
EITHER = frozenset({"attention_head_dim", "num_attention_heads"})
"""One number for all levels, or a list of one for each."""
VAE_LEVELS = 4
"""An eighth of the picture's sides, which the rest of the package counts on."""


def build(configs: Mapping[str, Config]) -> dict[str, Any]:
    """The parts without weights, of configurations by part.

    Raises EvenframeError with the part, the name and the value of what cannot be used.
    """
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    check_latents(configs["unet"].get("in_channels", 4))
    width = configs["unet"].get("cross_attention_dim", 1280)
    check_widths(width, configs["text_encoder"].get("hidden_size", TEXT["hidden_size"]))
    defaults = {
        "unet": defaults_of(UNet2DConditionModel),
        "vae": defaults_of(AutoencoderKL),
        "text_encoder": TEXT,
    }
    made = {part: _made(part, configs[part], each) for part, each in defaults.items()}
    levels = list(made["vae"].config.block_out_channels)
    if len(levels) != VAE_LEVELS:
        raise refusal("vae", "block_out_channels", levels, f"{VAE_LEVELS} numbers are needed")
    return made


def _made(part: str, config: Config, defaults: Config) -> Any:
    used = Allowed(defaults, RANGES[part], NUMBERS, EITHER).read(part, config)
    try:
        return empty(part, used)
    except Exception as error:  # whatever the library happens to raise
        raise EvenframeError(
            f"'{part}/config.json' does not describe a part of Stable Diffusion 1.x or 2.x "
            f"({in_short(error)}): {AGAIN}."
        ) from error
