"""Configurations of the miniature's networks, in the exact Stable Diffusion 1.x layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# The networks are returned as Any: the decorators of diffusers hide their signatures from type
# checkers, which then know them wrongly.

SCHEDULE: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
}
SAMPLER: dict[str, Any] = {
    **SCHEDULE,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
"""DDIM settings of Stable Diffusion 1.x."""
PUBLISHED_PREFIX = "text_model."
"""What stands before the names of CLIP's weights in every published checkpoint; recent transformers
leave it out, and older ones cannot read that."""


def alphas_cumprod(dtype: torch.dtype) -> Tensor:
    """(1000,) the signal's share of the variance at each timestep of `SCHEDULE`."""
    import torch

    ends = SCHEDULE["beta_start"] ** 0.5, SCHEDULE["beta_end"] ** 0.5
    return torch.cumprod(1 - torch.linspace(*ends, 1000, dtype=dtype) ** 2, 0)


@dataclass(frozen=True)
class Size:
    """Widths of the networks; the defaults are those of the shipped weights."""

    unet: tuple[int, ...] = (48, 64, 96, 96)
    unet_heads: int = 2
    unet_groups: int = 8
    text_width: int = 96
    text_layers: int = 3
    text_heads: int = 4
    autoencoder: tuple[int, ...] = (16, 32, 64, 64)
    autoencoder_groups: int = 4


def make_unet(size: Size) -> Any:
    """The denoiser, a UNet2DConditionModel: latents (n, 4, 16, 16), embeddings (n, 77, c)."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    unet = UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        center_input_sample=False,
        flip_sin_to_cos=True,
        freq_shift=0,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        block_out_channels=size.unet,
        layers_per_block=1,
        cross_attention_dim=size.text_width,
        attention_head_dim=size.unet_heads,
        norm_num_groups=size.unet_groups,
    )
    _silence_branches(unet)
    return unet


def _silence_branches(unet: Any) -> None:
    """Start every residual branch and the output at zero (Dhariwal and Nichol 2021, as in the
    original Stable Diffusion code); diffusers leaves them random, which costs many steps."""
    from diffusers.models.resnet import ResnetBlock2D
    from diffusers.models.transformers.transformer_2d import Transformer2DModel
    from torch import nn

    last: list[Any] = [unet.conv_out]
    for module in unet.modules():
        if isinstance(module, ResnetBlock2D):
            last.append(module.conv2)
        elif isinstance(module, Transformer2DModel):
            last.append(module.proj_out)
    for layer in last:
        nn.init.zeros_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def make_text_encoder(size: Size, vocabulary_size: int) -> Any:
    """The text encoder, a CLIPTextModel: ids (n, 77) to embeddings (n, 77, text_width)."""
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary_size,
            hidden_size=size.text_width,
            intermediate_size=4 * size.text_width,
            num_hidden_layers=size.text_layers,
            num_attention_heads=size.text_heads,
            max_position_embeddings=77,
            hidden_act="quick_gelu",
            bos_token_id=vocabulary_size - 2,
            eos_token_id=vocabulary_size - 1,
            pad_token_id=vocabulary_size - 1,
            projection_dim=size.text_width,
        )
    )


def make_autoencoder(size: Size) -> Any:
    """The autoencoder, an AutoencoderKL: factor 8, 4 latent channels of unit variance."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    make: Any = AutoencoderKL  # its annotations allow one block only
    return make(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=size.autoencoder,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=size.autoencoder_groups,
        sample_size=128,
        mid_block_add_attention=False,
        scaling_factor=1.0,
    )


def load_published(module: Any, path: Path) -> None:
    """Load weights, of whatever precision, into a module, whether or not it has their prefix."""
    from safetensors.torch import load_file

    names = {name.removeprefix(PUBLISHED_PREFIX): name for name in module.state_dict()}
    stored = load_file(path).items()
    module.load_state_dict(
        {names[name.removeprefix(PUBLISHED_PREFIX)]: value.float() for name, value in stored}
    )
