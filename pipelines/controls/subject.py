"""Where the people of an edit are: in regions that are given, or where the source looks at a word.

Source: FAME (arXiv 2510.22960) takes regions from a tracker. Where there is none, the source's own
cross-attention gives one, as in FateZero (ICCV 2023), section 3.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import EvenframeError
from ..inspection import look
from ..region import Regions, mask_region
from .base import Edit


@dataclass(frozen=True, eq=False)
class Subjects:
    """The people of an edit, by the frames at work.

    regions: one for each. soft: (f, h, w) in 0..1, how much the source looks at them from each
    place, 0 below the threshold; None where regions were given.
    """

    regions: Regions
    soft: Tensor | None = None

    def ids(self, grid: tuple[int, int]) -> Tensor:
        """(f, n) region ids from 1 on a grid of n tokens; 0 is background."""
        cells = self._cells(grid)
        numbers = torch.arange(1, len(cells) + 1, dtype=cells.dtype)[:, None, None]
        return (cells * numbers).amax(0).long()

    def mask(self, grid: tuple[int, int], index: int | None = None) -> Tensor:
        """(f, n) in 0..1: one region, by index, or all of them."""
        if self.soft is not None:
            return F.interpolate(self.soft[:, None], grid, mode="area").flatten(1)
        cells = self._cells(grid)
        return cells.amax(0) if index is None else cells[index]

    def _cells(self, grid: tuple[int, int]) -> Tensor:
        """(regions, f, n). Layers are as coarse as they are: a small region is no news there."""
        return self.regions.cells(grid, warn=False).flatten(2)


def find_subjects(
    edit: Edit, regions: Regions | None, words: Sequence[str], threshold: float
) -> Subjects:
    """Regions for the frames at work.

    regions: of the whole clip; they win. words: of the source prompt; where it looks at them
    halfway through the denoising, above `threshold` (0..2) times each frame's maximum, is the one
    region. Raises EvenframeError where there is neither, or where nothing is found.
    """
    if regions is not None:
        regions.require(edit.clip_frames, edit.frame_size)
        if not regions.items:
            raise EvenframeError("There are no regions: draw one for each person.")
        return Subjects(regions if edit.window is None else regions.part(edit.window))
    if not words:
        raise EvenframeError(
            "There is no subject: name the words of the source prompt that stand for the person, "
            "or connect regions."
        )
    view = look(edit.backbone, edit.inversion, words, threshold=threshold)
    frames, size = len(view.mask), edit.frame_size
    found = mask_region(view.mask, frames, size, name=", ".join(words))
    maps = view.maps.float()
    return Subjects(Regions((found,), frames, size), maps * (maps > threshold))
