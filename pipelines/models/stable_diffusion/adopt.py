"""A model that is already in memory, shared: its tensors become diffusers modules without a copy.

The tensors stay the owner's. Before the owner moves or patches them (evicts them from the device,
takes a LoRA off or puts one on), `release` lets go of them; afterwards `rebind` points the same
modules at the tensors of now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ...common.errors import EvenframeError
from ..files import fingerprint
from .components import PARTS, Components
from .compose import bind, compose

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
    states = {"unet": unet_state, "vae": vae_state, "text_encoder": text_state}
    tensors = {part: _usable(part, state) for part, state in states.items()}
    named = {
        f"{part.removesuffix('_encoder')}.{key}": tensor
        for part, state in tensors.items()
        for key, tensor in state.items()
    }
    return compose(
        tensors,
        prediction=prediction,
        text_layers=text_layers,
        dtype=None,
        fingerprint=fingerprint.of_tensors(named, prediction, f"text layers {text_layers}"),
        name=name,
    )


def rebind(part: str, module: nn.Module, state: State) -> None:
    """Point an adopted part at its owner's tensors of now; `part` as in `PARTS`, `state` as in
    `from_ldm`."""
    bind(part, module, _usable(part, state))


def release(module: nn.Module) -> None:
    """Let go of an adopted part's memory; it cannot compute until it is bound again."""
    module.to_empty(device="meta")


def _usable(part: str, state: State) -> dict[str, Tensor]:
    """The floating-point tensors of a part, checked, of one type that can be computed with."""
    what = PARTS[part]
    floats = {
        key.removeprefix("text_model."): tensor
        for key, tensor in state.items()
        if tensor.is_floating_point()
    }
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
