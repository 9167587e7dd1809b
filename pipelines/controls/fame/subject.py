"""Where the people of an edit are: in regions that are given, or where the source looks at a word.

Source: FAME (arXiv 2510.22960) takes regions from a tracker. Where there is none, the source's own
cross-attention gives one, as in FateZero (ICCV 2023), section 3.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...common.errors import EvenframeError
from ...common.grids import averaged, nearest
from ...regions.region import MaskRegion
from ...regions.regions import Regions
from ...source.inspection import seen
from ..base import Edit


@dataclass(frozen=True, eq=False)
class Subjects:
    """The people of an edit, by the frames at work.

    regions: one for each, by latent frames. frames: those of them that are at work. soft: (regions,
    t, h, w) in 0..1, how much the source looks at each of them from each place; None where regions
    were given.
    """

    regions: Regions
    frames: range
    soft: Tensor | None = None

    def ids(self, grid: tuple[int, int]) -> Tensor:
        """(t, n) region ids from 1 on a grid of n tokens; 0 is background."""
        cells = self._cells(grid)
        numbers = torch.arange(1, len(cells) + 1, dtype=cells.dtype)[:, None, None]
        return (cells * numbers).amax(0).long()

    def masks(self, grid: tuple[int, int]) -> Tensor:
        """(regions, t, n) in 0..1: soft inside each region, 0 outside."""
        cells = self._cells(grid)
        if self.soft is not None:
            cells = cells * averaged(self.soft, grid).flatten(2)
        return cells

    def _cells(self, grid: tuple[int, int]) -> Tensor:
        """(regions, t, n). Layers are as coarse as they are: a small region is no news there."""
        cells = self.regions.cells(grid, warn=False)
        return cells[:, self.frames.start : self.frames.stop].flatten(2)


def find_subjects(
    edit: Edit, regions: Regions | None, words: Sequence[str], threshold: float
) -> Subjects:
    """Regions for the frames at work.

    regions: of the whole clip; they win. words: of the source prompt, a phrase for each person.
    Where it looks at a phrase halfway through the denoising is that person's region: fusion's mask
    at this `threshold` (0..2), less the places that look at another phrase more.
    Raises EvenframeError for a phrase that the clip, or all of the window at work, never looks at;
    a window may lack some of several.
    """
    require_subject(regions, words)
    if regions is not None:
        regions.require(edit.clip.frames, edit.frame_size)
        return Subjects(regions.on_latents(edit.clip), edit.latent_frames)
    views = [seen(edit.model, edit.inversion, [phrase], threshold=threshold) for phrase in words]
    maps, size = torch.stack([view.maps.float() for view in views]), edit.frame_size
    most = nearest(maps, size).argmax(0)  # t h w: which phrase it looks at most
    masks = [view.mask * (most == index) for index, view in enumerate(views)]
    there = [bool(mask.any()) for mask in masks]
    if not all(there) and (edit.window is None or not any(there)):
        raise EvenframeError(
            f"The source looks at '{words[there.index(False)]}' nowhere above the threshold "
            f"{threshold:g} (0 to 2), or everywhere at another subject more: lower the threshold "
            "or name another word."
        )
    found = tuple(MaskRegion(word, "", mask) for word, mask in zip(words, masks, strict=True))
    return Subjects(Regions(found, len(most), size), range(len(most)), maps)


def require_subject(regions: Regions | None, words: Sequence[str]) -> None:
    """Raise EvenframeError where neither regions nor words say where people are."""
    if regions is not None and not regions.items:
        raise EvenframeError("There are no regions: draw one for each person.")
    if regions is None and not words:
        raise EvenframeError(
            "There is no subject: name the words of the source prompt that stand for the person, "
            "or connect regions."
        )
