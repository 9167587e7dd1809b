"""What every loader hands over: the parts of a Stable Diffusion model, host and device unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    from ...text.vocabulary import Vocabulary
    from ..delta import Delta

PARTS: Mapping[str, str] = {"unet": "UNet", "vae": "VAE", "text_encoder": "text encoder"}
"""The parts with weights, and how an error names them."""


@dataclass(frozen=True, eq=False)
class Components:
    """The parts of a model, on the CPU, in evaluation mode, frozen.

    unet: latents (b, 4, h/8, w/8), timestep and text states -> prediction of the same shape.
    vae: images in -1..1 <-> latents; `vae.config.scaling_factor` is its scale.
    text_encoder: token ids (b, 77) -> states (b, 77, `unet.config.cross_attention_dim`).
    tokenizer: CLIP's byte-pair tokenizer, `model_max_length` 77, padding as the model wants it.
    scheduler_config: beta schedule, prediction_type, steps_offset, num_train_timesteps, ...
    native_size: side of the square images that the model was trained on, pixels.
    fingerprint: 64 hexadecimal digits that identify the weights and how they are used; see
        `fingerprint.py` for what is hashed. Equal weights in another container (a folder, a file)
        have another fingerprint.
    name: for people.
    vocabulary: the words of the prompts it was trained on, where these are few; else None.
    delta: what belongs to the model beside its UNet, such as layers over frames; else None.
    """

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    scheduler_config: Mapping[str, Any]
    native_size: int
    fingerprint: str
    name: str
    vocabulary: Vocabulary | None = None
    delta: Delta | None = None


def empty(part: str, config: Mapping[str, Any]) -> Any:
    """The module of a part of this configuration, without weights, which costs no memory."""
    import torch
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    with torch.device("meta"):
        if part == "text_encoder":
            return CLIPTextModel(CLIPTextConfig.from_dict(dict(config)))
        kind = UNet2DConditionModel if part == "unet" else AutoencoderKL
        return kind.from_config(dict(config))


def part_dtype(part: str, dtype: torch.dtype) -> torch.dtype:
    """The type to keep a part in beside a UNet of `dtype`: for a VAE float32 in the place of
    float16, in whose range some overflow to NaN (bfloat16 has the range of float32)."""
    import torch

    return torch.float32 if part == "vae" and dtype == torch.float16 else dtype


def native_size(unet: Any, vae: Any) -> int:
    """Training size in pixels: the UNet's sample size times the VAE's reduction (8 for SD)."""
    reduction = 2 ** (len(vae.config.block_out_channels) - 1)
    return int(unet.config.sample_size) * reduction
