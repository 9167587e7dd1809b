"""Regions over time: where in a clip each object of an edit belongs."""

import logging
import math
import reprlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor

from ..common.errors import EvenframeError
from ..common.grids import averaged, cell_at, cell_width
from ..common.typed_text import require_typed
from .edges import feather, grown, shrunk

log = logging.getLogger(__name__)

MAX_LABEL = 1000
"""Characters of a region's name, and of its words."""
FRINGE = 2
"""Grey no further than so many pixels from black and white is a smoothed edge, and counts as a hard
one on a coarser grid than the frame's."""

Box = tuple[float, float, float, float]
"""left, top, right, bottom; of pixels, whose edges lie at whole numbers, or of fractions."""


@dataclass(frozen=True, eq=False)
class Region:
    """Where one object belongs, on each frame of a clip.

    name: for messages. words: the word or phrase of the target prompt that stands for it; "" where
        none does. boxes: (f, 4) float64, left, top, right, bottom in pixels, or None.
    masks: (f, h, w) in 0..1 at the frames' size, where `boxes` is None; all 0 on frames without it.
    soften: width in pixels of the soft edge inside its border, where a soft one is asked for.
    """

    name: str
    words: str
    boxes: Tensor | None = None
    masks: Tensor | None = None
    soften: int = 0

    def bounds(self) -> Tensor:
        """(f, 4) float64: left, top, right, bottom, in pixels; NaN on frames without it. Of a mask
        all that is not 0 counts."""
        if self.boxes is not None:
            return self.boxes
        assert self.masks is not None
        low, high = [], []
        for axis in (1, 2):  # what is left of the rows' largest are columns, and the other way
            shown = self.masks.amax(axis) > 0  # f n
            here = shown.any(1)
            first = shown.int().argmax(1)
            after = shown.shape[1] - shown.flip(1).int().argmax(1)
            low.append(torch.where(here, first.double(), math.nan))
            high.append(torch.where(here, after.double(), math.nan))
        return torch.stack([*low, *high], 1)


