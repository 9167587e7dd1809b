"""Text and latents for models without trained weights: random, and the same every time."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..pipelines.models.lattice import Lattice, frames_in
from ..pipelines.text.conditioning import Conditioning
from ..pipelines.text.tokens import Tokens, Word

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, eq=False)
class WordStates:
    """A `TextEncoder` that gives each word random states of its own.

    pooled: width of a vector for the whole prompt; 0 gives none.
    """

    width: int
    length: int
    pooled: int = 0
    fingerprint: str = "random words"
    module: Any = None
    tokenizer: Any = None

    def encode(self, text: str) -> Conditioning:
        words = text.split()
        rows = ["<start>", *words, *["<end>"] * (self.length - len(words) - 1)]
        states = {"tokens": torch.stack([_random(row, self.width) for row in rows])}
        if self.pooled:
            states["pooled"] = _random(f"all of {text}", self.pooled)
        count = len(words)
        ids = tuple(zlib.crc32(row.encode()) >> 2 for row in rows[: count + 2])
        placed = tuple(Word(word, (at,)) for at, word in enumerate(words, 1))
        tokens = Tokens(text, ids, placed, 1, count, count + 1)
        return Conditioning(tokens, states, self.fingerprint)


@dataclass(frozen=True, eq=False)
class RandomLatents:
    """A `Codec` whose latents have nothing to do with the frames."""

    channels: int
    time_stride: int = 1
    size_multiple: int = 8
    space_stride: int = 8
    module: Any = None

    def lattice(self, frames: int, size: tuple[int, int]) -> Lattice:
        strides = self.time_stride, self.space_stride, self.size_multiple
        return Lattice(frames, size, *strides)

    def lattice_of(self, latents: Tensor) -> Lattice:
        rows, columns = latents.shape[-2] * 8, latents.shape[-1] * 8
        return self.lattice(frames_in(len(latents), self.time_stride), (rows, columns))

    def encode(
        self,
        frames: Tensor,
        seed: int | None = None,
        on_frame: Callable[[int], None] | None = None,
    ) -> Tensor:
        lattice = self.lattice(len(frames), (frames.shape[1], frames.shape[2]))
        generator = torch.Generator().manual_seed(0)
        size = lattice.latent_frames, self.channels, *lattice.latent_size
        return torch.randn(size, generator=generator)

    def decode(
        self, latents: Tensor, slice_size: int = 1, on_frame: Callable[[int], None] | None = None
    ) -> Tensor:
        raise NotImplementedError

    def preview(self, latents: Tensor) -> Tensor:
        return latents[0, :3].movedim(0, -1)

    def exported(self, latents: Tensor) -> Tensor:
        return latents

    def imported(self, samples: Tensor) -> Tensor:
        return samples

    def decoding_bytes(self, frames: int, frame_size: tuple[int, int]) -> int:
        return 0


def _random(name: str, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    return torch.randn(width, generator=generator)
