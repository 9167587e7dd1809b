"""Stable Diffusion's autoencoder: each frame by itself, an eighth of its sides."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..module_codec import ModuleCodec, drawn

SPACE_STRIDE = 8


@dataclass(frozen=True, eq=False)
class FrameCodec(ModuleCodec):
    """A `Codec` (model.py) of diffusers' AutoencoderKL.

    size_multiple: latents may have any sides; where a layer halves an odd one it rounds up, and so
    do the grids (`Site.grid`).
    """

    space_stride: int = SPACE_STRIDE
    time_stride: int = 1
    size_multiple: int = SPACE_STRIDE

    @property
    def channels(self) -> int:
        """Of the latents: 4."""
        return self.module.config.latent_channels

    @torch.no_grad()
    def encode(
        self,
        frames: Tensor,
        seed: int | None = None,
        on_frame: Callable[[int], None] | None = None,
    ) -> Tensor:
        """Frames to latents, one frame at a time; see `Codec`."""
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        latents = []
        for index, frame in enumerate(frames):
            pixels = frame.movedim(-1, 0)[None].to(self.device, self.dtype) * 2 - 1
            latent = drawn(self.module.encode(pixels).latent_dist, generator)
            latents.append(self.imported(latent.float()))
            if on_frame is not None:
                on_frame(index + 1)
        return torch.cat(latents)

    @torch.no_grad()
    def decode(
        self, latents: Tensor, slice_size: int = 1, on_frame: Callable[[int], None] | None = None
    ) -> Tensor:
        """Latents (f, 4, h, w) to frames (f, 8h, 8w, 3); see `Codec`."""
        self.require_latents(latents, "frames", "height/8, width/8")
        frames, done = [], 0
        for part in latents.split(slice_size):
            scaled = self.exported(part).to(self.device, self.dtype)
            pixels = self.module.decode(scaled).sample.float()
            frames.append((pixels / 2 + 0.5).clamp(0, 1).movedim(1, -1).cpu())
            done += len(part)
            if on_frame is not None:
                on_frame(done)
        return torch.cat(frames)

    def exported(self, latents: Tensor) -> Tensor:
        """Latents as other programs exchange them; see `Codec`."""
        return latents / float(self.module.config.scaling_factor)

    def imported(self, samples: Tensor) -> Tensor:
        """The autoencoder's latents with unit variance."""
        return samples * float(self.module.config.scaling_factor)

    def decoding_bytes(self, frames: int, frame_size: tuple[int, int]) -> int:
        """Counted for Stable Diffusion 1.5: 403 MB per frame at 512x512 in 16 bits."""
        pixels = frame_size[0] * frame_size[1] / 512**2
        width = self.module.config.block_out_channels[0] / 128
        return int(403e6 * pixels * width * self.dtype.itemsize / 2) * frames
