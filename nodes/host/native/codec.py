"""The host's VAE as a `Codec` (pipelines/models/model.py)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ....pipelines.common.errors import EvenframeError
from ....pipelines.models.lattice import Lattice, frames_in

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class HostCodec:
    """A `Codec` of a VAE that the host loads and moves.

    name: the model's, for errors. vae: the host's. latent_format: the MODEL's, which scales its
    latents. size_multiple: of frames, as the MODEL needs.
    """

    name: str
    vae: Any
    latent_format: Any
    size_multiple: int = 8

    @property
    def module(self) -> Any:
        """The host's own; it is never moved from here."""
        return self.vae.first_stage_model

    @property
    def space_stride(self) -> int:
        """Pixels along one side of a latent."""
        return int(self.vae.spacial_compression_encode())

    @property
    def time_stride(self) -> int:
        """Frames that one latent frame holds."""
        return int(self.vae.temporal_compression_decode() or 1)

    @property
    def channels(self) -> int:
        """Of the latents."""
        return int(self.latent_format.latent_channels)

    def lattice(self, frames: int, size: tuple[int, int]) -> Lattice:
        """Of a clip of frames of (height, width) pixels; EvenframeError where they do not fit."""
        strides = self.time_stride, self.space_stride, self.size_multiple
        return Lattice(frames, size, *strides, self.name)

    def lattice_of(self, latents: Tensor) -> Lattice:
        """Of the clip that latents (f, c, h, w) stand for."""
        size = latents.shape[-2] * self.space_stride, latents.shape[-1] * self.space_stride
        return self.lattice(frames_in(len(latents), self.time_stride), size)

    @torch.no_grad()
    def encode(
        self,
        frames: Tensor,
        seed: int | None = None,
        on_frame: Callable[[int], None] | None = None,
    ) -> Tensor:
        """Frames to latents; see `Codec`. The host's VAEs give the mode: a seed is refused."""
        if seed is not None:
            raise EvenframeError(
                f"sample_seed is {seed}, but ComfyUI's VAE gives the mode of its distribution: set "
                "it to -1."
            )
        encoded, done = [], 0
        for part in [frames] if self._joined else frames.split(1):
            encoded.append(self.vae.encode(part).float())
            done += len(part)
            if on_frame is not None:
                on_frame(done)
        return self.imported(torch.cat(encoded))

    @torch.no_grad()
    def decode(
        self, latents: Tensor, slice_size: int = 1, on_frame: Callable[[int], None] | None = None
    ) -> Tensor:
        """Latents to frames (f, h, w, 3); see `Codec`."""
        if latents.ndim != 4 or latents.shape[1] != self.channels:
            raise EvenframeError(
                f"The latents have the shape {tuple(latents.shape)}, but '{self.name}' decodes "
                f"(frames, {self.channels}, rows, columns): connect the editor of the same model."
            )
        decoded, done = [], 0
        for part in [latents] if self._joined else latents.split(slice_size):
            pixels = self.vae.decode(self.exported(part)).float().cpu()
            decoded.append(pixels.reshape(-1, *pixels.shape[-3:]))
            done += len(part)
            if on_frame is not None:
                on_frame(done)
        return torch.cat(decoded).clamp(0, 1)

    def preview(self, latents: Tensor) -> Tensor:
        """As ComfyUI's own quick previews: the colours that its channels stand for.

        Decoded, it would cost the model its place on the device in the middle of its work.
        """
        colours = self.latent_format.latent_rgb_factors
        if colours is None:
            return self.decode(latents)[0]
        factors, bias = (latents.new_tensor(x or [0.0] * 3) for x in (colours, self._bias))
        picture = latents[0].movedim(0, -1) @ factors + bias  # h w 3
        return (picture / 2 + 0.5).clamp(0, 1)

    def exported(self, latents: Tensor) -> Tensor:
        """Latents (f, c, h, w) as a LATENT holds them, of video VAEs (1, c, f, h, w)."""
        laid = latents.transpose(0, 1)[None] if self._joined else latents
        return self.latent_format.process_out(laid)

    def imported(self, samples: Tensor) -> Tensor:
        """The inverse of `exported`."""
        laid = self.latent_format.process_in(samples)
        return laid[0].transpose(0, 1) if self._joined else laid

    def decoding_bytes(self, frames: int, frame_size: tuple[int, int]) -> int:
        """The host makes room for its VAE itself."""
        return 0

    @property
    def _bias(self) -> Any:
        return self.latent_format.latent_rgb_factors_bias

    @property
    def _joined(self) -> bool:
        return self.vae.latent_dim == 3
