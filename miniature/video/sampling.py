"""Plain text-to-video sampling with the video miniature, for measuring it, on checkpoints too."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...pipelines.models.flow_schedule import FlowSchedule
from ..models import PUBLISHED_PREFIX, Size, make_text_encoder
from ..sampling import Miniature, states_of
from ..sampling import load as load_still
from ..tokenizer import vocabulary
from .codec import decode_clip, make_codec, normalised, wans_own
from .latents import CELLS, COPIES, frames_of
from .motions import CLIP
from .text import word_encoder, words
from .transformer import CHANNELS, HEAD_WIDTH, PlainAttention, Width, make_transformer

GUIDANCE = 3.0
"""More follows told motion more often and counts things less well."""
SHIFT = 5.0
"""Of the steps' noise: where things stand is decided near pure noise."""


@dataclass(frozen=True)
class VideoMiniature:
    """Loaded networks in float32, in evaluation mode.

    codec: the autoencoder. still: the image miniature, whose decoder is good for single frames of
    these latents, too; used where there is no autoencoder yet.
    """

    transformer: Any
    text: Any
    codec: Any = None
    still: Miniature | None = None

    @torch.no_grad()
    def embed(self, prompts: Sequence[str]) -> Tensor:
        """States (n, 77, c) of prompts of known words."""
        return states_of(self.text, word_encoder(), prompts)

    @torch.no_grad()
    def encode(self, frames: NDArray[np.float32]) -> Tensor:
        """Latents (n, 16, t, 16, 16) of clips (n, f, 128, 128, 3) in 0..1."""
        clips = torch.from_numpy(frames).movedim(-1, 1) * 2 - 1  # n 3 f h w
        return normalised(self.codec, self.codec.encode(clips).latent_dist.mode())

    @torch.no_grad()
    def decode(self, latents: Tensor) -> NDArray[np.float32]:
        """Clips (n, f, 128, 128, 3) float32 in 0..1."""
        if self.codec is None:
            return self._decode_still(latents)
        clips = [decode_clip(self.codec, each) for each in wans_own(self.codec, latents)]
        return (torch.stack(clips) / 2 + 0.5).clamp(0, 1).movedim(2, -1).numpy()

    def _decode_still(self, latents: Tensor) -> NDArray[np.float32]:
        assert self.still is not None
        frames = frames_of(latents)  # n 4 t 4 h w
        first = frames[:, :COPIES].mean(1, keepdim=True)
        whole = torch.cat([first, frames[:, COPIES:]], 1)
        return self.still.decode(whole.flatten(0, 1)).reshape(*whole.shape[:2], 128, 128, 3)


def load(folder: Path | None = None) -> VideoMiniature:
    """The shipped weights, or another exported folder."""
    from . import weights_dir
    from .model import load_modules

    parts = load_modules(folder or weights_dir())
    parts["transformer"].set_attn_processor(PlainAttention())
    return VideoMiniature(parts["transformer"], parts["text_encoder"], parts["vae"])


def load_run(averages: Path, codec: Path | None = None) -> VideoMiniature:
    """The averaged weights of a training that is under way, a file.

    codec: those of an autoencoder; else frames are decoded by the image miniature.
    """
    transformer, text = networks_of(*read_averages(averages))
    transformer.set_attn_processor(PlainAttention())
    decoder = load_codec(codec) if codec is not None else None
    return VideoMiniature(transformer, text, decoder, None if decoder else load_still())


def read_averages(path: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(transformer's, text encoder's) weights of a run's averages, each by its own names."""
    from safetensors.torch import load_file

    parts: dict[str, dict[str, Tensor]] = {"transformer": {}, "text_encoder": {}}
    for name, value in load_file(path).items():
        part, _, rest = name.partition(".")
        parts[part][rest] = value
    return parts["transformer"], parts["text_encoder"]


def networks_of(
    transformer: Mapping[str, Tensor], text_encoder: Mapping[str, Tensor]
) -> tuple[Any, Any]:
    """(transformer, text encoder) with these weights, as large as they are, in float32."""
    networks = make_transformer(_width(transformer)), make_text_encoder(Size(), _token_count())
    for network, weights in zip(networks, (transformer, text_encoder), strict=True):
        names = {name.removeprefix(PUBLISHED_PREFIX): name for name in network.state_dict()}
        network.load_state_dict(
            {names[name.removeprefix(PUBLISHED_PREFIX)]: v.float() for name, v in weights.items()}
        )
        network.eval().requires_grad_(False)
    return networks


def _token_count() -> int:
    return len(vocabulary(words())[0])


def _width(weights: Mapping[str, Tensor]) -> Width:
    layers = {found[1] for name in weights if (found := re.match(r"blocks\.(\d+)\.", name))}
    heads = len(weights["patch_embedding.bias"]) // HEAD_WIDTH
    return Width(heads, len(layers), Size().text_width)


def load_codec(path: Path) -> Any:
    """An autoencoder of a file of weights."""
    from safetensors.torch import load_file

    codec = make_codec().eval().requires_grad_(False)
    codec.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return codec


def initial_noise(seeds: Sequence[int], frames: int = CLIP) -> Tensor:
    """Noise (n, 16, t, 16, 16), each from its own seed. frames: 4n + 1."""
    shape = CHANNELS, (frames - 1) // COPIES + 1, CELLS, CELLS
    return torch.stack(
        [torch.randn(shape, generator=torch.Generator().manual_seed(int(seed))) for seed in seeds]
    )


@torch.no_grad()
def sample(
    model: VideoMiniature,
    prompts: Sequence[str],
    noise: Tensor,
    steps: int = 25,
    guidance: float = GUIDANCE,
    batch: int = 4,
) -> Tensor:
    """Latents (n, 16, t, 16, 16) by Euler's steps with classifier-free guidance, of given noise."""
    times, empty, done = FlowSchedule(SHIFT).times(steps), model.embed([""]), []
    for start in range(0, len(prompts), batch):
        latents = noise[start : start + batch]
        context = model.embed(prompts[start : start + batch])
        both = torch.cat([empty.expand_as(context), context])  # (b n) 77 c
        for now, then in pairwise(times):
            told = torch.full((2 * len(latents),), now)
            said = model.transformer(latents.repeat(2, 1, 1, 1, 1), told, both).sample
            free, asked = said.float().chunk(2)
            latents = latents + (then - now) / 1000 * (free + guidance * (asked - free))
        done.append(latents)
    return torch.cat(done)
