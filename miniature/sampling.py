"""Plain text-to-image sampling with the miniature, for measuring it, on checkpoints too.

``backbone_of`` gives the same networks to ``pipelines``, for everything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..pipelines.models.model import Model
from ..pipelines.models.stable_diffusion.family import from_components
from . import load_components
from .models import SAMPLER, Size, make_autoencoder, make_text_encoder, make_unet
from .tokenizer import WordEncoder, vocabulary

GUIDANCE = 2.5
"""Best guidance scale of the shipped weights for plain sampling."""


@dataclass(frozen=True)
class Miniature:
    """Loaded networks in float32, in evaluation mode."""

    unet: Any
    text: Any
    autoencoder: Any

    @torch.no_grad()
    def embed(self, prompts: Sequence[str]) -> Tensor:
        """Embeddings (n, 77, c) of prompts of known words."""
        return states_of(self.text, WordEncoder(), prompts)

    @torch.no_grad()
    def encode(self, images: NDArray) -> Tensor:
        """Latents (n, 4, 16, 16) of images (n, 128, 128, 3) in 0..1."""
        pixels = torch.from_numpy(np.asarray(images, np.float32)).movedim(-1, 1) * 2 - 1
        return self.autoencoder.encode(pixels).latent_dist.mode()

    @torch.no_grad()
    def decode(self, latents: Tensor) -> NDArray[np.float32]:
        """Images (n, 128, 128, 3) float32 in 0..1."""
        parts = [self.autoencoder.decode(part).sample for part in latents.split(16)]
        return (torch.cat(parts) / 2 + 0.5).clamp(0, 1).movedim(1, -1).numpy()


def states_of(text: Any, encoder: WordEncoder, prompts: Sequence[str]) -> Tensor:
    """What a text encoder makes of prompts of known words: (n, 77, c)."""
    ids = torch.tensor([encoder(prompt.split()) for prompt in prompts])
    return text(input_ids=ids).last_hidden_state


def load(folder: Path | None = None) -> Miniature:
    """The shipped weights, or another exported folder."""
    parts = load_components(torch.float32, folder)
    return Miniature(parts.unet.eval(), parts.text_encoder.eval(), parts.vae.eval())


def load_run(run: Path) -> Miniature:
    """The averaged weights of a training that is under way."""
    snapshot = torch.load(run / "averages.pt", map_location="cpu", weights_only=True)
    size = Size(**snapshot["size"])
    unet, text = make_unet(size), make_text_encoder(size, len(vocabulary()[0]))
    autoencoder = make_autoencoder(size)
    unet.load_state_dict(snapshot["weights"]["unet"])
    text.load_state_dict(snapshot["weights"]["text_encoder"])
    stored = torch.load(run / "autoencoder.pt", map_location="cpu", weights_only=True)
    autoencoder.load_state_dict(stored)
    return Miniature(unet.eval(), text.eval(), autoencoder.eval())


def backbone_of(model: Miniature) -> Model:
    """The networks as ``pipelines`` uses them; the given ones stay as they are."""
    parts = replace(
        load_components(torch.float32),
        unet=deepcopy(model.unet),  # its attention processors will be others
        vae=model.autoencoder,
        text_encoder=model.text,
        fingerprint="measured",
    )
    return from_components(parts)


def initial_noise(seeds: Sequence[int]) -> Tensor:
    """Noise (n, 4, 16, 16), each from its own seed, so that a batch's make-up changes nothing."""
    drawn = [
        torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(int(seed))) for seed in seeds
    ]
    return torch.stack(drawn)


@torch.no_grad()
def sample(
    model: Miniature,
    prompts: Sequence[str],
    noise: Tensor,
    steps: int = 25,
    guidance: float = GUIDANCE,
    batch: int = 25,
) -> Tensor:
    """Latents (n, 4, 16, 16) by DDIM with classifier-free guidance, from given noise."""
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    scheduler: Any = DDIMScheduler(**SAMPLER)
    scheduler.set_timesteps(steps)
    empty = model.embed([""])
    done = []
    for start in range(0, len(prompts), batch):
        latents = noise[start : start + batch]
        context = model.embed(prompts[start : start + batch])
        both = torch.cat([empty.expand_as(context), context])  # (b n) 77 c
        for timestep in scheduler.timesteps:
            if guidance == 1:
                predicted = model.unet(latents, timestep, context).sample
            else:
                free, asked = model.unet(latents.repeat(2, 1, 1, 1), timestep, both).sample.chunk(2)
                predicted = free + guidance * (asked - free)
            latents = scheduler.step(predicted, int(timestep), latents).prev_sample
        done.append(latents)
    return torch.cat(done)
