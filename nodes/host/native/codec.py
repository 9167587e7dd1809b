"""The host's latents, and its VAE, as a `Codec` (pipelines/models/model.py)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ....pipelines.common.errors import EvenframeError
from ....pipelines.models.module_codec import ModuleCodec

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class LatentCodec(ModuleCodec):
    """As much of a `Codec` as a MODEL's latent format tells: all but frames from latents and back.

    latent_format: the MODEL's, which scales its latents.
    """

    latent_format: Any

    @property
    def channels(self) -> int:
        """Of the latents."""
        return int(self.latent_format.latent_channels)

    def encode(
        self,
        frames: Tensor,
        seed: int | None = None,
        on_frame: Callable[[int], None] | None = None,
    ) -> Tensor:
        """Refused: there is no VAE."""
        raise EvenframeError(
            f"'{self.name}' has come without a VAE: encode frames with ComfyUI's VAE Encode."
        )

    def preview(self, latents: Tensor) -> Tensor:
        """As ComfyUI's own quick previews: the colours that its channels stand for; where it tells
        none, their mean in grey.

        Decoded, it would cost the model its place on the device in the middle of its work.
        """
        colours = self.latent_format.latent_rgb_factors
        if colours is None:
            grey = latents[0].mean(0)  # h w
            even = (grey - grey.mean()) / (4 * grey.std(correction=0)).clamp(min=1e-6) + 0.5
            return even.clamp(0, 1)[..., None].expand(-1, -1, 3)
        bias = self.latent_format.latent_rgb_factors_bias or [0.0] * 3
        factors, bias = (latents.new_tensor(x) for x in (colours, bias))
        picture = latents[0].movedim(0, -1) @ factors + bias  # h w 3
        return (picture / 2 + 0.5).clamp(0, 1)

    def exported(self, latents: Tensor) -> Tensor:
        """Latents (f, c, h, w) as a LATENT holds them, of video models (1, c, f, h, w)."""
        laid = latents.transpose(0, 1)[None] if self.joined else latents
        return self.latent_format.process_out(laid)

    def imported(self, samples: Tensor) -> Tensor:
        """The inverse of `exported`."""
        laid = self.latent_format.process_in(samples)
        return laid[0].transpose(0, 1) if self.joined else laid

    def decoding_bytes(self, frames: int, frame_size: tuple[int, int]) -> int:
        """The host makes room for its VAE itself."""
        return 0

    @property
    def joined(self) -> bool:
        """Whether all frames of a clip are one row of a LATENT."""
        return int(self.latent_format.latent_dimensions) == 3


@dataclass(frozen=True, eq=False)
class HostCodec(LatentCodec):
    """A `Codec` of a VAE that the host loads and moves. vae: the host's, which holds the module."""

    vae: Any

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
        for part in [frames] if self.joined else frames.split(1):
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
        self.require_latents(latents, "frames", "rows, columns")
        decoded, done = [], 0
        for part in [latents] if self.joined else latents.split(slice_size):
            pixels = self.vae.decode(self.exported(part)).float().cpu()
            decoded.append(pixels.reshape(-1, *pixels.shape[-3:]))
            done += len(part)
            if on_frame is not None:
                on_frame(done)
        return torch.cat(decoded).clamp(0, 1)


def codec_of(vae: Any, latent_format: Any, name: str) -> HostCodec:
    """The codec of a VAE, beside a MODEL of this latent format and name."""
    space, time = int(vae.spacial_compression_encode()), int(vae.temporal_compression_decode() or 1)
    return HostCodec(name, vae.first_stage_model, space, time, space, latent_format, vae)


def latents_of(latent_format: Any, name: str) -> LatentCodec:
    """The codec of a MODEL of this latent format and name alone."""
    space = int(latent_format.spacial_downscale_ratio)
    time = int(latent_format.temporal_downscale_ratio)
    return LatentCodec(name, None, space, time, space, latent_format)
