"""Regions over time: on any grid, from boxes, polygons, masks, and from untrusted text."""

import json
import logging
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import typed
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.regions.edges import feather, grown, shrunk
from evenframe.pipelines.regions.region import (
    BoxRegion,
    MaskRegion,
    Raster,
    box_region,
    mask_region,
    to_grid,
)
from evenframe.pipelines.regions.regions import MOST_GRIDS, Regions
from evenframe.pipelines.regions.text import interpolate, parse_regions

FRAME = (448, 768)
SIZE = (64, 128)


def refused(call: Any, *args: Any, **settings: Any) -> str:
    with pytest.raises(EvenframeError) as caught:
        call(*args, **settings)
    return str(caught.value).splitlines()[0]


def only(region: Any, frames: int = 1, size: tuple[int, int] = SIZE) -> Regions:
    return Regions((region,), frames, size)


# Boxes on a grid


@pytest.mark.parametrize(
    ("box", "cells", "latent"),
    [
        ((93, 287, 269, 417), (3, 9, 8, 13), (12, 36, 34, 52)),
        ((262, 257, 477, 378), (8, 8, 15, 12), (33, 32, 60, 47)),
    ],
)
def test_the_published_boxes(box, cells, latent):
    assert to_grid(box, FRAME, (14, 24)) == cells
    assert to_grid(box, FRAME, (56, 96)) == latent


def test_edges_are_rounded_half_to_even():
    assert to_grid((16, 48, 80, 112), (128, 128), (4, 4)) == (0, 2, 2, 4)


@pytest.mark.parametrize(
    ("box", "cells"),
    [
        ((-50, -9, 900, 1e300), (0, 0, 24, 14)),
        ((33, 65, 34, 66), (1, 2, 2, 3)),  # smaller than a cell
        ((767.9, 447.9, 768, 448), (23, 13, 24, 14)),
        ((-100, -100, 0.5, 0.5), (0, 0, 1, 1)),
    ],
)
def test_a_box_stays_in_the_grid_and_has_a_cell(box, cells):
    assert to_grid(box, FRAME, (14, 24)) == cells


def test_a_box_may_be_a_tensor():
    boxes = torch.tensor([[93, 287, 269, 417]])
    assert to_grid(boxes[0], FRAME, (14, 24)) == (3, 9, 8, 13)
    found = box_region(boxes, FRAME, name="it").boxes
    assert torch.equal(found, boxes.double())


@given(st.tuples(*[st.floats(-2000, 2000)] * 4), st.integers(1, 40), st.integers(1, 40))
def test_every_box_has_cells_or_is_refused(box, rows: int, columns: int):
    try:
        left, top, right, bottom = to_grid(box, FRAME, (rows, columns))
    except EvenframeError:
        return
    assert 0 <= left < right <= columns and 0 <= top < bottom <= rows


NAN = float("nan")


@pytest.mark.parametrize(
    ("box", "starts"),
    [
        ((9, 0, 3, 5), "The box [9, 0, 3, 5] is reversed or empty"),
        ((3, 5, 9, 5), "The box [3, 5, 9, 5] is reversed or empty"),
        ((NAN, 0, 3, 5), "The box [nan, 0, 3, 5] is not finite"),
        ((0, 0, float("inf"), 5), "The box [0, 0, inf, 5] is not finite"),
        ((768, 0, 800, 5), "The box [768, 0, 800, 5] lies outside the frame of 768x448 pixels"),
        ((-9, 0, 0, 5), "The box [-9, 0, 0, 5] lies outside the frame of 768x448 pixels"),
    ],
)
def test_boxes_that_are_none(box, starts: str):
    assert refused(to_grid, box, FRAME, (14, 24)).startswith(starts)
    message = refused(box_region, [box], FRAME, name="left")
    assert "region 'left', frame 0" in message


