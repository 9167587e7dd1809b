"""The DDIM grid and steps, against published values and against diffusers' scheduler."""

import math
from itertools import pairwise

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from hypothesis import given
from hypothesis import strategies as st

from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.models.schedule import NoiseSchedule, ddim_grid, ddim_step, noisy_latents
from evenframe.pipelines.models.stable_diffusion import shipped

CONFIG = shipped.config("sd15", "scheduler")
SCHEDULE = NoiseSchedule.from_config(CONFIG)
VELOCITY = NoiseSchedule.from_config(CONFIG | {"prediction_type": "v_prediction"})
NO_SIGNAL = NoiseSchedule.from_config(
    CONFIG | {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
)


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


@pytest.mark.parametrize("schedule", [SCHEDULE, VELOCITY, NO_SIGNAL], ids=["noise", "v", "zero"])
@pytest.mark.parametrize("steps", [1, 2, 10, 50, 333, 600, 1000])
def test_denoising_undoes_inversion_whatever_is_predicted(schedule: NoiseSchedule, steps: int):
    """A constant output, so that only the steps themselves are asked."""
    grid, generator = ddim_grid(schedule, steps), torch.Generator().manual_seed(steps)
    start, output = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)
    latents = start
    for step in reversed(range(steps)):
        timestep = grid.timesteps[step]
        latents = schedule.inverse_step(latents, output, grid.after(step), timestep)
    assert (latents - start).norm() > 0.01 * start.norm()
    for step, timestep in enumerate(grid.timesteps):
        clean, noise = schedule.split(latents, output, timestep)
        latents = schedule.mix(clean, noise, grid.after(step))
    assert torch.allclose(latents, start, rtol=0, atol=1e-12)


def test_a_step_with_v_turns_by_the_angle_between_the_levels():
    one, half = torch.tensor(1.0, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64)
    angles = [math.acos(float(VELOCITY.alpha(timestep)) ** 0.5) for timestep in (501, 481)]
    turn = angles[0] - angles[1]
    higher = VELOCITY.inverse_step(one, half, 481, 501)
    assert higher.item() == pytest.approx((1 + math.sin(turn) * 0.5) / math.cos(turn), abs=1e-12)
    lower = VELOCITY.mix(*VELOCITY.split(one, half, 501), 481)
    assert lower.item() == pytest.approx(math.cos(turn) - math.sin(turn) * 0.5, abs=1e-12)


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
    schedule = {"epsilon": SCHEDULE, "v_prediction": VELOCITY}[prediction]
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(2, 4, 8, 8, generator=generator, dtype=torch.float64)
    for step, timestep in enumerate(grid.timesteps):
        output = torch.randn(latents.shape, generator=generator, dtype=torch.float64)
        expected = scheduler.step(output, timestep, latents).prev_sample  # type: ignore[union-attr]
        latents = schedule.mix(*schedule.split(latents, output, timestep), grid.after(step))
        # diffusers holds its noise levels in float32.
        assert torch.allclose(latents, expected, rtol=1e-4, atol=1e-5)


def test_latents_are_split_into_what_they_were_mixed_from():
    generator = torch.Generator().manual_seed(1)
    clean, noise = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)
    alpha = SCHEDULE.alpha(500)
    noisy = noisy_latents(clean, noise, alpha)
    velocity = alpha.sqrt() * noise - (1 - alpha).sqrt() * clean
    for schedule, output in ((SCHEDULE, noise), (VELOCITY, velocity)):
        assert torch.allclose(schedule.mix(clean, noise, 500), noisy, atol=1e-14)
        found_clean, found_noise = schedule.split(noisy, output, 500)
        assert torch.allclose(found_clean, clean, atol=1e-13)
        assert torch.allclose(found_noise, noise, atol=1e-14)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("beta_schedule", "squaredcos_cap_v2", "noise schedule 'squaredcos_cap_v2'"),
        ("prediction_type", "sample", "model predicts 'sample'"),
        ("rescale_betas_zero_snr", True, "noise schedule ends in pure noise"),
    ],
)
def test_what_a_model_cannot_do_here_is_said(key: str, value: object, message: str):
    with pytest.raises(EvenframeError) as caught:
        NoiseSchedule.from_config(CONFIG | {key: value})
    first = str(caught.value).splitlines()[0]
    assert message in first and f"'{key}' of its scheduler_config.json" in first


def test_a_schedule_that_ends_in_pure_noise_is_the_one_of_diffusers():
    from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr

    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    expected = (1 - rescale_zero_terminal_snr(betas)).cumprod(0)  # type: ignore[arg-type]
    assert torch.allclose(NO_SIGNAL.alphas_cumprod, expected, rtol=1e-9, atol=1e-15)
    assert NO_SIGNAL.alpha(999) == 0
    assert NO_SIGNAL.alpha(0) == SCHEDULE.alpha(0)


def test_betas_that_come_with_the_model_are_used():
    betas = [0.1, 0.2, 0.4]
    schedule = NoiseSchedule.from_config(CONFIG | {"trained_betas": betas})
    assert schedule.alphas_cumprod.tolist() == pytest.approx([0.9, 0.72, 0.432], abs=1e-12)
    assert ddim_grid(schedule, 3).timesteps == (2, 1, 0)


def test_linear_betas_are_read_too():
    linear = NoiseSchedule.from_config(CONFIG | {"beta_schedule": "linear"})
    betas = torch.linspace(0.00085, 0.012, 1000, dtype=torch.float64)
    assert torch.allclose(linear.alphas_cumprod, (1 - betas).cumprod(0))
    assert not torch.allclose(linear.alphas_cumprod, SCHEDULE.alphas_cumprod)
