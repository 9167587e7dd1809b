"""The regions of a clip together: which lies on top, and their cells on the grids of a model."""

import logging
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..common.errors import EvenframeError
from .region import Raster, Region

if TYPE_CHECKING:
    from ..models.lattice import Lattice
    from ..video.placement import Placement

log = logging.getLogger(__name__)

MOST_GRIDS, COARSE = 8, 16
"""So many grids are remembered, of those that have a cell for so many pixels or more: what is kept
is small beside the frames that they belong to."""


@dataclass(frozen=True, eq=False)
class Regions:
    """The regions of a clip; where they overlap, a later one lies on top.

    frames: of the clip. frame_size: (height, width) in pixels.
    window: of regions that were moved onto crops, where these lie; None for others.
    What was drawn on a coarse grid is remembered for as long as they are.
    """

    items: tuple[Region, ...]
    frames: int
    frame_size: tuple[int, int]
    window: "Placement | None" = None
    _drawn: dict[tuple[tuple[int, int], bool], tuple[Raster, ...]] = field(
        default_factory=dict, init=False, repr=False
    )

    def part(self, frames: range) -> "Regions":
        """Only these frames."""
        if len(frames) == self.frames:
            return self
        items = tuple(region.part(frames) for region in self.items)
        return Regions(items, len(frames), self.frame_size)

    def on_latents(self, lattice: "Lattice") -> "Regions":
        """These by the latent frames of their clip: each is where any frame has it that a latent
        frame holds. Raises EvenframeError for the latents of another clip."""
        self.require(lattice.frames, lattice.size)
        if lattice.time_stride == 1:
            return self
        items = tuple(region.on_latents(lattice) for region in self.items)
        return Regions(items, lattice.latent_frames, self.frame_size)

    def require(self, frames: int, frame_size: tuple[int, int]) -> None:
        """Raise EvenframeError unless the clip has as many frames, of the same size."""
        have, want = (self.frames, *self.frame_size), (frames, *frame_size)
        if have != want:
            raise EvenframeError(
                f"The regions are for {have[0]} frames of {have[2]}x{have[1]} pixels, but the clip "
                f"has {want[0]} of {want[2]}x{want[1]}: draw them on the frames that are inverted."
            )

    def over(self, below: "Regions | None") -> "Regions":
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
        cells = self._on(grid, warn=warn)
        visible = cells * (1 - _above(cells))
        squeezed = (visible.amax((2, 3)) == 0) & (cells.amax((2, 3)) > 0)  # regions f
        if squeezed.any() and grid != self.frame_size:
            pixels = self._on(self.frame_size, warn=False)
            apart = squeezed & ((pixels * _above(pixels)).amax((2, 3)) == 0)
            visible[apart] = cells[apart]
        return visible

    def alone(self, grid: tuple[int, int], warn: bool = True) -> Tensor:
        """(regions, f, rows, columns) of 0 and 1: as `cells`, whatever lies on top of a region."""
        return self._on(grid, warn=warn)

    def coverage(self, grid: tuple[int, int]) -> Tensor:
        """(f, rows, columns) in 0..1: the union of all regions, with their soft edges.

        Masks keep the grey values that they came with; on a coarser grid than the frame's, those of
        an edge that is merely smoothed do not count.
        """
        return self.coverages(grid).amax(0)

    def coverages(self, grid: tuple[int, int]) -> Tensor:
        """(regions, f, rows, columns) in 0..1: as `coverage`, of each region alone."""
        return self._on(grid, soft=True)

    def _on(self, grid: tuple[int, int], soft: bool = False, warn: bool = True) -> Tensor:
        """(regions, f, rows, columns) in 0..1: each region alone."""
        self.require_items()
        rasters = self._drawn.get((grid, soft))
        if rasters is None:
            rasters = tuple(region.on(grid, soft) for region in self.items)
            if COARSE * grid[0] * grid[1] <= self.frame_size[0] * self.frame_size[1]:
                if len(self._drawn) == MOST_GRIDS:
                    del self._drawn[next(iter(self._drawn))]
                self._drawn[grid, soft] = rasters
        for region, raster in zip(self.items, rasters, strict=True):
            if warn and raster.small:
                log.warning(
                    "Region '%s' is smaller than one cell of the %dx%d grid on %d frames: at least "
                    "one cell counts there. Draw it larger, or take larger frames.",
                    *(region.name, grid[1], grid[0], raster.small),
                )
        return torch.stack([raster.cells for raster in rasters])

    def anywhere(self) -> Tensor:
        """(f,) bool: whether a frame has any of the regions."""
        return self.bounds().isfinite().all(1)

    def bounds(self, spread: int = 0) -> Tensor:
        """(f, 4) float64: around all regions of each frame; NaN where there is none.

        spread: pixels by which those of masks are larger.
        """
        self.require_items()
        each = torch.stack([region.bounds(spread) for region in self.items])  # n f 4
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
