"""Where a model looks at words of the source prompt."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..attention.sites import Site
from ..common.checks import require_range
from ..common.grids import nearest
from ..common.window import merged
from ..models.checks import require_model
from ..models.lattice import Lattice
from ..text.prompt import find_tokens
from .maps import blend_mask, mask_sites, word_maps
from .store import SourceAttention

if TYPE_CHECKING:
    from ..models.model import Model
    from .inversion import Inversion

Reader = Callable[[SourceAttention], Tensor]
"""Reads the frames of a window: (t, ...)."""


@dataclass(frozen=True, eq=False)
class View:
    """What was seen at one denoising step, by frames of the latents or of the video.

    maps: (f, h, w) in 0..1, relative to each frame's maximum, on the grid that masks use.
    mask: (f, H, W) of 0 and 1 at the frames' size, as fusion would use it.
    """

    step: int
    maps: Tensor
    mask: Tensor

    def by_frames(self, lattice: Lattice) -> "View":
        """By the frames of the video: those that a latent frame holds have the same."""
        return replace(self, maps=lattice.spread(self.maps), mask=lattice.spread(self.mask))


def look(
    model: "Model",
    inversion: "Inversion",
    words: Sequence[str],
    at: float = 0.5,
    threshold: float = 0.3,
) -> View:
    """`seen`, by the frames of the video."""
    lattice = model.codec.lattice_of(inversion.trajectory[0])
    return seen(model, inversion, words, at, threshold).by_frames(lattice)


@torch.no_grad()
def seen(
    model: "Model",
    inversion: "Inversion",
    words: Sequence[str],
    at: float = 0.5,
    threshold: float = 0.3,
) -> View:
    """The source's cross-attention to some of its words, `at` (0..1) of the way through denoising,
    by latent frames.

    threshold: 0..2. Raises EvenframeError for a word that is not in the source prompt, and for
    numbers out of range.
    """
    chosen = Chosen(tuple(words), at, threshold)
    require_model(model, inversion.model, "inversion")
    tokens, step = chosen.tokens_of(inversion), chosen.step_of(inversion)
    lattice = model.codec.lattice_of(inversion.trajectory[0])
    [columns] = model.expert(inversion.levels(model.schedule)[step]).run(
        {"source": inversion.at_first(inversion.prompt)},
        inversion.trajectory[0, : inversion.at_once],
        lambda ready: read(ready, inversion, step, [chosen.reader(ready, lattice, tokens)]),
    )
    return chosen.view(step, columns, lattice)


@dataclass(frozen=True)
class Chosen:
    """What to look for, when, and what counts as looked at; see `seen`."""

    words: tuple[str, ...]
    at: float
    threshold: float

    def __post_init__(self) -> None:
        require_range("at", self.at, 0, 1)
        require_range("threshold", self.threshold, 0, 2)

    @property
    def name(self) -> str:
        return ", ".join(self.words)

    def tokens_of(self, inversion: "Inversion") -> list[int]:
        """Positions in the source prompt."""
        found = inversion.prompt.tokens
        return [token for word in self.words for token in find_tokens(found, word)]

    def step_of(self, inversion: "Inversion") -> int:
        """The denoising step, from 0."""
        return round(self.at * (inversion.steps - 1))

    def reader(self, model: "Model", lattice: Lattice, tokens: Sequence[int]) -> Reader:
        """Reads what `view` takes."""
        sites = sites_of(model)
        return lambda source: word_maps(source, sites, tokens, lattice.size).transpose(0, 1)

    def view(self, step: int, columns: Tensor, lattice: Lattice) -> View:
        """What was seen, of the maps (t, layers*heads, h, w) of the words."""
        maps = columns.transpose(0, 1)  # (layers heads) t h w
        mean = maps.mean(0)  # t h w
        grid = (mean.shape[1], mean.shape[2])
        mask = blend_mask(maps, [grid], self.threshold)[grid]
        peak = mean.amax(dim=(1, 2), keepdim=True).clamp(min=torch.finfo(mean.dtype).tiny)
        return View(step, mean / peak, nearest(mask, lattice.size))


def sites_of(model: "Model") -> tuple[Site, ...]:
    """The layers that are looked at."""
    return mask_sites(model.denoiser.sites, model.denoiser.layout.mask_stride)


def read(
    model: "Model", inversion: "Inversion", step: int, readers: Sequence[Reader]
) -> tuple[Tensor, ...]:
    """What readers find in the source's attention at a denoising step: (t, ...) each, on the CPU.

    To be called within `Model.run`. One pass of the source, however many readers there are.
    """
    sites, parts = sites_of(model), inversion.windows

    def of(frames: range) -> tuple[Tensor, ...]:
        source = inversion.part(frames).source_attention(model).at(step, sites)
        return tuple(reader(source).cpu() for reader in readers)

    return merged(parts, inversion.windowing.weights, (of(part) for part in parts))
