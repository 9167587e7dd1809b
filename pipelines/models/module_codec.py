"""What codecs have in common that are a library's module: their lattice, and where they are."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..common.errors import EvenframeError
from .lattice import Lattice, frames_in


@dataclass(frozen=True, eq=False)
class ModuleCodec:
    """As much of a `Codec` (model.py) as does not depend on what the module is.

    name: the model's, for errors. The others: see `Lattice`.
    """

    name: str
    module: Any
    space_stride: int
    time_stride: int
    size_multiple: int

    def lattice(self, frames: int, size: tuple[int, int]) -> Lattice:
        """Of a clip of frames of (height, width) pixels; EvenframeError where they do not fit."""
        strides = self.time_stride, self.space_stride, self.size_multiple
        return Lattice(frames, size, *strides, self.name)

    def lattice_of(self, latents: Tensor) -> Lattice:
        """Of the clip that latents (t, c, h, w) stand for."""
        size = latents.shape[-2] * self.space_stride, latents.shape[-1] * self.space_stride
        return self.lattice(frames_in(len(latents), self.time_stride), size)

    @property
    def channels(self) -> int:
        """Of the latents."""
        raise NotImplementedError

    def require_latents(self, latents: Tensor, frames: str, sides: str) -> None:
        """Refuse latents of another kind of model; frames, sides: what an error calls them."""
        if latents.ndim != 4 or latents.shape[1] != self.channels:
            raise EvenframeError(
                f"The latents have the shape {tuple(latents.shape)}, but '{self.name}' decodes "
                f"({frames}, {self.channels}, {sides}): connect the editor of the same model."
            )

    def decode(
        self, latents: Tensor, slice_size: int = 1, on_frame: Callable[[int], None] | None = None
    ) -> Tensor:
        """Latents to frames; see `Codec`."""
        raise NotImplementedError

    def preview(self, latents: Tensor) -> Tensor:
        """What a latent frame decodes to."""
        return self.decode(latents)[0]

    @property
    def device(self) -> torch.device:
        """Where the weights are now."""
        return next(self.module.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Their precision."""
        return next(self.module.parameters()).dtype


def drawn(distribution: Any, generator: torch.Generator | None) -> Tensor:
    """Latents of an autoencoder's distribution: its mode, or a sample where there is a generator,
    of the CPU, so that it is the same on every device."""
    if generator is None:
        return distribution.mode()
    noise = torch.randn(distribution.mean.shape, generator=generator)
    return distribution.mean + distribution.std * noise.to(distribution.mean)
