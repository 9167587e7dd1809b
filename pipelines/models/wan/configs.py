"""Empty modules of Wan by the configurations of a model folder, which part_config.py checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ...common.errors import EvenframeError, in_short
from ..files.folder_files import AGAIN
from ..files.part_config import MAX_NUMBER, Allowed, Config, defaults_of, refusal

PARTS: Mapping[str, str] = {
    "transformer": "transformer",
    "vae": "VAE",
    "text_encoder": "text encoder",
}
"""The parts with weights, and how an error names them."""
WANTED = "choose a text-to-video model folder of Wan 2.1 or of Wan 2.2 5B"
TEXT: Config = {
    "vocab_size": 250112,
    "d_model": 512,
    "d_kv": 64,
    "d_ff": 1024,
    "num_layers": 8,
    "num_heads": 6,
    "relative_attention_num_buckets": 32,
    "relative_attention_max_distance": 128,
    "layer_norm_epsilon": 1e-6,
    "feed_forward_proj": "gated-gelu",
    "pad_token_id": 0,
    "eos_token_id": 1,
}
"""The library's defaults for what a text encoder computes; other names may make it fetch code."""
RANGES: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "transformer": {
        "patch_size": (1, 8),
        "num_attention_heads": (1, 256),
        "attention_head_dim": (12, 256),
        "in_channels": (1, 1024),
        "num_layers": (1, 128),
        "rope_max_seq_len": (1, 8192),
        "eps": (0, 1),
    },
    "vae": {
        "z_dim": (1, 1024),
        "num_res_blocks": (1, 8),
        "dim_mult": (1, 16),
        "in_channels": (3, 12),
        "out_channels": (3, 12),
        "latents_mean": (-1e6, 1e6),
        "latents_std": (1e-6, 1e6),
        "scale_factor_temporal": (4, 4),
        "scale_factor_spatial": (8, 32),
    },
    "text_encoder": {
        "vocab_size": (1, MAX_NUMBER),
        "num_layers": (1, 64),
        "num_heads": (1, 256),
        "layer_norm_epsilon": (0, 1),
    },
}
"""What numbers may be: some count what is made, of others there is one that can be used."""
NUMBERS = frozenset({"decoder_base_dim", "patch_size", "image_dim", "added_kv_proj_dim"})
LONGEST = 64
"""Entries of a list: Wan 2.2 has 48 channels."""


def build(configs: Mapping[str, Config]) -> dict[str, Any]:
    """The parts without weights, of configurations by part.

    Raises EvenframeError with the part, the name and the value of what cannot be used, and for
    parts that do not fit together.
    """
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
    from diffusers.models.transformers.transformer_wan import WanTransformer3DModel

    defaults = {
        "transformer": defaults_of(WanTransformer3DModel),
        "vae": defaults_of(AutoencoderKLWan),
        "text_encoder": TEXT,
    }
    used = {
        part: Allowed(each, RANGES[part], NUMBERS, longest=LONGEST).read(part, configs[part])
        for part, each in defaults.items()
    }
    full = {part: {**defaults[part], **used[part]} for part in PARTS}
    _require_fitting(full)
    return {part: _made(part, used[part]) for part in PARTS}


def _require_fitting(configs: Mapping[str, Config]) -> None:
    transformer, vae, text = (configs[part] for part in PARTS)
    channels, latents = transformer["in_channels"], vae["z_dim"]
    if transformer["image_dim"] or transformer["added_kv_proj_dim"] or channels != latents:
        raise EvenframeError(
            f"The transformer takes {channels} channels, or pictures besides, and the VAE gives "
            f"{latents} (an image-to-video or editing model): {WANTED}."
        )
    if transformer["text_dim"] != text["d_model"]:
        raise EvenframeError(
            f"The text encoder gives states of width {text['d_model']!r:.60} but the transformer "
            f"reads {transformer['text_dim']!r:.60}: use the text encoder of the model."
        )
    patch = tuple(transformer["patch_size"])
    if len(patch) != 3 or patch[0] != 1 or patch[1] != patch[2]:
        raise refusal("transformer", "patch_size", list(patch), "one such as [1, 2, 2] is needed")
    for name in ("latents_mean", "latents_std"):
        if len(vae[name]) != latents:
            raise refusal("vae", name, list(vae[name]), f"{latents} numbers are needed")
    stride = 2 ** (len(vae["dim_mult"]) - 1) * (vae["patch_size"] or 1)
    if vae["scale_factor_spatial"] != stride or sum(vae["temperal_downsample"]) != 2:
        given = vae["scale_factor_spatial"]
        raise refusal("vae", "scale_factor_spatial", given, f"its layers make {stride}, and 4 in")


def _made(part: str, config: Config) -> Any:
    try:
        return _empty(part, config)
    except Exception as error:  # whatever the library happens to raise
        raise EvenframeError(
            f"'{part}/config.json' does not describe a part of Wan ({in_short(error)}): {AGAIN}."
        ) from error


def _empty(part: str, config: Config) -> Any:
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
    from diffusers.models.transformers.transformer_wan import (
        WanRotaryPosEmbed,
        WanTransformer3DModel,
    )
    from transformers import UMT5Config, UMT5EncoderModel

    with torch.device("meta"):
        if part == "text_encoder":
            return UMT5EncoderModel(UMT5Config(**config))
        if part == "vae":
            return AutoencoderKLWan.from_config(dict(config))
        module: Any = WanTransformer3DModel.from_config(dict(config))
    used = module.config
    # Its angles are in no file.
    module.rope = WanRotaryPosEmbed(used.attention_head_dim, used.patch_size, used.rope_max_seq_len)
    return module
