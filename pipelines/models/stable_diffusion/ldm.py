"""The naming of tensors that Stable Diffusion was released in (LDM), read as diffusers modules.

A UNet is `input_blocks`, `middle_block`, `output_blocks`; a VAE is `encoder.down`, `decoder.up`
counted from the finest level, its attention as 1x1 convolutions; a text encoder is CLIP as the
transformers library names it, or as open_clip does. Names are converted by diffusers' own
converters, which move no value; the widths and depths are read from the shapes, so that pruned
and miniature models of the same layout load too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from ...common.errors import EvenframeError
from . import shipped

UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."
TEXT_PREFIXES = (
    "cond_stage_model.transformer.",
    "cond_stage_model.model.",
    "conditioner.embedders.0.transformer.",
    "conditioner.embedders.0.model.",
)
"""Where checkpoints keep their text encoder, the usual place first."""
_TOKENS = "token_embedding.weight"
TOKENS = "embeddings." + _TOKENS

Shapes = Mapping[str, Sequence[int]]


def strip_prefix(tensors: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The entries under a prefix, without it."""
    return {key[len(prefix) :]: tensors[key] for key in tensors if key.startswith(prefix)}


def family_of(width: int) -> str:
    """The family that a text width belongs to: 768 is SD 1.x, 1024 is SD 2.x."""
    try:
        return {768: "sd15", 1024: "sd21"}[width]
    except KeyError:
        raise EvenframeError(
            f"The model reads text states of width {width}: only Stable Diffusion 1.x (768) and "
            "2.x (1024) are supported. Choose one of those."
        ) from None


def text_width(unet: Shapes) -> int:
    """Width of the text states that a UNet in LDM naming attends to."""
    for key in unet:
        if key.endswith("attn2.to_k.weight"):
            return int(_shape(unet, key, 2)[1])
    raise EvenframeError(
        "The UNet has no cross-attention, so it cannot follow a prompt: choose a Stable Diffusion "
        "1.x or 2.1 model."
    )


def states_width(text: Shapes) -> int:
    """Width of the states that a text encoder in transformers' naming gives."""
    return int(_shape(text, TOKENS, 2)[1])