@pytest.mark.parametrize(
    ("box", "starts"),
    [
        ((0, 0, 3), "The box is (0, 0, 3): give four numbers, left, top, right, bottom"),
        ([0, 0, 3, 5, 7], "The box is [0, 0, 3, 5, 7]: give four numbers"),
        ("1234", "The box is '1234': give four numbers"),
        (None, "The box is None: give four numbers"),
        ((0, 0, "3", 5), "The box is (0, 0, '3', 5): give four numbers"),
        (torch.ones(4, 4), "The box is [[1.0, "),
        (torch.tensor(3), "The box is 3: give four numbers"),
    ],
)
def test_what_is_no_box(box: Any, starts: str):
    assert refused(to_grid, box, FRAME, (14, 24)).startswith(starts)
    message = refused(box_region, [box], FRAME, name="left")
    assert message.startswith("The box of region 'left', frame 0 is ")


@pytest.mark.parametrize("grid", [(0, 4), (4, 0), (-1, 4)])
def test_a_grid_without_cells(grid: tuple[int, int]):
    message = refused(to_grid, (0, 0, 3, 5), FRAME, grid)
    assert message.startswith(f"The grid has {grid[0]} rows and {grid[1]} columns: give 1 or more")


@pytest.mark.parametrize("ask", ["cells", "coverage", "coverages"])
def test_there_must_be_regions(ask: str):
    message = refused(getattr(Regions((), 1, SIZE), ask), (8, 16))
    assert message == "There are no regions: draw one."


# Masks and their edges


def disc(frames: int = 2) -> Tensor:
    rows, columns = torch.arange(64)[:, None], torch.arange(128)[None]
    return torch.stack([((rows - 30) ** 2 + (columns - 60) ** 2 < 400).float()] * frames)


def test_a_mask_is_scaled_by_what_it_covers():
    cells = only(mask_region(disc(), 2, SIZE, name="disc"), 2).cells((8, 16))
    share = disc().reshape(2, 8, 8, 16, 8).mean((2, 4))
    assert torch.equal(cells[0], (share >= 0.5).float())


def test_a_smoothed_edge_is_a_hard_one_in_cells():
    """Anti-aliasing must not turn the cells of a region's border into a mix of both clips."""
    hard = torch.zeros(1, *SIZE)
    hard[:, 13:50, 21:70] = 1
    smooth = F.avg_pool2d(hard[:, None], 3, 1, 1)[:, 0]
    one, other = (only(mask_region(mask, 1, SIZE, name="it")) for mask in (hard, smooth))
    assert torch.equal(one.coverage((8, 16)), other.coverage((8, 16)))
    assert set(other.coverage((8, 16)).unique().tolist()) == {0, 1}
    assert torch.equal(other.coverage(SIZE), smooth)


def test_a_faint_mask_has_the_cells_of_a_white_one(caplog):
    faint = disc() * torch.tensor([0.4, 1e-3])[:, None, None]
    with caplog.at_level(logging.WARNING):
        cells = only(mask_region(faint, 2, SIZE, name="disc"), 2).cells((8, 16))
    assert torch.equal(cells, only(mask_region(disc(), 2, SIZE, name="disc"), 2).cells((8, 16)))
    assert caplog.text == ""
    faint[1] = 0
    assert not only(mask_region(faint, 2, SIZE, name="disc"), 2).cells((8, 16))[0, 1].any()


@pytest.mark.parametrize("soften", [0, 1])
def test_coverage_keeps_the_grey_values_of_a_mask(soften: int):
    ramp = torch.linspace(0, 0.4, 128).expand(2, *SIZE).contiguous()
    region = mask_region(ramp, 2, SIZE, name="ramp", soften=soften)
    assert torch.equal(only(region, 2).coverage(SIZE), feather(ramp, soften))
    means = feather(ramp, soften).reshape(2, 8, 8, 16, 8).mean((2, 4))
    assert torch.allclose(only(region, 2).coverage((8, 16)), means)


def test_coverage_of_hard_masks_is_their_cells():
    regions = only(mask_region(disc(), 2, SIZE, name="disc"), 2)
    for grid in (SIZE, (8, 16)):
        assert torch.equal(regions.coverage(grid), regions.cells(grid)[0])
    assert torch.equal(regions.coverage(SIZE), disc())