def to_grid(
    box: Sequence[float] | Tensor, frame_size: tuple[int, int], grid_size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """A box of pixels as (left, top, right, bottom) cells of a grid, the last two exclusive.

    box: left, top, right, bottom. frame_size, grid_size: (height, width), (rows, columns).
    Edges are clamped to the frame and rounded half to even; a box that is smaller than a cell gives
    the cell that holds its centre. The last cells may reach over the frame's edge, see grids.py.
    Raises EvenframeError as `require_box`, and for an empty grid.
    """
    (height, width), (rows, columns) = frame_size, grid_size
    if rows < 1 or columns < 1:
        raise EvenframeError(f"The grid has {rows} rows and {columns} columns: give 1 or more.")
    x1, y1, x2, y2 = require_box(box, frame_size)
    left, right = _span(x1, x2, width, columns)
    top, bottom = _span(y1, y2, height, rows)
    return left, top, right, bottom


def _span(low: float, high: float, length: int, count: int) -> tuple[int, int]:
    """The cells from one edge to another along an axis of `length` pixels and `count` cells."""
    low, high = (cell_at(min(max(edge, 0), length), length, count) for edge in (low, high))
    start, stop = round(low), round(high)
    if start < stop:
        return start, stop
    middle = min(math.floor((low + high) / 2), count - 1)
    return middle, middle + 1


def box_region(
    boxes: Sequence[Box] | Tensor,
    frame_size: tuple[int, int],
    *,
    name: str,
    words: str = "",
    grow: int = 0,
    soften: int = 0,
) -> Region:
    """A region of one box per frame, in pixels. grow, soften: pixels, 0 or more.

    Raises EvenframeError for boxes that are reversed, outside the frame or not finite.
    """
    require_labels(name, words)
    require_edges(name, grow, soften)
    checked = [
        require_box(box, frame_size, f"region '{name}', frame {index}")
        for index, box in enumerate(boxes)
    ]
    outward = torch.tensor([-grow, -grow, grow, grow], dtype=torch.float64)
    limits = torch.tensor(tuple(reversed(frame_size)) * 2, dtype=torch.float64)
    larger = torch.tensor(checked, dtype=torch.float64) + outward
    return Region(name, words, boxes=torch.minimum(larger.clamp(min=0), limits), soften=soften)


def mask_region(
    masks: Tensor,
    frames: int,
    frame_size: tuple[int, int],
    *,
    name: str,
    words: str = "",
    grow: int = 0,
    soften: int = 0,
) -> Region:
    """A region of masks (f, h, w) or (h, w), 0..1; a single one holds for all frames.

    grow, soften: pixels, 0 or more. Raises EvenframeError for masks of another length or size than
    the clip, values out of range, and masks that are empty.
    """
    require_labels(name, words)
    require_edges(name, grow, soften)
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
    return Region(
        name, words, masks=grown(masks, grow).expand(frames, -1, -1).contiguous(), soften=soften
    )


def require_box(
    box: Sequence[float] | Tensor, frame_size: tuple[int, int] | None, owner: str = ""
) -> Box:
    """A box as four numbers.

    frame_size: (height, width) in pixels, as the box is; None for one in fractions of the frame.
    owner: what it belongs to, for the message. Raises EvenframeError for one that is something
    else, reversed, outside the frame or not finite.
    """
    height, width = frame_size or (1, 1)
    of = f" of {owner}" if owner else ""
    left, top, right, bottom = edges = _four_numbers(box, of)
    told = "The box [" + ", ".join(f"{edge:g}" for edge in edges) + f"]{of}"
    if not all(math.isfinite(edge) for edge in edges):
        raise EvenframeError(f"{told} is not finite: give four numbers.")
    if left >= right or top >= bottom:
        raise EvenframeError(
            f"{told} is reversed or empty: give left, top, right, bottom, the smaller one first."
        )
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        frame = f" of {width}x{height} pixels" if frame_size else ", 0 to 1"
        raise EvenframeError(f"{told} lies outside the frame{frame}: move it inside.")
    return edges


def _four_numbers(box: object, of: str) -> Box:
    """of: as in "The box of it", for the message."""
    values = box.tolist() if isinstance(box, Tensor) else box
    numbers = tuple(values) if isinstance(values, Iterable) else ()
    if len(numbers) != 4 or not all(isinstance(number, Real) for number in numbers):
        raise EvenframeError(
            f"The box{of} is {reprlib.repr(values)}: give four numbers, left, top, right, bottom."
        )
    left, top, right, bottom = (float(number) for number in numbers)
    return left, top, right, bottom


def require_labels(name: str, words: str) -> None:
    """Raise EvenframeError for a region's name or words that are too long or not whole."""
    require_typed(name, "The name of a region", MAX_LABEL)
    require_typed(words, "The words of a region", MAX_LABEL)


def require_edges(name: str, grow: int, soften: int) -> None:
    """Raise EvenframeError for pixels of a region's edge that are not 0 to 1024."""
    for what, value in (("grow", grow), ("soften", soften)):
        if not 0 <= value <= 1024:
            raise EvenframeError(f"{what} of region '{name}' is {value}: choose 0 to 1024 pixels.")


def hard_cells(
    region: Region, frame_size: tuple[int, int], grid: tuple[int, int], warn: bool = True
) -> Tensor:
    """(f, rows, columns) of 0 and 1, at least one 1 on every frame that shows the region.

    Of a mask, those that hold at least half of the frame's largest value, so that a faint one
    counts as far as a white one does.
    """
    if region.boxes is not None:
        sides = region.boxes[:, 2:] - region.boxes[:, :2]  # f (width, height)
        cell = torch.tensor([cell_width(*axis) for axis in zip(frame_size, grid, strict=True)])
        if warn:
            _warn_small(region, grid, int((sides < cell.flip(0)).any(1).sum()))
        return _box_cells(region.boxes, frame_size, grid)
    assert region.masks is not None
    share = averaged(region.masks[:, None], grid)[:, 0]
    peak = region.masks.amax((1, 2), keepdim=True)
    cells = ((share >= peak / 2) & (peak > 0)).float()
    small = (cells.sum((1, 2)) == 0) & (share.amax((1, 2)) > 0)
    for frame in small.nonzero()[:, 0].tolist():
        cells[frame].view(-1)[share[frame].argmax()] = 1  # the cell that holds most of it
    if warn:
        _warn_small(region, grid, int(small.sum()))
    return cells


def _grey_frames(masks: Tensor, fringe: int) -> Tensor:
    """(f,) whether masks (f, h, w) have grey more than so many pixels from black and white."""
    return shrunk(((masks > 0) & (masks < 1)).float(), fringe).amax((1, 2)) > 0


def _warn_small(region: Region, grid: tuple[int, int], frames: int) -> None:
    if frames:
        log.warning(
            "Region '%s' is smaller than one cell of the %dx%d grid on %d frames: at least one "
            "cell counts there. Draw it larger, or take larger frames.",
            *(region.name, grid[1], grid[0], frames),
        )


def _box_cells(boxes: Tensor, frame_size: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    cells = torch.zeros(len(boxes), *grid)
    for frame, box in zip(cells, boxes.tolist(), strict=True):
        left, top, right, bottom = to_grid(box, frame_size, grid)
        frame[top:bottom, left:right] = 1
    return cells


def soft_cells(region: Region, frame_size: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """(f, rows, columns) in 0..1: as `hard_cells`, or with soft edges and grey values."""
    if region.masks is None and not region.soften:
        return hard_cells(region, frame_size, grid)
    masks = region.masks
    if masks is None:
        assert region.boxes is not None
        masks = _box_cells(region.boxes, frame_size, frame_size)
    fringe = 0 if grid == frame_size else FRINGE
    mixed = _grey_frames(masks, fringe) | (region.soften > 0)
    soft = feather(masks, region.soften)
    lost = (soft.amax((1, 2)) == 0) & (masks.amax((1, 2)) > 0)
    if lost.any():
        raise EvenframeError(
            f"The soft edge of {region.soften} pixels leaves nothing of region '{region.name}' on "
            f"frame {int(lost.nonzero()[0])}: choose a smaller one, or let the region grow."
        )
    cells = averaged(soft[:, None], grid)[:, 0]
    if not mixed.all():
        cells[~mixed] = hard_cells(region, frame_size, grid)[~mixed]
    return cells
