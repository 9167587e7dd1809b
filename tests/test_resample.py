"""Rectangles of a frame at any size: against a slow reference, and there and back in place."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from evenframe.benchmarks.displacement import displaced
from evenframe.benchmarks.registration import textured, windows
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.video.fit import resize
from evenframe.pipelines.video.resample import Resampler, resample, way_back

Box = tuple[float, float, float, float]


def kernel_at(x: float, kernel: str) -> float:
    if kernel == "triangle":
        return max(0.0, 1 - abs(x))
    if abs(x) >= 3:
        return 0.0
    return (
        1.0
        if x == 0
        else math.sin(math.pi * x) * math.sin(math.pi * x / 3) * 3 / (math.pi * x) ** 2
    )


def reference_axis(
    values: np.ndarray, low: float, high: float, size: int, kernel: str
) -> np.ndarray:
    """Along the first axis of fp64 values, one output element and one tap at a time."""
    step, out = (high - low) / size, []
    wide = max(1.0, step)
    for index in range(size):
        place = low + (index + 0.5) * step
        total, weight = np.zeros(values.shape[1:]), 0.0
        for tap in range(math.floor(place - 3 * wide) - 1, math.ceil(place + 3 * wide) + 2):
            given = kernel_at((tap + 0.5 - place) / wide, kernel)
            total = total + given * values[min(max(tap, 0), len(values) - 1)]
            weight += given
        out.append(total / weight)
    return np.stack(out)


def reference(frame: Tensor, box: Box, size: tuple[int, int], kernel: str) -> np.ndarray:
    rows = reference_axis(frame.double().numpy(), box[1], box[3], size[1], kernel)
    columns = reference_axis(rows.swapaxes(0, 1), box[0], box[2], size[0], kernel)
    return columns.swapaxes(0, 1).clip(0, 1)


BOXES = [
    ((0, 0, 40, 30), (40, 30)),
    ((0, 0, 40, 30), (97, 64)),
    ((0, 0, 40, 30), (17, 9)),
    ((3.25, 4.5, 21.75, 19.125), (48, 40)),
    ((-7.3, -2.1, 44.9, 33.3), (23, 50)),
    ((-60, 5, -50, 6), (8, 8)),
    ((12.2, 3.3, 12.4, 29.0), (16, 3)),
]


@pytest.mark.parametrize("kernel", ["lanczos", "triangle"])
@pytest.mark.parametrize(("box", "size"), BOXES)
def test_like_one_sum_a_pixel(box: Box, size: tuple[int, int], kernel: str) -> None:
    frame = torch.rand(30, 40, 3, generator=torch.Generator().manual_seed(1))
    got = resample(frame, box, size, kernel)
    assert got.shape == (size[1], size[0], 3) and got.dtype == torch.float32
    assert np.abs(got.numpy() - reference(frame, box, size, kernel)).max() < 2e-6


def test_pixels_as_decoded_and_other_channels() -> None:
    noise = torch.Generator().manual_seed(2)
    for dtype, most in ((torch.uint8, 255), (torch.uint16, 65535)):
        frame = torch.randint(0, most + 1, (30, 40, 3), generator=noise).to(dtype)
        floats = resample(frame.float() / most, (1.5, 2, 30, 20.25), (20, 20))
        assert torch.equal(resample(frame, (1.5, 2, 30, 20.25), (20, 20)), floats)
    grey = torch.rand(30, 40, 1, generator=noise)
    got = resample(grey, (1.5, 2, 30, 20.25), (20, 20))
    assert (
        resample(grey.expand(-1, -1, 3), (1.5, 2, 30, 20.25), (20, 20)) - got
    ).abs().max() < 1e-6


def test_a_whole_shift_copies_bits() -> None:
    frame = torch.rand(70, 90, 3)
    assert torch.equal(resample(frame, (0, 0, 90, 70), (90, 70)), frame)
    assert torch.equal(resample(frame, (10, 20, 75, 60), (65, 40)), frame[20:60, 10:75])
    beyond = resample(frame, (-4, -2, 86, 68), (90, 70))  # the edge is repeated, not mirrored
    assert torch.equal(beyond[2:, 4:], frame[:68, :86])
    assert torch.equal(beyond[2:, 0], frame[:68, 0]) and torch.equal(beyond[0, 4:], frame[0, :86])


@pytest.mark.parametrize("size", [(97, 164), (33, 20)])
def test_a_part_is_that_part(size: tuple[int, int]) -> None:
    made = Resampler((70, 50), (2.3, -1.2, 66.6, 49.0), size)
    frame = torch.rand(50, 70, 3)
    whole = made(frame)
    for top, bottom, left, right in ((0, 1, 0, 1), (3, 18, 15, 33), (19, 20, 0, size[0])):
        part = made.part(frame, top, bottom, left, right)
        assert part.shape == (bottom - top, right - left, 3)
        assert (part - whole[top:bottom, left:right]).abs().max() < 1e-6


def test_near_to_what_the_fit_does() -> None:
    frame = textured(160, 120)
    for size in ((96, 64), (320, 256), (200, 80)):
        assert (
            resample(frame, (0, 0, 160, 120), size) - resize(frame[None], size)[0]
        ).abs().max() < 0.03


def test_the_measure_of_places_sees_a_tenth_of_a_pixel() -> None:
    frame = textured(480, 360)
    moved = resample(frame, (0.1, 0, 480.1, 360), (480, 360))
    larger = resample(frame, (0.5, 0.5, 479.5, 359.5), (480, 360))
    assert abs(displaced(frame.numpy(), moved.numpy())[0] - 0.1) < 0.02
    assert abs(displaced(frame.numpy(), larger.numpy())[1] - 1 / 360) < 5e-4


@pytest.mark.parametrize(("box", "size"), windows())
def test_what_is_cut_out_and_put_back_lies_where_it_was(box: Box, size: tuple[int, int]) -> None:
    frame = textured(480, 360)
    edit = resample(frame, box, size)
    back = resample(edit, way_back(box, (480, 360), size), (480, 360))
    left, top = (max(0, math.ceil(edge)) for edge in box[:2])
    right, bottom = min(480, math.floor(box[2])), min(360, math.floor(box[3]))
    inside = np.s_[top:bottom, left:right]
    moved, scaled = displaced(frame.numpy()[inside], back.numpy()[inside])
    assert moved < 0.05 and scaled < 1e-3


def test_boxes_and_sizes_that_cannot_be() -> None:
    frame = torch.rand(30, 40, 3)
    for box in ((3, 0, 3, 9), (0, 9, 4, 2), (0, 0, math.nan, 4), (0, 0, math.inf, 4)):
        with pytest.raises(EvenframeError, match="empty or not finite"):
            resample(frame, box, (8, 8))
    with pytest.raises(EvenframeError, match="size is 0x8"):
        resample(frame, (0, 0, 4, 4), (0, 8))
    made = Resampler((40, 30), (0, 0, 4, 4), (8, 8))
    with pytest.raises(EvenframeError, match=r"give \(30, 40, 3\)"):
        made(frame[1:])
    with pytest.raises(EvenframeError, match="part of it that is not empty"):
        made.part(frame, 0, 9, 0, 8)