def test_one_mask_holds_for_all_frames():
    one = only(mask_region(disc(1)[0], 3, SIZE, name="disc"), 3)
    assert torch.equal(one.cells((8, 16))[0, 2], one.cells((8, 16))[0, 0])


def test_less_than_a_cell_counts_as_one_with_a_warning(caplog):
    masks = torch.zeros(2, *SIZE)
    masks[0, 13, 100] = 1
    with caplog.at_level(logging.WARNING):
        cells = only(mask_region(masks, 2, SIZE, name="dot"), 2).cells((8, 16))
    assert cells.nonzero().tolist() == [[0, 0, 1, 12]]
    assert "Region 'dot' is smaller than one cell of the 16x8 grid on 1 frames" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        only(box_region([(3, 3, 5, 40)], SIZE, name="thin")).cells((8, 16))
    assert "Region 'thin' is smaller than one cell" in caplog.text
    caplog.clear()
    only(mask_region(masks, 2, SIZE, name="dot"), 2).cells((8, 16), warn=False)
    only(box_region([(3, 3, 5, 40)], SIZE, name="thin")).cells((8, 16), warn=False)
    assert caplog.text == ""


def test_regions_grow_by_pixels():
    masks = torch.zeros(1, *SIZE)
    masks[0, 20, 30] = 1
    grown = mask_region(masks, 1, SIZE, name="dot", grow=3).masks
    assert grown.sum() == 49 and grown[0, 17:24, 27:34].all()
    box = box_region([(10, 10, 20, 20)], SIZE, name="box", grow=12).boxes
    assert box.tolist() == [[0, 0, 32, 32]]


@pytest.mark.parametrize("pixels", [1, 2, 3, 7, 20, 200])
def test_growing_is_pooling_without_its_cost(pixels: int):
    masks = torch.rand(2, 19, 31, generator=torch.Generator().manual_seed(0)) ** 20
    size = 2 * pixels + 1
    assert torch.equal(grown(masks, pixels), F.max_pool2d(masks, size, 1, pixels))


def test_soft_edges_lie_inside_and_leave_the_outside_alone():
    mask = torch.zeros(1, 40, 40)
    mask[0, 10:40, 10:30] = 1  # it touches the lower edge of the frame, which is no border
    soft = feather(mask, 6)
    assert torch.equal(soft == 0, (mask == 0))
    row = soft[0, 39]
    assert (row[10:17].diff() > 0).all() and torch.equal(row[16:24], torch.ones(8))
    assert torch.equal(feather(mask, 0), mask)


@pytest.mark.parametrize("pixels", [1, 2, 7, 16, 31])
def test_a_soft_edge_is_pooled_without_its_cost(pixels: int):
    masks = (torch.rand(2, 70, 53, generator=torch.Generator().manual_seed(0)) < 0.999).float()
    radius = (pixels + 1) // 2
    within = shrunk(masks, radius)
    expected = F.avg_pool2d(within, 2 * radius + 1, 1, radius, count_include_pad=False)
    soft = feather(masks, pixels)
    assert torch.allclose(soft, expected, atol=1e-6)
    assert torch.equal(soft == 0, expected == 0) and soft.max() <= 1


def test_a_soft_edge_that_swallows_its_region_is_refused():
    box = box_region([(10, 10, 18, 60)], SIZE, name="thin", soften=20)
    message = refused(only(box).coverage, SIZE)
    assert message.startswith("The soft edge of 20 pixels leaves nothing of region 'thin'")


def test_coverage_is_the_union_with_soft_edges():
    left = box_region([(0, 0, 64, 64)], SIZE, name="left", soften=8)
    right = box_region([(96, 0, 128, 64)], SIZE, name="right")
    both = Regions((left, right), 1, SIZE)
    coverage = both.coverage((8, 16))
    assert torch.equal(coverage[0, 0, 12:], torch.ones(4))
    assert torch.equal(coverage[0, 0, 8:12], torch.zeros(4))
    assert 0 < coverage[0, 0, 7] < 1 and coverage[0, 0, 0] == 1
    assert torch.equal(both.cells((8, 16)).amax(0)[0, :, :8], torch.ones(8, 8))


