"""The regions of a clip together: which lies on top, and their cells on the grids of a model."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..common.errors import EvenframeError
from .region import Region, hard_cells, soft_cells

if TYPE_CHECKING:
    from ..video.placement import Placement


@dataclass(frozen=True, eq=False)
class Regions:
    """The regions of a clip; where they overlap, a later one lies on top.

    frames: of the clip. frame_size: (height, width) in pixels.
    window: of regions that were moved onto crops, where these lie; None for others.
    """

    items: tuple[Region, ...]
    frames: int
    frame_size: tuple[int, int]
    window: "Placement | None" = None

    def part(self, frames: range) -> "Regions":
        """Only these frames."""
        cut = slice(frames.start, frames.stop)
        items = tuple(
            replace(
                region,
                boxes=None if region.boxes is None else region.boxes[cut],
                masks=None if region.masks is None else region.masks[cut],
            )
            for region in self.items
        )
        return Regions(items, len(frames), self.frame_size)

    def require(self, frames: int, frame_size: tuple[int, int]) -> None:
        """Raise EvenframeError unless the clip has as many frames, of the same size."""
        have, want = (self.frames, *self.frame_size), (frames, *frame_size)
        if have != want:
            raise EvenframeError(
                f"The regions are for {have[0]} frames of {have[2]}x{have[1]} pixels, but the clip "
                f"has {want[0]} of {want[2]}x{want[1]}: draw them on the frames that are inverted."
            )

    def on(self, below: "Regions | None") -> "Regions":
        """These on top of others of the same clip."""
        if below is None:
            return self
        below.require(self.frames, self.frame_size)
        if self.window and below.window and self.window != below.window:
            raise EvenframeError(
                "The regions lie on two different crops: link those of one Crop Around Region."
            )
        window = self.window or below.window
        return replace(self, items=(*below.items, *self.items), window=window)

    def painted(self) -> Tensor:
        """(f, h, w) at the frames' size, for pictures: 0 outside, (k+1)/n in region k of n."""
        visible = self.cells(self.frame_size)
        values = torch.arange(1, len(visible) + 1) / len(visible)
        return (visible * values[:, None, None, None]).sum(0)

    def describe(self) -> str:
        """Each region with its words: "left: jellyfish; right: goldfish"."""
        return "; ".join(f"{region.name}: {region.words or 'no words'}" for region in self.items)

    def cells(self, grid: tuple[int, int], warn: bool = True) -> Tensor:
        """(regions, f, rows, columns) of 0 and 1: the visible cells of each region.

        A region that is smaller than one cell has one, unless another lies on top of it. Where two
        need the same cell and do not overlap in the frame, both have it.
        warn: say so in the log.
        """
        cells = self._all_cells(grid, warn)
        visible = cells * (1 - _above(cells))
        squeezed = (visible.amax((2, 3)) == 0) & (cells.amax((2, 3)) > 0)  # regions f
        if squeezed.any() and grid != self.frame_size:
            pixels = self._all_cells(self.frame_size, warn=False)
            apart = squeezed & ((pixels * _above(pixels)).amax((2, 3)) == 0)
            visible[apart] = cells[apart]
        return visible

    def _all_cells(self, grid: tuple[int, int], warn: bool) -> Tensor:
        """As `cells`, with those that later regions lie on."""
        self.require_items()
        return torch.stack([hard_cells(item, self.frame_size, grid, warn) for item in self.items])

    def coverage(self, grid: tuple[int, int]) -> Tensor:
        """(f, rows, columns) in 0..1: the union of all regions, with their soft edges.

        Masks keep the grey values that they came with; on a coarser grid than the frame's, those of
        an edge that is merely smoothed do not count.
        """
        return self.coverages(grid).amax(0)

    def coverages(self, grid: tuple[int, int]) -> Tensor:
        """(regions, f, rows, columns) in 0..1: as `coverage`, of each region alone."""
        self.require_items()
        return torch.stack([soft_cells(region, self.frame_size, grid) for region in self.items])

    def anywhere(self) -> Tensor:
        """(f,) bool: whether a frame has any of the regions."""
        return self.bounds().isfinite().all(1)

    def bounds(self, spread: int = 0) -> Tensor:
        """(f, 4) float64: around all regions of each frame, as `Region.bounds`.

        spread: pixels by which those of masks are larger.
        """
        self.require_items()
        outward = torch.tensor([-spread, -spread, spread, spread], dtype=torch.float64)
        each = torch.stack(
            [item.bounds() + outward * (item.masks is not None) for item in self.items]
        )  # n f 4
        low = each[..., :2].nan_to_num(math.inf).amin(0)
        high = each[..., 2:].nan_to_num(-math.inf).amax(0)
        found = torch.cat([low, high], 1)
        return torch.where(found.isfinite(), found, math.nan)

    def require_items(self) -> None:
        """Raise EvenframeError where there is no region at all."""
        if not self.items:
            raise EvenframeError("There are no regions: draw one.")


def _above(cells: Tensor) -> Tensor:
    """(regions, f, rows, columns): where any later region is, for cells of the same shape."""
    later = torch.zeros_like(cells)
    for index in range(len(cells) - 2, -1, -1):
        later[index] = torch.maximum(later[index + 1], cells[index + 1])
    return later
