"""Windows around regions: never too small, never outside, and moving no more than they must."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.pasting.crop_window import ALWAYS, CropWindows, Framing, crop_windows
from evenframe.pipelines.pasting.smooth_path import smooth_within
from evenframe.pipelines.regions.region import box_region, mask_region
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.video import Fitting
from evenframe.pipelines.video.sizes import best_size
from evenframe.pipelines.video.targets import target

WAN = target("Wan 480p").fitting(Fitting())


def slow_path(wanted: np.ndarray, low: np.ndarray, high: np.ndarray, period: float) -> np.ndarray:
    """The same minimum, one point at a time until nothing moves (projected Gauss-Seidel)."""
    count, bends = len(wanted), np.zeros((len(wanted) - 2, len(wanted)))
    for row in range(count - 2):
        bends[row, row : row + 3] = 1, -2, 1
    matrix = np.eye(count) + (period / (2 * math.pi)) ** 4 * bends.T @ bends
    path = wanted.clip(low, high)
    for _ in range(4000):
        before = path.copy()
        for at in range(count):
            rest = matrix[at] @ path - matrix[at, at] * path[at]
            path[at] = np.clip((wanted[at] - rest) / matrix[at, at], low[at], high[at])
        if np.abs(path - before).max() < 1e-10:
            break
    return path


@pytest.mark.parametrize("period", [1, 6, 12])
@pytest.mark.parametrize("room", [0.0, 5.0, 40.0, 1e4])
def test_the_smoothest_path_between_walls(room: float, period: float) -> None:
    draw = np.random.default_rng(4)
    wanted = 600 + 300 * np.sin(np.arange(32) / 5) + draw.normal(0, 15, 32)
    low = wanted - room * draw.uniform(0.5, 1.5, 32)
    high = wanted + room * draw.uniform(0.5, 1.5, 32)
    low[10:14], high[20] = high[10:14], low[20]  # narrow places
    path = smooth_within(wanted, low, high, period)
    assert (path >= low).all() and (path <= high).all()
    assert np.abs(path - slow_path(wanted, low, high, period)).max() < 1e-3


def test_paths_that_need_no_work() -> None:
    still = np.full(50, 70.0)
    assert np.allclose(smooth_within(still, still - 9, still + 9, 24), still, atol=1e-6)
    short = np.array([3.0, 8.0])
    assert (smooth_within(short, short - 1, short + 1, 24) == short).all()
    long = 500 + 200 * np.sin(np.arange(3000) / 30)
    assert np.abs(np.diff(smooth_within(long, long - 50, long + 50, 1000), 2)).max() < 10


def moving_boxes(frames: int, source: tuple[int, int], seed: int) -> torch.Tensor:
    """(f, 4): a shape that runs, shakes and grows, at times beyond the frame or gone."""
    draw = np.random.default_rng(seed)
    wide, high = source
    x = wide * (0.5 + 0.6 * np.sin(np.arange(frames) / draw.uniform(3, 20) + draw.uniform(0, 6)))
    y = high * (0.5 + 0.6 * np.cos(np.arange(frames) / draw.uniform(3, 20)))
    growth = 1 + 0.3 * np.sin(np.arange(frames) / 9)
    sides = draw.uniform(4, 0.4 * min(source), 2)[:, None] * growth
    x, y = (place + draw.normal(0, 3, frames) for place in (x, y))
    boxes = torch.tensor(np.stack([x - sides[0], y - sides[1], x + sides[0], y + sides[1]], 1))
    boxes[torch.tensor(draw.random(frames) < 0.2)] = math.nan
    boxes[frames // 2] = torch.tensor([wide * 0.4, high * 0.4, wide * 0.6, high * 0.6])
    return boxes


def sides_of(windows: CropWindows) -> np.ndarray:
    boxes = np.array(windows.placement.boxes)
    return boxes[:, 2:] - boxes[:, :2]


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    source=st.tuples(st.integers(40, 2000), st.integers(40, 2000)),
    fitting=st.sampled_from(
        [Fitting(), Fitting(max_side=256), WAN, Fitting(width=512, height=512), Fitting(width=320)]
    ),
    moving=st.booleans(),
    smooth=st.sampled_from([0, 6, 48]),
    share=st.sampled_from([0.0, 0.25, 2.0]),
)
def test_no_window_loses_its_region(
    seed: int, source: tuple[int, int], fitting: Fitting, moving: bool, smooth: int, share: float
) -> None:
    boxes = moving_boxes(25, source, seed)
    framing = Framing(share, 8, moving, smooth)
    windows = crop_windows(boxes, source, fitting, framing)
    placement, sides = windows.placement, sides_of(windows)
    assert placement.size == fitting.plan(placement.size).size  # what the editor takes
    assert len(placement.boxes) == (25 if moving else 1)
    assert np.abs(sides - sides[0]).max() < 1e-9
    frame = np.array(source * 2)
    limits = torch.tensor(source * 2)
    inside = torch.minimum(boxes.clamp(min=0), limits).numpy()
    seen = [box for box in inside if (box[2:] > box[:2]).all()]
    margin = framing.around(np.max([box[2:] - box[:2] for box in seen], 0))
    roomy = (sides[0] < np.array(source) - 1e-6).all()
    for index, box in enumerate(inside):
        window = np.array(placement.box(index))
        assert (window[:2] >= -1e-9).all() and (window[2:] <= frame[2:] + 1e-9).all()
        if not (box[2:] > box[:2]).all():
            continue
        assert (window[:2] <= box[:2] + 1e-6).all() and (window[2:] >= box[2:] - 1e-6).all()
        if roomy and not moving:
            kept = margin
        elif roomy:
            kept = min(margin * ALWAYS, float((sides[0] - (box[2:] - box[:2])).min()) / 2)
        else:
            continue
        if (sides[0] >= box[2:] - box[:2] + 2 * margin - 1e-6).all():
            assert (window[:2] <= np.maximum(box[:2] - kept, 0) + 1).all()
            assert (window[2:] >= np.minimum(box[2:] + kept, frame[2:]) - 1).all()


def test_proportions_are_kept_where_the_frame_has_room() -> None:
    box = torch.tensor([[800.0, 300.0, 1000.0, 700.0]])
    for fitting in (WAN, Fitting(width=512, height=512), Fitting(max_side=256), Fitting()):
        windows = crop_windows(box, (1920, 1080), fitting)
        (wide, high), size = sides_of(windows)[0], windows.placement.size
        assert wide / high == pytest.approx(size[0] / size[1])
        assert wide >= 264 and high >= 464 and "proportions" not in str(windows)
    assert crop_windows(box, (1920, 1080), WAN).placement.size == best_size(
        341 / 541, 832 * 480, 16
    )


def test_little_is_not_enlarged_beyond_use() -> None:
    box = torch.tensor([[800.0, 300.0, 830.0, 330.0]])
    windows = crop_windows(box, (1920, 1080), WAN)
    assert windows.placement.size == (624, 624)
    assert sides_of(windows)[0] == pytest.approx((208, 208))  # 3 times, instead of 6.6
    small = crop_windows(box / 10, (100, 100), WAN)  # the frame has no room for more
    assert sides_of(small)[0] == pytest.approx((100, 100))


def test_a_crop_of_its_own_pixels_is_a_copy() -> None:
    box = torch.tensor([[800.3, 300.0, 930.7, 401.0]])
    windows = crop_windows(box, (1920, 1080), Fitting(multiple=8))
    left, top, right, bottom = windows.placement.boxes[0]
    assert (right - left, bottom - top) == windows.placement.size == (200, 168)
    assert left == int(left) and top == int(top) and "pixel by pixel" in str(windows)


def test_windows_at_edges_are_shifted_and_large_ones_limited() -> None:
    corner = crop_windows(torch.tensor([[0.0, 0.0, 90.0, 90.0]]), (640, 480), WAN)
    assert corner.placement.boxes[0][:2] == (0, 0)
    right = crop_windows(torch.tensor([[600.0, 0.0, 640.0, 480.0]]), (640, 480), Fitting())
    assert right.placement.boxes[0][2:] == (640, 480)
    whole = crop_windows(torch.tensor([[-9.0, 0.0, 1920.0, 1080.0]]), (1920, 1080), WAN)
    assert whole.placement.boxes == ((0, 0, 1920, 1080),)
    assert whole.placement.size == (832, 480) and "proportions changed by 2.6%" in str(whole)
    band = crop_windows(torch.tensor([[0.0, 500.0, 1920.0, 600.0]]), (1920, 1080), WAN)
    left, top, right, bottom = band.placement.boxes[0]
    assert (left, right) == (0, 1920) and top < 400 and bottom > 700
    assert 1920 / (bottom - top) == pytest.approx(np.divide(*band.placement.size))


def test_a_moving_window_is_smaller_and_calmer() -> None:
    draw = np.random.default_rng(5)
    x = 300 + 20 * np.arange(60) + draw.normal(0, 6, 60)
    boxes = torch.tensor(np.stack([x, 400 + 0 * x, x + 120, 520 + 0 * x], 1))
    still = crop_windows(boxes, (1920, 1080), Fitting())
    moving = crop_windows(boxes, (1920, 1080), Fitting(), Framing(moving=True))
    assert sides_of(moving)[0][0] < 260 < 1200 < sides_of(still)[0][0]
    assert "larger" not in str(still)  # both have the file's pixels
    for_wan = crop_windows(boxes, (1920, 1080), WAN)
    assert "a moving one would show the regions 4.7 times larger" in str(for_wan)
    path = np.array(moving.placement.boxes)[:, 0]
    shaking, calm = np.diff(x, 2).std(), np.diff(path, 2).std()
    assert calm < shaking / 10 and (np.diff(path) > 0).all()
    rough = crop_windows(boxes, (1920, 1080), Fitting(), Framing(moving=True, smooth=0))
    assert np.diff(np.array(rough.placement.boxes)[:, 0], 2).std() == pytest.approx(
        shaking, rel=0.01
    )


def test_frames_without_a_region() -> None:
    boxes = torch.full((9, 4), math.nan)
    boxes[2], boxes[6] = torch.tensor([10.0, 10, 50, 50]), torch.tensor([210.0, 10, 250, 50])
    windows = crop_windows(boxes, (640, 480), Fitting(), Framing(moving=True, smooth=0))
    lefts = [box[0] for box in windows.placement.boxes]
    assert lefts[0] == lefts[2] and lefts[6] == lefts[8]
    assert np.diff(lefts)[2:6] == pytest.approx((lefts[6] - lefts[2]) / 4)
    assert "7 of 9 frames have no region" in str(windows)
    for nowhere in (torch.full((3, 4), math.nan), torch.tensor([[700.0, 10, 800, 50]])):
        with pytest.raises(EvenframeError, match="No region lies inside the . frame"):
            crop_windows(nowhere, (640, 480), Fitting())


def test_settings_that_cannot_be() -> None:
    with pytest.raises(EvenframeError, match="context is -1: choose a value from 0 to 10"):
        Framing(-1)
    with pytest.raises(EvenframeError, match="least_context is 5000: choose a whole number"):
        Framing(0, 5000)
    with pytest.raises(EvenframeError, match="smooth is 1001"):
        Framing(smooth=1001)


def test_bounds_of_boxes_and_masks() -> None:
    masks = torch.zeros(3, 40, 60)
    masks[0, 5:9, 7:20], masks[2, 39, 59] = 0.1, 1
    mask = mask_region(masks, 3, (40, 60), name="mask")
    found = Regions((mask,), 3, (40, 60)).bounds()
    assert found[0].tolist() == [7, 5, 20, 9] and found[2].tolist() == [59, 39, 60, 40]
    assert found[1].isnan().all()
    box = box_region([(1.5, 6, 9, 30)] * 3, (40, 60), name="box")
    both = Regions((mask, box), 3, (40, 60)).bounds()
    assert both.tolist() == [[1.5, 5, 20, 30], [1.5, 6, 9, 30], [1.5, 6, 60, 40]]


def test_where_proportions_cost_context_both_sides_pay() -> None:
    lefts = np.linspace(0, 1020, 9)
    boxes = torch.tensor(np.stack([lefts, 400 + 0 * lefts, lefts + 900, 600 + 0 * lefts], 1))
    square = Fitting(width=512, height=512)
    windows = crop_windows(boxes, (1920, 1000), square, Framing(1.0, moving=True, smooth=8))
    assert sides_of(windows)[0] == pytest.approx((1000, 1000))
    begins = np.array(windows.placement.boxes)[:, 0]
    assert begins == pytest.approx((lefts - 50).clip(0, 920))


@pytest.mark.parametrize("box", [[200.0, 500, 1000, 520], [900, 100, 920, 500]])
def test_no_window_is_a_strip(box: list[float]) -> None:
    for fitting in (WAN, Fitting(), Fitting(max_side=256)):
        wide, high = sides_of(crop_windows(torch.tensor([box]), (1920, 1080), fitting))[0]
        assert max(wide / high, high / wide) < 2.15
    narrow = crop_windows(torch.tensor([[100.0, 10, 900, 30]]), (1000, 64), WAN)
    assert sides_of(narrow)[0][1] == 64  # the frame is a strip itself
