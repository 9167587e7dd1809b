"""Regions as a little JSON, from which a browser draws their outlines."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .region import BoxRegion, MaskRegion, Region
from .regions import Regions

SIDE = 256
"""Cells along the longer side of a frame, of which masks are made."""
AT_ONCE = 16


def outlines(regions: Regions) -> dict[str, Any]:
    """{"columns", "rows": of the grid, "regions": each with "name", "words", "boxes" or "runs"}.

    Of each frame, a box is [left, top, right, bottom] in fractions; of a mask on the grid there are
    the lengths of its runs, row after row, those of 0 and 1 in turn, beginning with 0. Where it is
    the same as on the frame before, it is null.
    """
    height, width = regions.frame_size
    scale = min(1.0, SIDE / max(height, width))
    grid = max(1, round(height * scale)), max(1, round(width * scale))
    told = [_told(region, regions.frames, grid) for region in regions.items]
    return {"columns": grid[1], "rows": grid[0], "regions": told}


def _told(region: Region, count: int, grid: tuple[int, int]) -> dict[str, Any]:
    if isinstance(region, BoxRegion):
        kind, frames = "boxes", _boxes(region)
    else:
        kind, frames = "runs", _masks(region, count, grid)
    again = [now if at == 0 or now != frames[at - 1] else None for at, now in enumerate(frames)]
    return {"name": region.name, "words": region.words, kind: again}


def _boxes(region: BoxRegion) -> Sequence[list[float]]:
    height, width = region.frame_size
    edges = region.boxes / torch.tensor([width, height, width, height])
    return [[round(edge, 4) for edge in box] for box in edges.tolist()]


def _masks(region: MaskRegion, count: int, grid: tuple[int, int]) -> Sequence[list[int]]:
    found: list[list[int]] = []
    for start in range(0, count, AT_ONCE):
        part = region.part(range(start, min(count, start + AT_ONCE)))
        found += [_runs(cells) for cells in part.on(grid).cells]
    return found


def _runs(cells: Tensor) -> list[int]:
    """The lengths of runs of equal cells (rows, columns) of 0 and 1; the first may be 0 long."""
    flat = torch.cat([torch.zeros(1), cells.flatten()])
    turns = (flat[1:] != flat[:-1]).nonzero()[:, 0].tolist()
    return [after - at for at, after in zip([0, *turns], [*turns, cells.numel()], strict=True)]
