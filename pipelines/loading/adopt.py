"""A model that is already in memory, shared: its tensors become diffusers modules without a copy.

The tensors stay the owner's. When the owner has moved or patched them (evicted from the device,
a LoRA taken off or put on), `rebind` points the same modules at the tensors of now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..errors import EvenframeError
from . import fingerprint
from .components import Components
from .compose import LdmTensors, bind, compose

State = Mapping[str, Tensor]
USABLE = (torch.float32, torch.float16, torch.bfloat16)


def from_ldm(
    unet_state: State,
    text_state: State,
    vae_state: State,
    *,
    prediction: str = "epsilon",
    text_layers: int | None = None,
    name: str = "adopted",
) -> Components:
    """Build a model over tensors that another program holds.

    unet_state: LDM names without prefix (`input_blocks.0.0.weight`, ...).
    text_state: transformers' names, with or without `text_model.` (`encoder.layers.0...`).
    vae_state: LDM names without prefix (`encoder.conv_in.weight`, ...).
    prediction: what the UNet predicts, "epsilon" or "v_prediction".
    text_layers: layers of the text encoder to use ("clip skip"); None is all. The last norm is
        applied after whichever layer is the last.

    Every parameter has the address of the tensor given; only tensors of another type than the
    rest of their part, or of a type that cannot be computed with (8-bit floats), are cast. The
    fingerprint is taken from the values of now, so it differs when a LoRA is applied.

    Raises:
        EvenframeError: not Stable Diffusion 1.x or 2.x, parts of different families, a tensor
            missing, of the wrong shape, quantized, or without memory (meta device).
    """
    tensors = _tensors(unet_state, text_state, vae_state)
    named = {
        f"{part}.{key}": tensor
        for part in ("unet", "text", "vae")
        for key, tensor in getattr(tensors, part).items()
    }
    return compose(
        tensors,
        prediction=prediction,
        text_layers=text_layers,
        dtype=None,
        fingerprint=fingerprint.of_tensors(named, prediction, f"text layers {text_layers}"),
        name=name,
    )


def rebind(components: Components, unet_state: State, text_state: State, vae_state: State) -> None:
    """Point the modules of adopted components at the owner's tensors of now (milliseconds).

    Arguments as in `from_ldm`. To be called before each use, after the owner has loaded its model.
    """
    tensors = _tensors(unet_state, text_state, vae_state)
    bind(components.unet, components.vae, components.text_encoder, tensors)


def _tensors(unet_state: State, text_state: State, vae_state: State) -> LdmTensors:
    text = {key.removeprefix("text_model."): tensor for key, tensor in text_state.items()}
    return LdmTensors(
        unet=_usable("UNet", unet_state),
        vae=_usable("VAE", vae_state),
        text=_usable("text encoder", text),
    )


def _usable(what: str, state: State) -> dict[str, Tensor]:
    """The floating-point tensors of a part, checked, of one type that can be computed with."""
    floats = {key: tensor for key, tensor in state.items() if tensor.is_floating_point()}
    for key, tensor in floats.items():
        # Other subclasses hold packed weights that only their owner can read.
        if type(tensor) not in (Tensor, nn.Parameter):
            raise EvenframeError(
                f"The {what} is quantized ('{key}' is a {type(tensor).__name__}): load it in "
                "fp16, bf16 or fp32 to adopt it."
            )
        if tensor.is_meta:
            raise EvenframeError(
                f"The {what} holds no memory for '{key}': load the model before adopting it."
            )
    common = Counter(tensor.dtype for tensor in floats.values()).most_common(1)
    dtype = common[0][0] if common and common[0][0] in USABLE else torch.bfloat16
    return {key: tensor.to(dtype) for key, tensor in floats.items()}
