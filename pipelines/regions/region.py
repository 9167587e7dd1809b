"""Where in a clip one object of an edit belongs: boxes or masks over time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..common.errors import EvenframeError
from ..common.grids import Box, averaged, cell_width
from ..common.typed_text import require_typed
from .box import require_box, to_grid
from .edges import MAX_EDGE, feather, grown, shrunk

if TYPE_CHECKING:
    from ..models.lattice import Lattice

MAX_LABEL = 1000
"""Characters of a region's name, and of its words."""
FRINGE = 2
"""Grey no further than so many pixels from black and white is a smoothed edge, and counts as a hard
one on a coarser grid than the frame's."""


@dataclass(frozen=True, eq=False)
class Raster:
    """A region on a grid.

    cells: (f, rows, columns) in 0..1. small: on how many frames it is smaller than one cell.
    """

    cells: Tensor
    small: int = 0


@dataclass(frozen=True, eq=False)
class _Named:
    """What regions have in common.

    name: for messages. words: the word or phrase of the target prompt that stands for it; "" where
        none does. soften: width in pixels of the soft edge inside its border, where a soft one is
        asked for.
    """

    name: str
    words: str
    soften: int = field(default=0, kw_only=True)


@dataclass(frozen=True, eq=False)
class BoxRegion(_Named):
    """A box on each frame of a clip.

    boxes: (f, 4) float64, left, top, right, bottom in pixels. frame_size: (height, width).
    """

    boxes: Tensor
    frame_size: tuple[int, int]

    def on(self, grid: tuple[int, int], soft: bool = False) -> Raster:
        """Its cells on a grid of (rows, columns), as `to_grid`: 0 and 1; with its soft edge on
        demand."""
        if soft and self.soften:
            return self.masked().on(grid, soft=True)
        height, width = (cell_width(*axis) for axis in zip(self.frame_size, grid, strict=True))
        sides = self.boxes[:, 2:] - self.boxes[:, :2]  # f (width, height)
        small = (sides < torch.tensor([width, height])).any(1)
        cells = torch.zeros(len(self.boxes), *grid)
        for frame, box in zip(cells, self.boxes.tolist(), strict=True):
            left, top, right, bottom = to_grid(box, self.frame_size, grid)
            frame[top:bottom, left:right] = 1
        return Raster(cells, int(small.sum()))

    def masked(self) -> "MaskRegion":
        """The same as masks of whole pixels."""
        cells = self.on(self.frame_size).cells
        return MaskRegion(self.name, self.words, cells, soften=self.soften)

    def bounds(self, spread: int = 0) -> Tensor:
        """(f, 4) float64: the boxes; nothing spreads their edges."""
        return self.boxes

    def areas(self) -> Tensor:
        """(f,) in pixels."""
        return (self.boxes[:, 2:] - self.boxes[:, :2]).prod(1)

    def alike(self, one: int, other: int) -> bool:
        """Whether it is at the same place on two frames."""
        return torch.equal(self.boxes[one], self.boxes[other])

    def part(self, frames: range) -> "BoxRegion":
        """Only these frames."""
        return replace(self, boxes=self.boxes[frames.start : frames.stop])

    def on_latents(self, lattice: "Lattice") -> "Region":
        """Where any frame has it that a latent frame holds: boxes, or masks where it moves."""
        held = self.boxes[1:].unflatten(0, (-1, lattice.time_stride))
        if torch.equal(held, held[:, :1].expand_as(held)):
            return replace(self, boxes=torch.cat([self.boxes[:1], held[:, 0]]))
        return self.masked().on_latents(lattice)


@dataclass(frozen=True, eq=False)
class MaskRegion(_Named):
    """A mask on each frame of a clip: (f, h, w) in 0..1, all 0 on frames without the object."""

    masks: Tensor

    def on(self, grid: tuple[int, int], soft: bool = False) -> Raster:
        """Its cells on a grid of (rows, columns): 0 and 1, at least one 1 on frames that show it.

        Those count that hold at least half of the frame's largest value, so that a faint mask
        counts as far as a white one does. soft: the mean of each cell, with the soft edge; of hard
        masks without one as before. An edge that is merely smoothed is a hard one on a coarser grid
        than the frame's. Raises EvenframeError where the soft edge leaves nothing on a frame.
        """
        if not soft:
            return self._hard(grid)
        fringe = 0 if grid == self.masks.shape[1:] else FRINGE
        grey = _grey_frames(self.masks, fringe) | (self.soften > 0)
        if not grey.any():
            return self._hard(grid)
        cells = averaged(self._softened()[:, None], grid)[:, 0]
        if grey.all():
            return Raster(cells)
        hard = self._hard(grid)
        return Raster(torch.where(grey[:, None, None], cells, hard.cells), hard.small)

    def _hard(self, grid: tuple[int, int]) -> Raster:
        share = averaged(self.masks[:, None], grid)[:, 0]
        peak = self.masks.amax((1, 2), keepdim=True)
        cells = ((share >= peak / 2) & (peak > 0)).float()
        small = (cells.sum((1, 2)) == 0) & (share.amax((1, 2)) > 0)
        for frame in small.nonzero()[:, 0].tolist():
            cells[frame].view(-1)[share[frame].argmax()] = 1  # the cell that holds most of it
        return Raster(cells, int(small.sum()))

    def _softened(self) -> Tensor:
        soft = feather(self.masks, self.soften)
        lost = (soft.amax((1, 2)) == 0) & (self.masks.amax((1, 2)) > 0)
        if lost.any():
            raise EvenframeError(
                f"The soft edge of {self.soften} pixels leaves nothing of region '{self.name}' on "
                f"frame {int(lost.nonzero()[0])}: choose a smaller one, or let the region grow."
            )
        return soft

    def bounds(self, spread: int = 0) -> Tensor:
        """(f, 4) float64: left, top, right, bottom of all that is not 0, in pixels; NaN on frames
        without it. spread: pixels by which they are larger."""
        low, high = [], []
        for axis in (1, 2):  # what is left of the rows' largest are columns, and the other way
            marked = self.masks.amax(axis) > 0  # f n
            here = marked.any(1)
            first = marked.int().argmax(1) - spread
            after = marked.shape[1] - marked.flip(1).int().argmax(1) + spread
            low.append(torch.where(here, first.double(), math.nan))
            high.append(torch.where(here, after.double(), math.nan))
        return torch.stack([*low, *high], 1)

    def areas(self) -> Tensor:
        """(f,) in pixels."""
        return self.masks.sum((1, 2))

    def alike(self, one: int, other: int) -> bool:
        """Whether it is the same on two frames."""
        return torch.equal(self.masks[one], self.masks[other])

    def part(self, frames: range) -> "MaskRegion":
        """Only these frames."""
        return replace(self, masks=self.masks[frames.start : frames.stop])

    def on_latents(self, lattice: "Lattice") -> "MaskRegion":
        """Where any frame has it that a latent frame holds."""
        return replace(self, masks=lattice.union(self.masks))