def unet_config(family: str, unet: Shapes) -> dict[str, Any]:
    """diffusers' configuration of a UNet, from its LDM shapes (without prefix)."""
    config = shipped.config(family, "unet")
    levels = _unet_levels(unet)
    counts = {len(level) for level in levels}
    crossed = [any(has_attention for _, has_attention in level) for level in levels]
    if len(counts) != 1:
        raise EvenframeError(
            f"The UNet has {[len(level) for level in levels]} residual blocks in its levels: only "
            "equal numbers are supported. Choose a Stable Diffusion 1.x or 2.1 model."
        )
    widths = [level[-1][0] for level in levels]
    eight = config["attention_head_dim"]
    heads = [max(1, width // 64) for width in widths] if family == "sd21" else eight
    return config | {
        "block_out_channels": widths,
        "layers_per_block": counts.pop(),
        "cross_attention_dim": text_width(unet),
        "attention_head_dim": heads,
        "in_channels": int(_shape(unet, "input_blocks.0.0.weight", 2)[1]),
        "out_channels": int(_shape(unet, "out.2.weight")[0]),
        "use_linear_projection": len(_shape(unet, "middle_block.1.proj_in.weight")) == 2,
        "down_block_types": ["CrossAttnDownBlock2D" if x else "DownBlock2D" for x in crossed],
        "up_block_types": ["CrossAttnUpBlock2D" if x else "UpBlock2D" for x in crossed[::-1]],
    }


def vae_config(family: str, vae: Shapes) -> dict[str, Any]:
    """diffusers' configuration of a VAE, from its LDM shapes (without prefix)."""
    levels = 1 + max(_numbers(vae, r"encoder\.down\.(\d+)\."), default=-1)
    if levels < 1:
        raise EvenframeError(
            "The VAE is not one of Stable Diffusion: choose a Stable Diffusion 1.x or 2.1 VAE."
        )
    blocks = 1 + max(_numbers(vae, r"encoder\.down\.0\.block\.(\d+)\."), default=0)
    widths = [
        int(_shape(vae, f"encoder.down.{level}.block.{blocks - 1}.conv2.weight")[0])
        for level in range(levels)
    ]
    return shipped.config(family, "vae") | {
        "block_out_channels": widths,
        "layers_per_block": blocks,
        "latent_channels": int(_shape(vae, "decoder.conv_in.weight", 2)[1]),
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
    }


def text_config(family: str, text: Shapes) -> dict[str, Any]:
    """transformers' configuration of a text encoder, from shapes in transformers' naming.

    Its layers are those that the UNet was trained on. A file of SD 2.x as it was published holds
    24, the last of which is not used; one that was exported from a model folder the 23 alone.
    """
    config = shipped.config(family, "text_encoder")
    found = 1 + max(_numbers(text, r"encoder\.layers\.(\d+)\."), default=-1)
    vocabulary, width, *_ = _shape(text, TOKENS, 2)
    return config | {
        "hidden_size": int(width),
        "vocab_size": int(vocabulary),
        "num_attention_heads": max(1, int(width) // 64),
        "num_hidden_layers": min(config["num_hidden_layers"], found),
        "intermediate_size": int(_shape(text, "encoder.layers.0.mlp.fc1.weight")[0]),
        "max_position_embeddings": int(_shape(text, "embeddings.position_embedding.weight")[0]),
    }


def convert(part: str, tensors: Mapping[str, Tensor], module: Any) -> dict[str, Tensor]:
    """Names as `compose` takes them to those of a part's module.

    The tensors are the same objects; 1x1 convolutions of a VAE's attention become views.
    """
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint as convert_unet
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint as convert_vae

    if part == "text_encoder":  # before transformers 5.6 its layers lie under `text_model.`
        prefix = "text_model." if hasattr(module, "text_model") else ""
        return {prefix + key: tensor for key, tensor in tensors.items()}
    prefix, rename = (UNET_PREFIX, convert_unet) if part == "unet" else (VAE_PREFIX, convert_vae)
    return rename({prefix + key: tensor for key, tensor in tensors.items()}, module.config)


def text_prefix(names: Iterable[str]) -> str | None:
    """What the names of a checkpoint's text encoder begin with; None where it has none.

    It lies where its token embedding does. Of several, the one in the usual place counts.
    """
    ends = ("text_model.embeddings.", "embeddings.", "")
    found = []
    for name in names:
        if name.endswith(_TOKENS):
            place = name.removesuffix(_TOKENS)
            found.append(next(place.removesuffix(end) for end in ends if place.endswith(end)))
    usual = [prefix for prefix in TEXT_PREFIXES if prefix in found]
    return next(iter([*usual, *sorted(found)]), None)


def plain_text(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint's text encoder (either naming) as transformers names it, without prefixes.

    Works on tensors and, for `open_clip`, splits the joint query-key-value weight into views.
    """
    prefix = text_prefix(checkpoint)
    text = {} if prefix is None else strip_prefix(checkpoint, prefix)
    if _TOKENS in text:
        return _from_open_clip(text)
    return {key.removeprefix("text_model."): value for key, value in text.items()}


_OPEN_CLIP_NAMES = {
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_final.weight": "final_layer_norm.weight",
    "ln_final.bias": "final_layer_norm.bias",
}
_OPEN_CLIP_PARTS = (
    ("ln_1.", "layer_norm1."),
    ("ln_2.", "layer_norm2."),
    ("mlp.c_fc.", "mlp.fc1."),
    ("mlp.c_proj.", "mlp.fc2."),
    ("attn.out_proj.", "self_attn.out_proj."),
)


def _from_open_clip(text: Mapping[str, Tensor]) -> dict[str, Tensor]:
    named = {new: text[old] for old, new in _OPEN_CLIP_NAMES.items() if old in text}
    for key, tensor in text.items():
        match = re.fullmatch(r"transformer\.resblocks\.(\d+)\.(.+)", key)
        if match is None:
            continue
        layer, rest = f"encoder.layers.{match[1]}.", match[2]
        if rest.startswith("attn.in_proj_"):
            kind = rest.removeprefix("attn.in_proj_")
            for part, piece in zip("qkv", tensor.chunk(3), strict=True):
                named[f"{layer}self_attn.{part}_proj.{kind}"] = piece
            continue
        for old, new in _OPEN_CLIP_PARTS:
            if rest.startswith(old):
                named[layer + new + rest.removeprefix(old)] = tensor
    return named


def _unet_levels(unet: Shapes) -> list[list[tuple[int, bool]]]:
    """Per level, finest first: (channels, has attention) of each residual block on the way down."""
    levels: list[list[tuple[int, bool]]] = [[]]
    for block in range(1, 1 + max(_numbers(unet, r"input_blocks\.(\d+)\."), default=0)):
        if f"input_blocks.{block}.0.op.weight" in unet:
            levels.append([])
            continue
        channels = int(_shape(unet, f"input_blocks.{block}.0.out_layers.3.weight")[0])
        levels[-1].append((channels, f"input_blocks.{block}.1.proj_in.weight" in unet))
    return levels


def _numbers(names: Shapes, pattern: str) -> set[int]:
    """What counts something in the names; where it is more than there are names, none is right."""
    matches = (re.match(pattern, name) for name in names)
    found = {int(match[1]) for match in matches if match and len(match[1]) < 6}
    return {number for number in found if number <= len(names)}


def _shape(shapes: Shapes, name: str, dimensions: int = 1) -> Sequence[int]:
    if name not in shapes:
        raise EvenframeError(
            f"The model is incomplete: it has no tensor '{name}'. Use a complete Stable Diffusion "
            "1.x or 2.1 model."
        )
    if len(shapes[name]) < dimensions:
        raise EvenframeError(
            f"The model is damaged: '{name}' is of the shape {tuple(shapes[name])}. Use a complete "
            "Stable Diffusion 1.x or 2.1 model."
        )
    return shapes[name]
