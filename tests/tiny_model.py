"""A model without trained weights, small enough for every test."""

from typing import TYPE_CHECKING

import torch

from evenframe.pipelines.models.model import Model
from evenframe.pipelines.models.stable_diffusion import shipped
from evenframe.pipelines.models.stable_diffusion.components import Components, empty, native_size
from evenframe.pipelines.models.stable_diffusion.family import from_components

if TYPE_CHECKING:
    from torch import nn

TINY_WIDTH = 32


def tiny(seed: int = 0, native: int = 128, prediction: str = "epsilon") -> Model:
    """The Stable Diffusion 1.x layout with seeded random weights.

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
        modules = (empty("unet", unet), empty("vae", vae), empty("text_encoder", text_encoder))
        for module in modules:
            _randomize(module)
    name = f"tiny-{seed}-{native}"
    return from_components(
        Components(
            *modules,
            tokenizer=shipped.tokenizer("sd15"),
            scheduler_config=shipped.config("sd15", "scheduler") | {"prediction_type": prediction},
            native_size=native_size(modules[0], modules[1]),
            fingerprint=f"random-{name}-{prediction}",
            name=name,
        )
    )


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
