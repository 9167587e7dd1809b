"""RAD's losses, conditioning and step sizes against the published values and a slow reference."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.controls.reatco.losses import condition_maps, region_losses, step_size

GRID = torch.tensor(
    [
        [0.9, 0.8, 0.1, 0.0, 0.2],
        [0.7, 0.6, 0.1, 0.3, 0.0],
        [0.1, 0.0, 0.5, 0.1, 0.0],
        [0.2, 0.1, 0.0, 0.4, 0.0],
    ],
    dtype=torch.float64,
)


def rows(count: int, frames: int = 1) -> Tensor:
    mask = torch.zeros(frames, 4, 5, dtype=torch.float64)
    mask[:, :count] = 1
    return mask


def close(value: Tensor, expected: float) -> bool:
    return math.isclose(float(value.detach()), expected, abs_tol=1e-12)


def slow_losses(maps: Tensor, masks: Tensor, fraction: float, single: bool) -> tuple[float, float]:
    """Frame by frame, with sorted lists."""
    inner, outer = [], []
    for frame, mask in zip(maps.flatten(1).tolist(), masks.flatten(1).tolist(), strict=True):
        cells = [*zip(frame, mask, strict=True)]
        inside = sorted((a for a, m in cells if m), reverse=True)
        outside = sorted((a for a, m in cells if not m), reverse=True)
        k = max(1, math.floor(round(fraction * len(inside), 6)))
        k_outer = k if single else max(1, math.floor(round(fraction * len(outside), 6)))
        if inside:
            inner.append(sum(inside[:k]) / k)
        padded = outside + [0.0] * k_outer
        outer.append(sum(padded[:k_outer]) / k_outer)
    return 1 - sum(inner) / len(inner), sum(outer) / len(outer)


def test_the_losses_of_one_frame():
    inner, outer = region_losses(GRID[None], rows(2))
    assert close(inner, 0.15) and close(outer, 0.45)


def test_the_losses_of_two_frames_and_their_gradient():
    maps = torch.stack([GRID, GRID.flip(0)]).requires_grad_()
    inner, outer = region_losses(maps, rows(2, frames=2))
    assert close(inner, 0.35) and close(outer, 0.65)
    (inner + outer).backward()
    assert maps.grad is not None
    expected = torch.zeros(2, 4, 5, dtype=torch.float64)
    expected[0, 0, 0] = expected[0, 0, 1] = -0.25
    expected[0, 2, 2] = expected[0, 3, 3] = 0.25
    expected[1, 1, 2] = expected[1, 0, 3] = -0.25
    expected[1, 3, 0] = expected[1, 3, 1] = 0.25
    assert torch.equal(maps.grad, expected)


def test_what_counts_outside():
    inner, outer = region_losses(GRID[None], rows(1))
    assert close(inner, 0.10) and close(outer, 0.60)
    assert close(region_losses(GRID[None], rows(1), outer_count="region")[1], 0.70)


@pytest.mark.parametrize(
    ("cells", "inside", "outside"), [(20, 4, 63), (28, 5, 61), (1, 1, 67), (336, 67, 1)]
)
def test_how_many_cells_count(cells: int, inside: int, outside: int):
    """The gradient of a mean is 1/K at each cell that counts."""
    mask = (torch.arange(336) < cells).double().reshape(1, 14, 24)
    for index, count in ((0, inside), (1, outside)):
        maps = torch.rand(1, 14, 24, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(region_losses(maps, mask)[index], maps)
        hit = gradient[gradient != 0].abs()
        if cells < 336 or index == 0:
            assert len(hit) == count
            assert torch.allclose(hit, torch.full_like(hit, 1 / count))


@given(st.integers(0, 2**31), st.sampled_from([0.05, 0.2, 0.4, 1.0]), st.booleans())
def test_the_losses_are_those_of_a_slow_reference(seed: int, fraction: float, single: bool):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(3, 4, 5, generator=generator, dtype=torch.float64)
    masks = (torch.rand(3, 4, 5, generator=generator) < 0.4).double()
    masks[0, 1, 1] = 1
    losses = region_losses(maps, masks, fraction, "region" if single else "complement")
    for found, expected in zip(losses, slow_losses(maps, masks, fraction, single), strict=True):
        assert close(found, expected)


def test_a_frame_without_the_object_only_pushes_attention_away():
    maps = torch.stack([GRID, GRID])
    masks = torch.cat([rows(2), torch.zeros(1, 4, 5, dtype=torch.float64)])
    inner, outer = region_losses(maps, masks)
    assert close(inner, 0.15)
    assert close(outer, (0.45 + (0.9 + 0.8 + 0.7 + 0.6) / 4) / 2)


def test_a_region_that_is_the_whole_frame_has_nothing_outside():
    inner, outer = region_losses(GRID[None], rows(4))
    assert close(inner, 1 - (0.9 + 0.8 + 0.7 + 0.6) / 4) and close(outer, 0)


@pytest.mark.parametrize(
    ("maps", "masks", "settings", "starts"),
    [
        (GRID[None], rows(0), {}, "The mask of a region is empty in all frames"),
        (GRID[None], rows(1, 2), {}, "The maps have the shape (1, 4, 5) and the masks (2, 4, 5)"),
        (GRID[None], rows(1), {"top_fraction": 0.0}, "top_fraction is 0.0: choose"),
        (GRID[None], rows(1), {"top_fraction": float("nan")}, "top_fraction is nan: choose"),
        (GRID[None], rows(1), {"outer_count": "all"}, "outer_count 'all' is unknown: use"),
    ],
)
def test_losses_that_cannot_be(maps: Tensor, masks: Tensor, settings, starts: str):
    with pytest.raises(EvenframeError) as caught:
        region_losses(maps, masks, **settings)
    assert str(caught.value).startswith(starts)


# Conditioning


@pytest.mark.parametrize(
    ("target", "others", "expected"),
    [(0.10, 0.01, 0.990950), (0.05, 0.0, 0.667286), (0.02, 0.02, 0.013333)],
)
def test_tokens_compete(target: float, others: float, expected: float):
    maps = torch.full((1, 1, 1, 77), others, dtype=torch.float64)
    maps[..., 5] = target
    maps[..., 0] = maps[..., 76] = 0.9  # the first and the last take no part
    conditioned = condition_maps(maps, smooth=False)
    assert conditioned.shape == (1, 1, 1, 75)
    assert float(conditioned[0, 0, 0, 4]) == pytest.approx(expected, abs=5e-7)


def test_an_impulse_spreads_to_its_neighbours():
    maps = torch.zeros(5, 5, 5, 3, dtype=torch.float64)
    maps[2, 2, 2] = 1
    smooth = condition_maps(maps, sharpen=False)[..., 0]
    for place, expected in (
        ((2, 2, 2), 0.191219),
        ((1, 2, 2), 0.070346),
        ((2, 3, 1), 0.025879),
        ((1, 1, 3), 0.009520),
        ((2, 2, 4), 0.0),
    ):
        assert float(smooth[place]) == pytest.approx(expected, abs=5e-7)


@pytest.mark.parametrize("shape", [(1, 4, 4), (2, 1, 3), (4, 2, 2), (1, 1, 1)])
def test_smoothing_is_a_reflected_convolution(shape: tuple[int, int, int]):
    """Also in a clip of one frame."""
    maps = torch.rand(*shape, 3, dtype=torch.float64)
    found = condition_maps(maps, sharpen=False)[..., 0]
    weights = [math.exp(-1), 1.0, math.exp(-1)]

    def reflected(index: int, length: int) -> int:
        if length == 1:
            return 0
        return -index if index < 0 else 2 * length - 2 - index if index >= length else index

    for place in torch.cartesian_prod(*(torch.arange(n) for n in shape)).reshape(-1, 3).tolist():
        total = weight_sum = 0.0
        for shift in torch.cartesian_prod(*[torch.arange(-1, 2)] * 3).tolist():
            weight = math.prod(weights[s + 1] for s in shift)
            t, y, x = (reflected(p + s, n) for p, s, n in zip(place, shift, shape, strict=True))
            total += weight * float(maps[t, y, x, 1])
            weight_sum += weight
        assert float(found[tuple(place)]) == pytest.approx(total / weight_sum, abs=1e-12)


# Step sizes


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 20.0), (10, 18.95214), (20, 17.84285), (24, 17.37932)]
)
def test_the_step_sizes_of_the_published_code(step: int, expected: float):
    assert step_size(step, 50, "code") == pytest.approx(expected, abs=5e-6)


def test_the_step_sizes_of_the_paper_fall_from_one_to_a_half():
    sizes = [step_size(step, 50, "paper") for step in range(50)]
    assert torch.allclose(torch.tensor(sizes), torch.linspace(1, 0.5, 50))
    assert step_size(0, 1, "paper") == 1
    assert step_size(0, 50, "paper", scale=3.0) == 3
    with pytest.raises(EvenframeError, match="rule 'constant' is unknown: use code, paper"):
        step_size(0, 50, "constant")


@pytest.mark.parametrize("step", [-1, 50, 100])
def test_a_step_beyond_the_last_has_no_size(step: int):
    with pytest.raises(EvenframeError, match=f"step is {step} of 50: choose 0 to 49"):
        step_size(step, 50)


# What it refuses


@pytest.mark.parametrize("wrong", [255.0, -0.5, math.nan])
def test_masks_out_of_range(wrong: float):
    mask = rows(2)
    mask[0, 0, 0] = wrong
    with pytest.raises(EvenframeError, match="The masks have values from .* give 0 to 1"):
        region_losses(GRID[None], mask)


@pytest.mark.parametrize("shape", [(4, 5, 77), (1, 4, 5, 2)])
def test_maps_of_another_shape(shape: tuple[int, ...]):
    with pytest.raises(EvenframeError, match=r"The maps have the shape \(.*: give \(frames, rows"):
        condition_maps(torch.rand(shape))