def test_a_later_region_lies_on_top():
    lower = box_region([(0, 0, 64, 64)], SIZE, name="lower")
    upper = box_region([(32, 0, 96, 64)], SIZE, name="upper")
    both = only(upper).over(only(lower))
    cells = both.cells((8, 16))
    assert cells[0, 0, 0].tolist() == [1] * 4 + [0] * 12
    assert cells[1, 0, 0].tolist() == [0] * 4 + [1] * 8 + [0] * 4
    assert both.painted()[0, 0, ::8].tolist() == [0.5] * 4 + [1] * 8 + [0] * 4
    assert only(upper).over(None).items == (upper,)
    assert refused(only(upper).over, only(lower, frames=2)).startswith(
        "The regions are for 2 frames"
    )


def test_small_regions_side_by_side_share_their_cell():
    left = box_region([(33, 33, 36, 38), (33, 33, 36, 38)], SIZE, name="left")
    right = box_region([(36, 33, 39, 38), (35, 33, 39, 38)], SIZE, name="right")
    cells = Regions((left, right), 2, SIZE).cells((8, 16))
    assert cells[:, 0].nonzero().tolist() == [[0, 4, 4], [1, 4, 4]]
    assert cells[:, 1].nonzero().tolist() == [[1, 4, 4]], "they overlap, the upper one has it"


def test_cells_are_those_that_no_later_region_takes():
    """Against a loop over pixels, of boxes larger than a cell."""
    generator = torch.Generator().manual_seed(0)
    corners = torch.randint(0, 40, (5, 3, 2), generator=generator)
    boxes = torch.cat([corners, corners + torch.tensor([24, 20])], dim=-1)
    regions = Regions(tuple(box_region(item, SIZE, name="it") for item in boxes), 3, SIZE)
    expected = torch.zeros(5, 3, 8, 16)
    for index, item in enumerate(boxes):
        for frame, box in enumerate(item):
            left, top, right, bottom = to_grid(box, SIZE, (8, 16))
            expected[:index, frame, top:bottom, left:right] = 0
            expected[index, frame, top:bottom, left:right] = 1
    assert torch.equal(regions.cells((8, 16)), expected)


class Noted(MaskRegion):
    """A region that says on which grids it is drawn."""

    def on(self, grid: tuple[int, int], soft: bool = False) -> Raster:
        drawn.append((grid, soft))
        return super().on(grid, soft)


drawn: list[tuple[tuple[int, int], bool]] = []


def test_regions_are_drawn_once_on_a_coarse_grid(caplog):
    drawn.clear()
    dot = torch.zeros(2, *SIZE)
    dot[:, 20, 30] = 1
    regions = only(Noted("dot", "", dot), 2)
    for ask in (regions.cells, regions.coverages, regions.coverage) * 2:
        caplog.clear()
        assert ask((8, 16)).sum(), "and each is told that it is small"
        assert "Region 'dot' is smaller than one cell of the 16x8 grid on 2 frames" in caplog.text
    assert drawn == [((8, 16), False), ((8, 16), True)]
    regions.over(only(box_region([(0, 0, 9, 9)] * 2, SIZE, name="box"), 2)).cells((8, 16))
    assert len(drawn) == 3, "what others remember is theirs"
    drawn.clear()
    grids = [(rows, 16) for rows in range(1, MOST_GRIDS + 3)]
    for grid in (*grids, SIZE, SIZE, *reversed(grids)):
        regions.cells(grid, warn=False)
    assert len(regions._drawn) == MOST_GRIDS, "no more are held"
    assert [grid for grid, _ in drawn].count(SIZE) == 2, "a large one is not"


