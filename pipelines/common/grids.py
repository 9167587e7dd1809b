"""From one grid over a frame to another: its pixels, its latents, the tokens of a layer.

Each layer of a denoiser halves the grid before it, and rounds up where a side is odd: the last
cells then reach over the frame's edge, and the others do not become smaller. So a cell is as many
finer ones wide as the next power of two says. Only where no power of two gives both numbers, a grid
is taken to divide the frame evenly.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def grid_of(size: tuple[int, int], stride: int) -> tuple[int, int]:
    """(rows, columns) of cells of so many pixels a side over a frame of (height, width) pixels."""
    return -(-size[0] // stride), -(-size[1] // stride)


Box = tuple[float, float, float, float]
"""left, top, right, bottom; of pixels, whose edges lie at whole numbers, or of fractions."""


def cell_width(fine: int, coarse: int) -> int | float:
    """How many of `fine` cells along an axis one of the `coarse` ones over the same frame covers.

    13 latents and 4 tokens: 4, since the last token reaches over the edge.
    """
    width = 1
    while width * coarse < fine:
        width *= 2
    return width if -(-fine // width) == coarse else fine / coarse


def cell_at(edge: float, length: int, count: int) -> float:
    """Where an edge at 0..`length` pixels lies among `count` cells: the frame's own at `count`.

    What the frame shows of the last cell counts as all of it.
    """
    width = cell_width(length, count)
    if width * count == length:
        return edge * count / length
    last = width * (count - 1)
    return edge / width if edge <= last else count - 1 + (edge - last) / (length - last)


def nearest(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Maps (..., h, w) on another grid: each cell shows the one that lies there."""
    rows, columns = (
        _shown(have, want, maps.device) for have, want in zip(maps.shape[-2:], grid, strict=True)
    )
    return maps[..., rows, :][..., columns]


def _shown(have: int, want: int, device: torch.device) -> Tensor:
    """Which of the cells that there are each of those wanted shows."""
    width = cell_width(max(have, want), min(have, want))
    cells = torch.arange(want, device=device)
    if isinstance(width, float):
        return cells * have // want
    return cells // width if want > have else cells * width


def averaged(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Maps (n, c, h, w) on a coarser grid: each cell has the mean of what it covers of the frame.

    On a finer grid, as `nearest`.
    """
    height, width = maps.shape[-2:]
    if grid[0] >= height and grid[1] >= width:
        return nearest(maps, grid)
    rows, columns = cell_width(height, grid[0]), cell_width(width, grid[1])
    even = (rows * grid[0], columns * grid[1]) == (height, width)
    if even or isinstance(rows, float) or isinstance(columns, float):
        return F.interpolate(maps, grid, mode="area")
    # The last cells have the mean of what the frame shows of them.
    return F.avg_pool2d(maps, (rows, columns), ceil_mode=True, count_include_pad=False)
