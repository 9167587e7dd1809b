"""Tensors in LDM naming to components: shared by checkpoint files and adopted models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...common.errors import EvenframeError, in_short
from ..files import assemble
from . import ldm, shipped
from .components import Components, native_size, vae_dtype


@dataclass(frozen=True, eq=False)
class LdmTensors:
    """The tensors of a model.

    unet: LDM names without prefix (`input_blocks.0.0.weight`).
    vae: LDM names without prefix (`encoder.conv_in.weight`).
    text: transformers' names without `text_model.` (`encoder.layers.0.mlp.fc1.weight`).
    """

    unet: Mapping[str, Tensor]
    vae: Mapping[str, Tensor]
    text: Mapping[str, Tensor]

    def shapes(self) -> tuple[ldm.Shapes, ldm.Shapes, ldm.Shapes]:
        """Names to shapes: UNet, VAE, text encoder."""
        unet, vae, text = (
            {key: tuple(tensor.shape) for key, tensor in part.items()}
            for part in (self.unet, self.vae, self.text)
        )
        return unet, vae, text


def compose(
    tensors: LdmTensors,
    *,
    prediction: str,
    text_layers: int | None,
    dtype: torch.dtype | None,
    fingerprint: str,
    name: str,
) -> Components:
    """Build the modules from the tensors' shapes and give them the tensors.

    prediction: "epsilon" or "v_prediction". text_layers: layers of the text encoder to use,
    counted from the first; None is all, as is more than there are. dtype: of the weights, see
    `vae_dtype`; None keeps each part's own type and shares the memory.

    Raises:
        EvenframeError: not a Stable Diffusion 1.x or 2.x model, or parts that do not fit together.
    """
    unet_shapes, vae_shapes, text_shapes = tensors.shapes()
    width = ldm.text_width(unet_shapes)
    family = ldm.family_of(width)
    check_widths(width, ldm.states_width(text_shapes))
    unet_config = ldm.unet_config(family, unet_shapes)
    check_latents(unet_config["in_channels"])
    if family == "sd21" and prediction == "v_prediction":
        unet_config["sample_size"] = shipped.V_PREDICTION_SAMPLE_SIZE
    text_config = ldm.text_config(family, text_shapes, text_layers)
    unet = _empty("UNet", assemble.empty_unet, unet_config)
    vae = _empty("VAE", assemble.empty_vae, ldm.vae_config(family, vae_shapes))
    text = _empty("text encoder", assemble.empty_text_encoder, text_config)
    bind_unet(unet, tensors.unet, dtype)
    bind_vae(vae, tensors.vae, None if dtype is None else vae_dtype(dtype))
    bind_text(text, tensors.text, dtype)
    return Components(
        unet=unet,
        vae=vae,
        text_encoder=text,
        tokenizer=shipped.tokenizer(family),
        scheduler_config=shipped.config(family, "scheduler") | {"prediction_type": prediction},
        native_size=native_size(unet, vae),
        fingerprint=fingerprint,
        name=name,
    )


def _empty(what: str, make: Callable[[Mapping[str, Any]], Any], config: Mapping[str, Any]) -> Any:
    try:
        return make(config)
    except Exception as error:  # whatever the libraries raise at widths that do not divide
        raise EvenframeError(
            f"The {what} has shapes that no Stable Diffusion has ({in_short(error)}): use a "
            "Stable Diffusion 1.x or 2.1 model."
        ) from error


def bind_unet(unet: Any, tensors: Mapping[str, Tensor], dtype: torch.dtype | None = None) -> None:
    """Point a UNet's parameters at tensors in LDM naming."""
    assemble.fill(unet, ldm.convert_unet(tensors, unet.config), "UNet", dtype)


def bind_vae(vae: Any, tensors: Mapping[str, Tensor], dtype: torch.dtype | None = None) -> None:
    """Point a VAE's parameters at tensors in LDM naming."""
    assemble.fill(vae, ldm.convert_vae(tensors, vae.config), "VAE", dtype)


def bind_text(text: Any, tensors: Mapping[str, Tensor], dtype: torch.dtype | None = None) -> None:
    """Point a text encoder's parameters at tensors named as in `LdmTensors.text`."""
    named = ldm.convert_text(tensors, hasattr(text, "text_model"))
    assemble.fill(text, named, "text encoder", dtype)


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