def test_drawn_regions_take_gradients_afterwards():
    regions = only(mask_region(disc(), 2, SIZE, name="disc"), 2)
    with torch.inference_mode():
        regions.cells((8, 16))
    latents = torch.ones(2, 8, 16, requires_grad=True)
    (regions.coverages((8, 16))[0] * regions.cells((8, 16))[0] * latents).sum().backward()
    assert latents.grad is not None and latents.grad.any()


def test_a_part_of_the_frames():
    boxes = [(float(i), 0.0, i + 32.0, 32.0) for i in range(0, 64, 8)]
    masked = mask_region(torch.rand(8, *SIZE), 8, SIZE, name="noise")
    regions = Regions((box_region(boxes, SIZE, name="box"), masked), 8, SIZE)
    part = regions.part(range(3, 6))
    assert part.frames == 3
    assert torch.equal(part.cells((8, 16)), regions.cells((8, 16))[:, 3:6])


@pytest.mark.parametrize(
    ("masks", "starts"),
    [
        (torch.zeros(2, *SIZE), "The mask of region 'it' is empty on all frames"),
        (torch.ones(3, *SIZE), "Region 'it' has 3 masks, but the clip has 2 frames"),
        (torch.ones(2, 64, 64), "The masks of region 'it' have the shape (2, 64, 64), but the"),
        (torch.ones(2, *SIZE, 1), "The masks of region 'it' have the shape (2, 64, 128, 1)"),
        (torch.full((2, *SIZE), 255.0), "The masks of region 'it' have values from 255 to 255"),
        (torch.full((2, *SIZE), NAN), "The masks of region 'it' have values from nan to nan"),
    ],
)
def test_masks_that_do_not_fit(masks: Tensor, starts: str):
    assert refused(mask_region, masks, 2, SIZE, name="it").startswith(starts)


@pytest.mark.parametrize("settings", [{"grow": -1}, {"soften": 2000}])
def test_edges_out_of_range(settings):
    [(name, value)] = settings.items()
    message = refused(mask_region, disc(), 2, SIZE, name="it", **settings)
    assert message.startswith(f"{name} of region 'it' is {value}: choose 0 to 1024 pixels")


# Text


def text(*regions: Any, **more: Any) -> str:
    return json.dumps({"version": 1, "regions": regions} | more)


BOX = {"name": "left", "words": "jellyfish", "box": [0.25, 0.5, 0.5, 1.0]}


def test_a_box_in_fractions_or_in_pixels():
    for regions in (
        parse_regions(text(BOX), 3, SIZE),
        parse_regions(text(BOX | {"box": [32, 32, 64, 64]}, unit="pixel"), 3, SIZE),
    ):
        [region] = regions.items
        assert (region.name, region.words, region.soften) == ("left", "jellyfish", 0)
        assert isinstance(region, BoxRegion) and region.frame_size == SIZE
        assert region.boxes.tolist() == [[32, 32, 64, 64]] * 3


@pytest.mark.parametrize("shape", ["box", "polygon"])
@pytest.mark.parametrize("unit", ["pixel", "fraction"])
def test_regions_of_large_frames_are_drawn_on_small_ones(shape: str, unit: str):
    """Numbers are the large frames' pixels, also those of grow and soften."""
    high, wide = SIZE[0] // 4, SIZE[1] // 4
    left, top, right, bottom = 32, 16, 64, 48
    corners = [[left, top], [right, top], [right, bottom], [left, bottom]]
    x, y = (1, 1) if unit == "pixel" else (SIZE[1], SIZE[0])
    box = [left / x, top / y, right / x, bottom / y]
    value = box if shape == "box" else [[a / x, b / y] for a, b in corners]
    entry = {"name": "it", shape: value, "grow": 4, "soften": 8}
    regions = parse_regions(text(entry, unit=unit), 3, SIZE, (high, wide))
    [region] = regions.items
    assert regions.frame_size == (high, wide) and region.soften == 2
    expected = torch.zeros(3, high, wide)
    expected[:, 3:13, 7:17] = 1
    assert torch.equal(regions.cells((high, wide))[0], expected)


