"""Wan's autoencoder: the first frame by itself, then four frames in each latent."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..module_codec import ModuleCodec, drawn


@dataclass(frozen=True, eq=False)
class ClipCodec(ModuleCodec):
    """A `Codec` (model.py) of diffusers' AutoencoderKLWan.

    A latent depends on the frames before its own, so a clip is encoded and decoded as a whole; the
    autoencoder goes through it latent by latent. Of latents alone only the first is decoded well.
    """

    @property
    def channels(self) -> int:
        """Of the latents: 16 of Wan 2.1, 48 of the 5B model of Wan 2.2."""
        return self.module.config.z_dim

    @torch.no_grad()
    def encode(
        self,
        frames: Tensor,
        seed: int | None = None,
        on_frame: Callable[[int], None] | None = None,
    ) -> Tensor:
        """Frames (f, h, w, 3) to latents (t, c, h, w), all at once; see `Codec`."""
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        clip = frames.movedim(-1, 0)[None].to(self.device, self.dtype) * 2 - 1  # 1 3 f h w
        try:
            latents = drawn(self.module.encode(clip).latent_dist, generator)
        finally:  # what it keeps of the frames before goes, also where it was interrupted
            self.module.clear_cache()
        if on_frame is not None:
            on_frame(len(frames))
        return self.imported(latents[0].transpose(0, 1).float())

    @torch.no_grad()
    def decode(
        self, latents: Tensor, slice_size: int = 1, on_frame: Callable[[int], None] | None = None
    ) -> Tensor:
        """Latents (t, c, h, w) to frames (f, h, w, 3), all at once; see `Codec`.

        slice_size: has no meaning here.
        """
        sides = f"height/{self.space_stride}, width/{self.space_stride}"
        self.require_latents(latents, "latent frames", sides)
        clip = self.exported(latents.float()).transpose(0, 1)[None]  # 1 c t h w
        try:
            pixels = self.module.decode(clip.to(self.device, self.dtype)).sample
        finally:
            self.module.clear_cache()
        frames = (pixels[0].float() / 2 + 0.5).clamp(0, 1).permute(1, 2, 3, 0).cpu()
        if on_frame is not None:
            on_frame(len(latents))
        return frames

    def exported(self, latents: Tensor) -> Tensor:
        """Latents as other programs exchange them; see `Codec`."""
        mean, std = self._statistics(latents.device)
        return latents * std + mean

    def imported(self, samples: Tensor) -> Tensor:
        """The autoencoder's latents, each channel less its mean and with unit variance."""
        mean, std = self._statistics(samples.device)
        return (samples - mean) / std

    def decoding_bytes(self, frames: int, frame_size: tuple[int, int]) -> int:
        """Counted for Wan 2.1: 4.1 GB at 480x832 in 16 bits, and the frames themselves."""
        config, pixels = self.module.config, frame_size[0] * frame_size[1]
        width = (config.decoder_base_dim or config.base_dim) / 96
        seen = pixels / (config.patch_size or 1) ** 2  # by the layers that need most
        return int(5.1e3 * seen * width * self.dtype.itemsize) + 36 * pixels * frames

    def _statistics(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the autoencoder's own latents, (c, 1, 1) each."""
        config = self.module.config
        mean, std = (
            torch.tensor(values, device=device)[:, None, None]
            for values in (config.latents_mean, config.latents_std)
        )
        return mean, std
