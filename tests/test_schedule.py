"""The DDIM grid and steps, against published values and against diffusers' scheduler."""

from itertools import pairwise

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from hypothesis import given
from hypothesis import strategies as st

from evenframe.pipelines.errors import EvenframeError
from evenframe.pipelines.loading import shipped
from evenframe.pipelines.schedule import (
    NoiseSchedule,
    clean_latents,
    ddim_grid,
    ddim_step,
    epsilon_from,
    noisy_latents,
)

CONFIG = shipped.config("sd15", "scheduler")
SCHEDULE = NoiseSchedule.from_config(CONFIG)


def oracle(steps: int, prediction: str = "epsilon") -> DDIMScheduler:
    settings = {"prediction_type": prediction, "clip_sample": False, "set_alpha_to_one": False}
    scheduler = DDIMScheduler.from_config(CONFIG | settings)
    assert isinstance(scheduler, DDIMScheduler)
    scheduler.set_timesteps(steps)
    return scheduler


def walk_up(start: torch.Tensor, epsilon: torch.Tensor, steps: int) -> torch.Tensor:
    """Inversion with a constant noise prediction."""
    grid = ddim_grid(SCHEDULE, steps)
    for step in reversed(range(steps)):
        alpha = SCHEDULE.alpha(grid.after(step))
        start = ddim_step(start, epsilon, alpha, SCHEDULE.alpha(grid.timesteps[step]))
    return start


def walk_down(start: torch.Tensor, epsilon: torch.Tensor, steps: int) -> torch.Tensor:
    """Denoising with a constant noise prediction."""
    grid = ddim_grid(SCHEDULE, steps)
    for step in range(steps):
        alpha = SCHEDULE.alpha(grid.timesteps[step])
        start = ddim_step(start, epsilon, alpha, SCHEDULE.alpha(grid.after(step)))
    return start


def test_the_noise_levels_are_those_of_stable_diffusion():
    assert SCHEDULE.alphas_cumprod.dtype == torch.float64
    assert SCHEDULE.alphas_cumprod[0].item() == pytest.approx(1 - 0.00085, abs=1e-12)
    assert SCHEDULE.alphas_cumprod[999].item() == pytest.approx(0.00466, abs=1e-5)
    assert SCHEDULE.alpha(-19) == SCHEDULE.alpha(0) == SCHEDULE.alphas_cumprod[0]


@pytest.mark.parametrize(
    ("steps", "first", "stride"), [(50, 981, 20), (10, 901, 100), (30, 958, 33), (1, 1, 1000)]
)
def test_the_grid_is_evenly_spaced(steps: int, first: int, stride: int):
    grid = ddim_grid(SCHEDULE, steps)
    assert grid.timesteps == tuple(range(first, 0, -stride))
    assert len(grid) == steps
    assert grid.timesteps[-1] == 1
    assert grid.after(steps - 1) < 1


@given(st.integers(1, 1000))
def test_every_step_ends_where_the_next_begins(steps: int):
    grid = ddim_grid(SCHEDULE, steps)
    assert len(grid) == steps
    for step in range(steps - 1):
        assert grid.after(step) == grid.timesteps[step + 1]
    assert SCHEDULE.alpha(grid.after(steps - 1)) == SCHEDULE.alpha(0)
    assert all(0 <= timestep <= 999 for timestep in grid.timesteps)


@given(st.integers(1, 1000))
def test_every_grid_reaches_the_noise_and_falls_to_the_clean_end(steps: int):
    timesteps, even = ddim_grid(SCHEDULE, steps).timesteps, 1000 / steps
    gaps = [high - low for high, low in pairwise(timesteps)]
    assert all(abs(gap - even) < 1 for gap in gaps)
    assert timesteps[0] > 999 - 2 * even
    assert timesteps[-1] == (1 if steps < 1000 else 0)


def test_more_steps_than_whole_strides_allow_are_spread_over_all_timesteps():
    assert ddim_grid(SCHEDULE, 600).timesteps[:4] == (999, 997, 996, 994)
    assert ddim_grid(SCHEDULE, 400).timesteps[:4] == (998, 996, 993, 991)
    assert ddim_grid(SCHEDULE, 1000).timesteps == tuple(range(999, -1, -1))


