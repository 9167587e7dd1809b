"""Models without trained weights: for tests, and for counting what a full-size model costs."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..pipelines.models.model import Model
from ..pipelines.models.stable_diffusion import shipped
from ..pipelines.models.stable_diffusion.components import PARTS, Components, empty, native_size
from ..pipelines.models.stable_diffusion.family import from_components

if TYPE_CHECKING:
    from torch import nn

TINY_WIDTH = 32


def tiny(seed: int = 0, native: int = 128, prediction: str = "epsilon") -> Model:
    """A very small model of the Stable Diffusion 1.x layout with seeded random weights.

    native: its training size in pixels, which decides the layers that methods use.
    """
    channels = (TINY_WIDTH, TINY_WIDTH * 2, TINY_WIDTH * 2, TINY_WIDTH * 2)
    unet = shipped.config("sd15", "unet") | {
        "block_out_channels": channels,
        "layers_per_block": 1,
        "cross_attention_dim": TINY_WIDTH,
        "attention_head_dim": 4,
        "norm_num_groups": 8,
        "sample_size": native // 8,
    }
    vae = shipped.config("sd15", "vae") | {
        "block_out_channels": (16, 16, 16, 16),
        "layers_per_block": 1,
        "norm_num_groups": 8,
        "sample_size": native,
    }
    text_encoder = shipped.config("sd15", "text_encoder") | {
        "hidden_size": TINY_WIDTH,
        "intermediate_size": TINY_WIDTH * 2,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "projection_dim": TINY_WIDTH,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts = (empty("unet", unet), empty("vae", vae), empty("text_encoder", text_encoder))
        for module in parts:
            _randomize(module)
    return _assemble(*parts, f"tiny-{seed}-{native}", prediction)


def full_size(family: str = "sd15") -> Model:
    """Stable Diffusion 1.5 (or "sd21") on the meta device: shapes and costs, no memory."""
    unet, vae, text_encoder = (empty(part, shipped.config(family, part)) for part in PARTS)
    return _assemble(unet, vae, text_encoder, family, "epsilon")


def with_part(model: Model, part: str, **fields: Any) -> Model:
    """The model with other fields of one part, as in `with_part(model, "denoiser", layout=...)`."""
    changed: Any = {part: replace(getattr(model, part), **fields)}
    return replace(model, **changed)


def with_predict(model: Model, predict: Callable[..., dict[str, Tensor]]) -> Model:
    """The model with another `predict` of its denoiser."""
    denoiser: Any = _Predicting(model.denoiser, predict)
    return replace(model, denoiser=denoiser)


class _Predicting:
    def __init__(self, denoiser: Any, predict: Callable[..., dict[str, Tensor]]) -> None:
        self._denoiser, self.predict = denoiser, predict

    def __getattr__(self, name: str) -> Any:
        return getattr(self._denoiser, name)


def _randomize(module: "nn.Module") -> None:
    """Materialise a meta module with small random weights that keep activations near unit scale."""
    module.to_empty(device="cpu")
    for name, parameter in module.named_parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 0
        if "norm" in name and name.endswith("weight"):
            torch.nn.init.ones_(parameter)
        elif fan_in:
            torch.nn.init.normal_(parameter, std=fan_in**-0.5)
        else:
            torch.nn.init.zeros_(parameter)
    for name, buffer in module.named_buffers():
        if name.endswith("position_ids"):
            buffer.copy_(torch.arange(buffer.shape[-1]).expand(buffer.shape))


def _assemble(unet, vae, text_encoder, name: str, prediction: str) -> Model:
    scheduler = shipped.config("sd15", "scheduler") | {"prediction_type": prediction}
    return from_components(
        Components(
            unet=unet,
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=shipped.tokenizer("sd15"),
            scheduler_config=scheduler,
            native_size=native_size(unet, vae),
            fingerprint=f"random-{name}-{prediction}",
            name=name,
        )
    )
