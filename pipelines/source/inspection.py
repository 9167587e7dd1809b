"""Where a model looks at words of the source prompt."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..common.checks import require_range
from ..common.grids import nearest
from ..common.window import merged
from ..models.checks import require_model
from ..text.prompt import find_tokens
from .maps import blend_mask, mask_sites, word_maps

if TYPE_CHECKING:
    from ..models.model import Model
    from .inversion import Inversion


@dataclass(frozen=True, eq=False)
class View:
    """What was seen at one denoising step, by frames of the latents or of the video.

    maps: (f, h, w) in 0..1, relative to each frame's maximum, on the grid that masks use.
    mask: (f, H, W) of 0 and 1 at the frames' size, as fusion would use it.
    """

    step: int
    maps: Tensor
    mask: Tensor


def look(
    model: "Model",
    inversion: "Inversion",
    words: Sequence[str],
    at: float = 0.5,
    threshold: float = 0.3,
) -> View:
    """`seen`, by the frames of the video: those that a latent frame holds have the same."""
    lattice = model.codec.lattice_of(inversion.trajectory[0])
    view = seen(model, inversion, words, at, threshold)
    return replace(view, maps=lattice.spread(view.maps), mask=lattice.spread(view.mask))


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
    require_range("at", at, 0, 1)
    require_range("threshold", threshold, 0, 2)
    require_model(model, inversion.model, "inversion")
    tokens = [token for word in words for token in find_tokens(inversion.prompt.tokens, word)]
    sites = mask_sites(model.denoiser.sites, model.denoiser.layout.mask_stride)
    size = model.codec.lattice_of(inversion.trajectory[0]).size
    step = round(at * (inversion.steps - 1))

    def by_parts(ready: "Model") -> Tensor:
        def of(frames: range) -> Tensor:
            source = inversion.part(frames).source_attention(ready).at(step, sites)
            return word_maps(source, sites, tokens, size).cpu().transpose(0, 1)

        parts = inversion.windows
        return merged(parts, inversion.windowing.weights, ((of(part),) for part in parts))[0]

    maps = model.run(
        {"source": inversion.at_first(inversion.prompt)},
        inversion.trajectory[0, : inversion.at_once],
        by_parts,
    )
    maps = maps.transpose(0, 1)  # (layers heads) t h w
    mean = maps.mean(0)  # t h w
    grid = (mean.shape[1], mean.shape[2])
    mask = blend_mask(maps, [grid], threshold)[grid]
    peak = mean.amax(dim=(1, 2), keepdim=True).clamp(min=torch.finfo(mean.dtype).tiny)
    return View(step, mean / peak, nearest(mask, size))