@pytest.mark.parametrize("steps", [1, 7, 10, 20, 30, 50, 250, 333, 500])
def test_the_grid_is_the_one_of_diffusers(steps: int):
    assert list(ddim_grid(SCHEDULE, steps).timesteps) == oracle(steps).timesteps.tolist()


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_steps_out_of_range_are_refused(steps: int):
    with pytest.raises(EvenframeError, match=f"^steps is {steps}: choose .* from 1 to 1000"):
        ddim_grid(SCHEDULE, steps)


@pytest.mark.parametrize(("steps", "expected"), [(50, 0.5734748), (10, 0.6131532)])
def test_inverting_constant_noise_gives_the_known_end(steps: int, expected: float):
    one, half = torch.tensor(1.0, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64)
    end = walk_up(one, half, steps)
    assert end.item() == pytest.approx(expected, abs=5e-8)
    assert walk_down(end, half, steps).item() == pytest.approx(1.0, abs=1e-14)


@given(st.integers(1, 60), st.floats(-3, 3), st.floats(-3, 3))
def test_denoising_undoes_inversion_when_the_prediction_is_the_same(steps, start, epsilon):
    clean = torch.tensor(start, dtype=torch.float64)
    noise = torch.tensor(epsilon, dtype=torch.float64)
    back = walk_down(walk_up(clean, noise, steps), noise, steps)
    assert back.item() == pytest.approx(start, abs=1e-12)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(981, 961, 1.061226), (961, 981, 0.945473), (1, -19, 0.994357)],
)
def test_single_steps_have_the_known_values(start: int, end: int, expected: float):
    one, half = torch.tensor(1.0, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64)
    moved = ddim_step(one, half, SCHEDULE.alpha(start), SCHEDULE.alpha(end))
    assert moved.item() == pytest.approx(expected, abs=5e-7)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_steps_agree_with_diffusers(prediction: str):
    scheduler, grid = oracle(10, prediction), ddim_grid(SCHEDULE, 10)
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(2, 4, 8, 8, generator=generator, dtype=torch.float64)
    for step, timestep in enumerate(grid.timesteps):
        output = torch.randn(latents.shape, generator=generator, dtype=torch.float64)
        expected = scheduler.step(output, timestep, latents).prev_sample  # type: ignore[union-attr]
        alpha = SCHEDULE.alpha(timestep)
        epsilon = epsilon_from(prediction, output, latents, alpha)
        latents = ddim_step(latents, epsilon, alpha, SCHEDULE.alpha(grid.after(step)))
        # diffusers holds its noise levels in float32.
        assert torch.allclose(latents, expected, rtol=1e-4, atol=1e-5)


def test_a_v_prediction_stands_for_the_noise_that_was_added():
    generator = torch.Generator().manual_seed(1)
    clean, noise = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)
    alpha = SCHEDULE.alpha(500)
    noisy = noisy_latents(clean, noise, alpha)
    velocity = alpha.sqrt() * noise - (1 - alpha).sqrt() * clean
    assert torch.allclose(epsilon_from("v_prediction", velocity, noisy, alpha), noise, atol=1e-14)
    assert torch.allclose(clean_latents(noisy, noise, alpha), clean, atol=1e-13)


def test_what_a_model_cannot_do_here_is_said():
    with pytest.raises(EvenframeError, match="^The model's noise schedule 'squaredcos_cap_v2'"):
        NoiseSchedule.from_config(CONFIG | {"beta_schedule": "squaredcos_cap_v2"})
    with pytest.raises(EvenframeError, match="^The model predicts 'sample'"):
        NoiseSchedule.from_config(CONFIG | {"prediction_type": "sample"})


def test_linear_betas_are_read_too():
    linear = NoiseSchedule.from_config(CONFIG | {"beta_schedule": "linear"})
    betas = torch.linspace(0.00085, 0.012, 1000, dtype=torch.float64)
    assert torch.allclose(linear.alphas_cumprod, (1 - betas).cumprod(0))
    assert not torch.allclose(linear.alphas_cumprod, SCHEDULE.alphas_cumprod)