Region = BoxRegion | MaskRegion
"""Where one object belongs, on each frame of a clip."""


def _grey_frames(masks: Tensor, fringe: int) -> Tensor:
    """(f,) whether masks (f, h, w) have grey more than so many pixels from black and white."""
    return shrunk(((masks > 0) & (masks < 1)).float(), fringe).amax((1, 2)) > 0


def box_region(
    boxes: Sequence[Box] | Tensor,
    frame_size: tuple[int, int],
    *,
    name: str,
    words: str = "",
    grow: int = 0,
    soften: int = 0,
) -> BoxRegion:
    """A region of one box per frame, in pixels. grow, soften: pixels, 0 or more.

    Raises EvenframeError for boxes that are reversed, outside the frame or not finite.
    """
    require_marks(name, words, grow, soften)
    checked = [
        require_box(box, frame_size, f"region '{name}', frame {index}")
        for index, box in enumerate(boxes)
    ]
    outward = torch.tensor([-grow, -grow, grow, grow], dtype=torch.float64)
    limits = torch.tensor(tuple(reversed(frame_size)) * 2, dtype=torch.float64)
    larger = torch.tensor(checked, dtype=torch.float64) + outward
    boxes = torch.minimum(larger.clamp(min=0), limits)
    return BoxRegion(name, words, boxes, frame_size, soften=soften)


def mask_region(
    masks: Tensor,
    frames: int,
    frame_size: tuple[int, int],
    *,
    name: str,
    words: str = "",
    grow: int = 0,
    soften: int = 0,
) -> MaskRegion:
    """A region of masks (f, h, w) or (h, w), 0..1; a single one holds for all frames.

    grow, soften: pixels, 0 or more. Raises EvenframeError for masks of another length or size than
    the clip, values out of range, and masks that are empty.
    """
    require_marks(name, words, grow, soften)
    masks = masks[None] if masks.ndim == 2 else masks
    if masks.ndim != 3 or tuple(masks.shape[1:]) != tuple(frame_size):
        raise EvenframeError(
            f"The masks of region '{name}' have the shape {tuple(masks.shape)}, but the clip's "
            f"frames are {frame_size[1]}x{frame_size[0]} pixels: give masks "
            f"(frames, {frame_size[0]}, {frame_size[1]})."
        )
    if len(masks) not in (1, frames):
        raise EvenframeError(
            f"Region '{name}' has {len(masks)} masks, but the clip has {frames} frames: "
            "give one mask for each frame, or a single one for all."
        )
    masks = masks.detach().float().cpu()
    low, high = float(masks.min()), float(masks.max())
    if not (low >= 0 and high <= 1):
        raise EvenframeError(
            f"The masks of region '{name}' have values from {low:g} to {high:g}: give 0 to 1."
        )
    if high == 0:
        raise EvenframeError(
            f"The mask of region '{name}' is empty on all frames: draw it, or leave the region out."
        )
    masks = grown(masks, grow).expand(frames, -1, -1).contiguous()
    return MaskRegion(name, words, masks, soften=soften)


def require_marks(name: str, words: str, grow: int, soften: int) -> None:
    """Raise EvenframeError for a region's name or words that are too long or not whole, and for
    pixels of its edge out of range."""
    require_typed(name, "The name of a region", MAX_LABEL)
    require_typed(words, "The words of a region", MAX_LABEL)
    for what, value in (("grow", grow), ("soften", soften)):
        if not 0 <= value <= MAX_EDGE:
            raise EvenframeError(
                f"{what} of region '{name}' is {value}: choose 0 to {MAX_EDGE} pixels."
            )
