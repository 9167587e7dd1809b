"""Stable Diffusion's autoencoder: each frame by itself, an eighth of its sides."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...common.errors import EvenframeError
from ..lattice import Lattice

SPACE_STRIDE = 8


@dataclass(frozen=True, eq=False)
class FrameCodec:
    """A `Codec` (model.py) of diffusers' AutoencoderKL.

    name: the model's, for errors. size_multiple: latents may have any sides; where a layer halves
    an odd one it rounds up, and so do the grids (`Site.grid`).
    """

    name: str
    module: Any
    space_stride: int = SPACE_STRIDE
    time_stride: int = 1
    size_multiple: int = SPACE_STRIDE

    @property
    def channels(self) -> int:
        """Of the latents: 4."""
        return self.module.config.latent_channels

    def lattice(self, frames: int, size: tuple[int, int]) -> Lattice:
        """Of a clip of frames of (height, width) pixels; EvenframeError where they do not fit."""
        strides = self.time_stride, self.space_stride, self.size_multiple
        return Lattice(frames, size, *strides, self.name)

    def lattice_of(self, latents: Tensor) -> Lattice:
        """Of the clip that latents (f, c, h, w) stand for."""
        size = latents.shape[-2] * self.space_stride, latents.shape[-1] * self.space_stride
        return self.lattice(len(latents), size)

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
            pixels = frame.movedim(-1, 0)[None].to(self._device, self._dtype) * 2 - 1
            distribution = self.module.encode(pixels).latent_dist
            if generator is None:
                latent = distribution.mode()
            else:
                noise = torch.randn(distribution.mean.shape, generator=generator)
                latent = distribution.mean + distribution.std * noise.to(distribution.mean)
            latents.append(self.imported(latent.float()))
            if on_frame is not None:
                on_frame(index + 1)
        return torch.cat(latents)

    @torch.no_grad()
    def decode(
        self, latents: Tensor, slice_size: int = 1, on_frame: Callable[[int], None] | None = None
    ) -> Tensor:
        """Latents (f, 4, h, w) to frames (f, 8h, 8w, 3); see `Codec`."""
        if latents.ndim != 4 or latents.shape[1] != self.channels:
            raise EvenframeError(
                f"The latents have the shape {tuple(latents.shape)}, but '{self.name}' decodes "
                f"(frames, {self.channels}, height/8, width/8): connect the editor of the same "
                "model."
            )
        frames, done = [], 0
        for part in latents.split(slice_size):
            scaled = self.exported(part).to(self._device, self._dtype)
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
        return int(403e6 * pixels * width * self._dtype.itemsize / 2) * frames

    @property
    def _device(self) -> torch.device:
        return next(self.module.parameters()).device

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.module.parameters()).dtype