def test_a_polygon_smaller_than_a_pixel_has_one():
    corners = [[42, 42], [45, 42], [45, 45]]
    entry = text({"name": "it", "polygon": corners}, unit="pixel")
    [region] = parse_regions(entry, 1, SIZE, (SIZE[0] // 8, SIZE[1] // 8)).items
    assert isinstance(region, MaskRegion) and region.masks[0].nonzero().tolist() == [[5, 5]]


def test_a_polygon_that_stands_still_is_held_once():
    square = [[0.25, 0.25], [0.5, 0.25], [0.5, 0.75], [0.25, 0.75]]
    [region] = parse_regions(text({"name": "it", "polygon": square}), 300, SIZE).items
    assert isinstance(region, MaskRegion) and region.masks.shape == (300, *SIZE)
    assert region.masks.untyped_storage().nbytes() == 4 * SIZE[0] * SIZE[1]


def test_boxes_move_evenly_between_key_frames():
    keys = [{"frame": 1, "box": [0, 0, 8, 8]}, {"frame": 3, "box": [8, 16, 16, 24]}]
    regions = parse_regions(text({"name": "it", "keyframes": keys}, unit="pixel"), 5, SIZE)
    [region] = regions.items
    assert isinstance(region, BoxRegion)
    assert region.boxes[:, :2].tolist() == [[0, 0], [0, 0], [4, 8], [8, 16], [8, 16]]


def test_key_frames_behind_the_end_are_moved_towards_and_told():
    keys = [{"frame": 0, "box": [0, 0, 8, 8]}, {"frame": 8, "box": [16, 16, 24, 24]}]
    written = text({"name": "it", "keyframes": keys}, unit="pixel")
    told: list[str] = []
    short, whole = (
        parse_regions(written, frames, SIZE, tell=told.append).items[0] for frames in (5, 9)
    )
    assert isinstance(short, BoxRegion) and isinstance(whole, BoxRegion)
    assert torch.equal(short.boxes, whole.boxes[:5]) and short.boxes[4, 0] == 8
    [note] = told
    assert note.startswith("Region 'it' has key frames behind the clip's last frame, 4: 8.")
    many = [{"frame": frame, "box": [0, 0, 8, 8]} for frame in range(4, 40)]
    parse_regions(text({"name": "it", "keyframes": many}, unit="pixel"), 3, SIZE, tell=told.append)
    assert "4, 5, 6, 7, 8, 9, 10, 11 and more." in told[1]


@given(st.integers(0, 9))
def test_interpolation_is_that_of_a_line(frame: int):
    keys = {2: [0.0, 10.0], 5: [30.0, 40.0], 7: [0.0, 0.0]}
    import numpy as np

    expected = [np.interp(frame, list(keys), [shape[i] for shape in keys.values()]) for i in (0, 1)]
    assert interpolate(keys, frame) == pytest.approx(expected)


def test_a_polygon_covers_the_pixels_inside():
    square = [[0.25, 0.25], [0.5, 0.25], [0.5, 0.75], [0.25, 0.75]]
    keys = [
        {"frame": 0, "polygon": square},
        {"frame": 2, "polygon": [[x + 0.5, y] for x, y in square]},
    ]
    regions = parse_regions(text({"name": "it", "keyframes": keys}), 3, SIZE)
    [region] = regions.items
    assert isinstance(region, MaskRegion)
    masks = region.masks
    for frame, left in enumerate((32, 64, 96)):
        expected = torch.zeros(SIZE)
        expected[16:48, left : left + 32] = 1
        assert (masks[frame] != expected).float().mean() < 0.02


@pytest.mark.parametrize(
    ("value", "starts"),
    [
        ("", "There are no regions, the text is empty: write {"),
        ("{'version': 1}", "The regions are not JSON: line 1, column 2 has a mistake (Expecting"),
        ("[" * 100_000, "The regions hold too many brackets inside each other: use fewer."),
        (
            "9" * 5000,
            "The regions hold a number 5000 characters long, and 100 are read: give a shorter one.",
        ),
        (
            "1e999",
            "The regions hold 1e999, which is too large for a number: give a smaller one.",
        ),
        ("[1]", "The text is [1]: write it in braces, as in {"),
        ('{"version": 1}', 'The text has no regions: add it, as in {"version": 1,'),
        (
            '{"version": 1, "version": 1}',
            "The regions hold 'version' twice in one",
        ),
        (text(BOX, version=2), "version is 2: this Evenframe reads version 1"),
        (text(BOX, unit="cm"), "unit is 'cm': use fraction or pixel"),
        (text(BOX, colour=1), "The text has 'colour', which is unknown: use"),
        (text(), "regions is empty: give 1 to 32 regions."),
        (text(5), "regions[0] is 5: write it in braces, as in {"),
        (text({"words": "x", "box": BOX["box"]}), "regions[0] has no name: add it"),
        (text({"name": "it", "words": "jeep"}), "regions[0] has no shape: give one of box"),
        (text(BOX | {"polygon": []}), "regions[0] has box and polygon: give one of"),
        (
            text(BOX | {"box": [0, 0, 1]}),
            "regions[0].box is [0, 0, 1]: give 4 numbers, [left, top, right",
        ),
        (text(BOX | {"box": [0, 0, 1, True]}), "regions[0].box has true: give a number"),
        (text(BOX | {"box": [0, 0, 1, 1e9]}), "regions[0].box has 1000000000.0: give a number"),
        (text(BOX | {"box": [1, 0, 0, 1]}), "The box [1, 0, 0, 1] of regions[0] is reversed"),
        (
            text(BOX | {"box": [1.5, 0, 2, 1]}),
            "The box [1.5, 0, 2, 1] of regions[0] lies outside the frame, 0 to 1: move",
        ),
        (
            text(BOX | {"box": [200, 0, 220, 9]}, unit="pixel"),
            "The box [200, 0, 220, 9] of regions[0] lies outside the frame of 128x64 pixels: move",
        ),
        (
            text({"name": "it", "polygon": [[1.5, 0], [1.75, 0], [1.75, 1]]}),
            "regions[0].polygon lies outside the frame, 0 to 1, with x from 1.5 to 1.75 and y from",
        ),
        (
            text(BOX | {"box": [20, 10, 60, 40]}),
            "regions[0].box has 60, but the unit is the fraction of the frame, 0 to 1: for pixels, "
            'write "unit": "pixel".',
        ),
        (text(BOX | {"box": [0, 0, 64, 64]}), "regions[0].box has 64, but the unit is the fract"),
        (
            text({"name": "it", "polygon": [[0, 0], [1, 0], [1, -30]]}),
            "regions[0].polygon has -30, but the unit is the fraction",
        ),
        (
            text(BOX, unit="pixel"),
            "regions[0].box is [0.25, 0.5, 0.5, 1.0], not more than a pixel: for fractions of the "
            'frame, write "unit": "fraction".',
        ),
        (
            text({"name": "it", "polygon": [[0, 0], [1, 0], [1, 1]]}, unit="pixel"),
            "regions[0].polygon is [[0, 0], [1, 0], [1, 1]], not more than a pixel",
        ),
        (
            text(BOX).replace("0.25", "NaN"),
            "The regions hold NaN, which is no number: give",
        ),
        (
            text(BOX | {"box": ["0.1", 0, 1, 1]}),
            "regions[0].box has the text '0.1': give a number fr",
        ),
        (text(BOX | {"name": "\ud83d"}), "regions[0].name has half a character at its beginning"),
        (text(BOX | {"words": "x" * 1001}), "regions[0].words has 1001 characters: shorten it to"),
        (
            text({"name": "it", "polygon": [[0, 0], [1, 0], [1, 1, 0]]}),
            "regions[0].polygon[2] is [1, 1, 0]: give 2 numbers, [x, y], in square brackets.",
        ),
        (
            text({"name": "it", "polygon": {"x": 1}}),
            "regions[0].polygon is {'x': 1}: give 3 to 1000 points in square brackets.",
        ),
        (
            text({"name": "it", "polygon": [[0, 0], [1, 0], [0.5, 0]]}),
            "The points of regions[0].polygon lie on one line: move one of them off it.",
        ),
        (text(BOX | {"name": 3}), "regions[0].name is 3: give a text in quotation marks."),
        (text(BOX | {"grow": 1.5}), "regions[0].grow is 1.5: give a whole number, 0 or more"),
        (text(BOX | {"grow": 5000}), "grow of region 'left' is 5000: choose 0 to 1024"),
        (
            text({"name": "it", "polygon": [[0, 0], [1, 1]]}),
            "regions[0].polygon has 2 points: give 3 to 1000.",
        ),
        (
            text({"name": "it", "keyframes": [{"frame": 1.5, "box": BOX["box"]}]}),
            "regions[0].keyframes[0].frame is 1.5: give a whole number, 0 or more",
        ),
        (
            text({"name": "it", "keyframes": [{"frame": f, "box": BOX["box"]} for f in (1, 0)]}),
            "regions[0].keyframes[1].frame is 0, but the key frame before it is 1: give them in",
        ),
        (
            text(
                {
                    "name": "it",
                    "keyframes": [
                        {"frame": 0, "box": BOX["box"]},
                        {"frame": 1, "polygon": [[0, 0], [1, 0], [1, 1]]},
                    ],
                }
            ),
            "regions[0].keyframes[1] has polygon: give a box, as for the whole region",
        ),
        (
            text(
                {
                    "name": "it",
                    "keyframes": [
                        {"frame": 0, "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]},
                        {"frame": 1, "polygon": [[0, 0], [1, 0], [1, 1]]},
                    ],
                }
            ),
            "regions[0].keyframes[1].polygon has 3 points, the first key frame's has 4",
        ),
    ],
)
def test_what_is_wrong_with_a_text_is_said(value: str, starts: str):
    assert refused(parse_regions, value, 3, SIZE).startswith(starts)


def test_a_text_may_begin_with_a_byte_order_mark():
    assert len(parse_regions("\ufeff" + text(BOX), 3, SIZE).items) == 1


@pytest.mark.parametrize("label", ["name", "words"])
def test_a_region_has_labels_that_can_be_shown(label: str):
    for make, shape in ((box_region, [(0, 0, 8, 8)]), (mask_region, torch.ones(SIZE))):
        size = (SIZE,) if make is box_region else (1, SIZE)
        labels = {"name": "it", "words": ""}
        message = refused(make, shape, *size, **labels | {label: "left \udc31"})
        assert message.startswith(f"The {label} of a region has half a character after 'left '")
        message = refused(make, shape, *size, **labels | {label: "x" * 1001})
        assert (
            message == f"The {label} of a region has 1001 characters: shorten it to at most 1000."
        )


def test_a_text_that_is_too_long_is_not_read():
    assert refused(parse_regions, " " * 2_000_000, 3, SIZE).startswith("The regions are 2000000")


@given(typed.regions)
def test_any_text_gives_regions_or_says_what_is_wrong(text: str):
    regions = typed.read_or_refused(lambda text: parse_regions(text, 2, (8, 8)), text)
    assert regions is None or regions.frames == 2


def test_each_frame_is_grey_or_hard_for_itself():
    """A window of a clip must have the cells that the whole clip has."""
    masks = torch.zeros(3, *SIZE)
    masks[:, 13:50, 21:70] = 1
    masks[2] = F.avg_pool2d(masks[2][None, None], 15, 1, 7)[0, 0]
    whole = only(mask_region(masks, 3, SIZE, name="it"), 3)
    part = whole.part(range(2)).coverage((8, 16))
    assert torch.equal(whole.coverage((8, 16))[:2], part)
    assert set(part.unique().tolist()) == {0, 1}
