"""Tensors in LDM naming to components."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ...common.errors import EvenframeError, in_short
from ..files import assemble
from . import ldm, shipped
from .components import PARTS, Components, empty, native_size, part_dtype


def compose(
    tensors: Mapping[str, Mapping[str, Tensor]],
    *,
    prediction: str,
    dtype: torch.dtype,
    fingerprint: str,
    name: str,
) -> Components:
    """Build the modules from the tensors' shapes and give them the tensors.

    tensors: by part and name, in LDM's naming without prefix ("unet": `input_blocks.0.0.weight`,
    "vae": `encoder.conv_in.weight`), or transformers' without `text_model.` ("text_encoder":
    `encoder.layers.0.mlp.fc1.weight`). prediction: "epsilon" or "v_prediction". dtype: of
    the weights, see `part_dtype`.

    Raises:
        EvenframeError: not a Stable Diffusion 1.x or 2.x model, or parts that do not fit together.
    """
    unet, vae, text = (
        {key: tuple(tensor.shape) for key, tensor in tensors[part].items()}
        for part in ("unet", "vae", "text_encoder")
    )
    width = ldm.text_width(unet)
    family = ldm.family_of(width)
    check_widths(width, ldm.states_width(text))
    unet_config = ldm.unet_config(family, unet)
    check_latents(unet_config["in_channels"])
    if family == "sd21" and prediction == "v_prediction":
        unet_config["sample_size"] = shipped.V_PREDICTION_SAMPLE_SIZE
    modules = {
        "unet": _empty("unet", unet_config),
        "vae": _empty("vae", ldm.vae_config(family, vae)),
        "text_encoder": _empty("text_encoder", ldm.text_config(family, text)),
    }
    for part, module in modules.items():
        named = ldm.convert(part, tensors[part], module)
        assemble.fill(module, named, PARTS[part], part_dtype(part, dtype))
    return Components(
        **modules,
        tokenizer=shipped.tokenizer(family),
        scheduler_config=shipped.config(family, "scheduler") | {"prediction_type": prediction},
        native_size=native_size(modules["unet"], modules["vae"]),
        fingerprint=fingerprint,
        name=name,
    )


def _empty(part: str, config: Mapping[str, Any]) -> Any:
    try:
        return empty(part, config)
    except Exception as error:  # whatever the libraries raise at widths that do not divide
        raise EvenframeError(
            f"The {PARTS[part]} has shapes that no Stable Diffusion has ({in_short(error)}): use a "
            "Stable Diffusion 1.x or 2.1 model."
        ) from error


def check_widths(unet: int, text: int) -> None:
    """Refuse a text encoder whose states the UNet cannot read."""
    if text != unet:
        raise EvenframeError(
            f"The text encoder gives states of width {text!r:.60} but the UNet reads {unet!r:.60}: "
            "use the text encoder that belongs to the model (768 for Stable Diffusion 1.x, 1024 "
            "for 2.x)."
        )


def check_latents(channels: int) -> None:
    """Refuse UNets that want more than the latents: inpainting, depth, instructions."""
    if channels != 4:
        raise EvenframeError(
            f"The UNet takes {channels!r:.60} input channels (an inpainting, depth or instruction "
            "model): choose the ordinary text-to-image model, which takes 4."
        )
