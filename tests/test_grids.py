"""One grid over a frame and another, where a side is no multiple of what a token covers."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from evenframe.pipelines.attention.sites import Site
from evenframe.pipelines.common.grids import averaged, cell_at, cell_width, nearest
from evenframe.pipelines.regions.region import box_region, mask_region, to_grid
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.source.maps import blend_mask

STRIDES = (8, 16, 32, 64)


def site(stride: int) -> Site:
    return Site("it", "cross", stride, 0)


@given(st.integers(1, 250), st.sampled_from(STRIDES), st.sampled_from(STRIDES))
def test_cells_are_as_wide_as_their_layer_makes_them(side: int, one: int, other: int) -> None:
    """Every pair of layers, of every size of frame: to the token that lies there."""
    fine, coarse = sorted((one, other))
    have, want = (site(stride).grid((8 * side, 8))[0] for stride in (fine, coarse))
    if want > 1:  # one cell covers all, however wide
        assert cell_width(have, want) == coarse // fine
        assert cell_width(8 * side, want) == coarse
    cells = torch.arange(want)[:, None].float()
    assert nearest(cells, (have, 1))[:, 0].tolist() == [k // (coarse // fine) for k in range(have)]
    cells = torch.arange(have)[:, None].float()
    assert nearest(cells, (want, 1))[:, 0].tolist() == [k * (coarse // fine) for k in range(want)]
    means = averaged(cells[None, None], (want, 1))[0, 0, :, 0].tolist()
    parts = [range(k, min(k + coarse // fine, have)) for k in range(0, have, coarse // fine)]
    assert means == pytest.approx([sum(part) / len(part) for part in parts])


def test_grids_that_divide_the_frame_are_as_torch_makes_them() -> None:
    maps = torch.rand(2, 3, 48, 80)
    for grid in [(48, 80), (24, 40), (12, 20), (6, 10), (7, 9), (5, 80)]:
        assert torch.equal(averaged(maps, grid), F.interpolate(maps, grid, mode="area")), grid
        assert torch.equal(nearest(maps, grid), F.interpolate(maps, grid, mode="nearest")), grid
    assert torch.equal(nearest(maps, (96, 160)), F.interpolate(maps, (96, 160), mode="nearest"))


def test_a_region_lies_on_the_tokens_that_show_it() -> None:
    """768x432 has 13.5 rows of 32 pixels: the 14th is cut off, the others are not squeezed."""
    size, grid = (432, 768), (14, 24)
    assert site(32).grid(size) == grid
    assert to_grid((0, 0, 768, 432), size, grid) == (0, 0, 24, 14)
    assert to_grid((64, 384, 128, 416), size, grid) == (2, 12, 4, 13)
    assert to_grid((64, 396, 128, 432), size, grid) == (2, 12, 4, 14)
    assert to_grid((64, 416, 128, 432), size, grid) == (2, 13, 4, 14)  # the row that is cut off
    assert to_grid((0, 430, 768, 431), size, grid) == (0, 13, 24, 14)
    assert cell_at(424, 432, 14) == 13.5
    masks = torch.zeros(1, *size)
    masks[:, 384:416, 64:128] = 1
    masks[:, 416:, 256:288] = 1
    masks[:, 396:, 512:544] = 1
    items = (
        box_region([(64, 384, 128, 416)], size, name="box"),
        mask_region(masks, 1, size, name="mask"),
    )
    box, mask = (Regions((item,), 1, size).cells(grid)[0, 0] for item in items)
    assert box.nonzero().tolist() == [[12, 2], [12, 3]]
    assert mask.nonzero().tolist() == [[12, 2], [12, 3], [12, 16], [13, 8], [13, 16]]


def test_a_blend_mask_lies_where_its_map_does() -> None:
    """104 pixels: 13 latents, 7, 4 and 2 tokens, whose last ones reach over the edge."""
    maps = torch.zeros(1, 1, 4, 4)
    maps[..., 3, 3] = 1
    masks = blend_mask(maps, [(4, 4), (7, 7), (13, 13)], 0.5)
    rows = {grid: mask[0].amax(1).nonzero().flatten().tolist() for grid, mask in masks.items()}
    # The map's neighbours count: the 3x3 maximum.
    assert rows == {(4, 4): [2, 3], (7, 7): [4, 5, 6], (13, 13): [8, 9, 10, 11, 12]}
