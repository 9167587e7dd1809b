"""Noise levels and steps, against the paper's formulas, published values and diffusers."""

import math
from itertools import pairwise

import pytest
import torch
from ddim import alpha, ddim_step, eta_step, noised_again, noisy_latents
from ddim import inverse_step as published_inverse
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from hypothesis import given
from hypothesis import strategies as st

from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.models.flow_schedule import FlowSchedule
from evenframe.pipelines.models.noise_schedule import NoiseSchedule
from evenframe.pipelines.models.schedule import (
    KINDS,
    Level,
    add_noise,
    ancestral_step,
    inverse_step,
    matrix,
    mix,
    move,
    split,
    step,
)
from evenframe.pipelines.models.stable_diffusion import shipped

CONFIG = shipped.config("sd15", "scheduler")
SCHEDULE = NoiseSchedule.from_config(CONFIG)
VELOCITY = NoiseSchedule.from_config(CONFIG | {"prediction_type": "v_prediction"})
NO_SIGNAL = NoiseSchedule.from_config(
    CONFIG | {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
)


def oracle(steps: int, prediction: str = "epsilon", spacing: str = "leading") -> DDIMScheduler:
    settings = {
        "prediction_type": prediction,
        "timestep_spacing": spacing,
        "clip_sample": False,
        "set_alpha_to_one": False,
    }
    scheduler = DDIMScheduler.from_config(CONFIG | settings)
    assert isinstance(scheduler, DDIMScheduler)
    scheduler.set_timesteps(steps)
    return scheduler


TRAILING = NoiseSchedule.from_config(
    CONFIG
    | {
        "prediction_type": "v_prediction",
        "rescale_betas_zero_snr": True,
        "timestep_spacing": "trailing",
    }
)


def levels(schedule: NoiseSchedule, steps: int) -> list[Level]:
    return [schedule.at(time) for time in schedule.times(steps)]


def walked(start: torch.Tensor, out: torch.Tensor, way: list[Level], kind: str) -> torch.Tensor:
    """Along an output that stays the same."""
    for here, there in pairwise(way):
        start = move(start, out, here, there, kind)
    return start


def walk_up(start: torch.Tensor, epsilon: torch.Tensor, steps: int) -> torch.Tensor:
    return walked(start, epsilon, levels(SCHEDULE, steps)[::-1], "epsilon")


def walk_down(start: torch.Tensor, epsilon: torch.Tensor, steps: int) -> torch.Tensor:
    return walked(start, epsilon, levels(SCHEDULE, steps), "epsilon")


def test_the_noise_levels_are_those_of_stable_diffusion():
    assert SCHEDULE.alphas_cumprod.dtype == torch.float64
    assert SCHEDULE.alphas_cumprod[0].item() == pytest.approx(1 - 0.00085, abs=1e-12)
    assert SCHEDULE.alphas_cumprod[999].item() == pytest.approx(0.00466, abs=1e-5)
    clean, noise = SCHEDULE.at(-19).signal, SCHEDULE.at(-19).noise
    assert (clean, noise) == (SCHEDULE.at(0).signal, SCHEDULE.at(0).noise)
    assert clean**2 == pytest.approx(float(SCHEDULE.alphas_cumprod[0]), abs=1e-15)


@pytest.mark.parametrize(
    ("steps", "first", "stride"), [(50, 981, 20), (10, 901, 100), (30, 958, 33), (1, 1, 1000)]
)
def test_the_times_are_evenly_spaced(steps: int, first: int, stride: int):
    times = SCHEDULE.times(steps)
    assert times == (*range(first, 0, -stride), 1 - stride)
    assert len(times) == steps + 1
    assert times[-2] == 1


@given(st.integers(1, 1000))
def test_every_run_reaches_the_noise_and_falls_to_the_clean_end(steps: int):
    (*times, last), even = SCHEDULE.times(steps), 1000 / steps
    gaps = [high - low for high, low in pairwise(times)]
    assert len(times) == steps and last < times[-1]
    assert all(abs(gap - even) < 1 for gap in gaps)
    assert 999 >= times[0] > 999 - 2 * even
    assert times[-1] == (1 if steps < 1000 else 0)
    assert SCHEDULE.at(last).noise == SCHEDULE.at(0).noise


def test_more_steps_than_whole_strides_allow_are_spread_over_all_timesteps():
    assert SCHEDULE.times(600)[:4] == (999, 997, 996, 994)
    assert SCHEDULE.times(400)[:4] == (998, 996, 993, 991)
    assert SCHEDULE.times(1000) == tuple(range(999, -2, -1))


@pytest.mark.parametrize("steps", [1, 7, 10, 20, 30, 50, 250, 333, 500])
def test_the_times_are_those_of_diffusers(steps: int):
    assert list(SCHEDULE.times(steps)[:-1]) == oracle(steps).timesteps.tolist()


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 10, 30, 50, 333, 600, 999, 1000])
def test_trailing_times_are_those_of_diffusers_and_start_from_the_last(steps: int):
    times = TRAILING.times(steps)
    assert list(times[:-1]) == oracle(steps, spacing="trailing").timesteps.tolist()
    assert times[0] == 999 and TRAILING.at(times[0]).signal == 0
    assert TRAILING.at(times[-1]).noise == TRAILING.at(0).noise


def test_the_spacing_of_a_solver_is_none_of_ddims():
    assert NoiseSchedule.from_config(CONFIG | {"timestep_spacing": "linspace"}).times(10)[0] == 901


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_steps_out_of_range_are_refused(steps: int):
    with pytest.raises(EvenframeError, match=f"^steps is {steps}: choose .* from 1 to 1000"):
        SCHEDULE.times(steps)


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


def flow(steps: int) -> list[Level]:
    return [Level(1000 * (1 - k / steps), k / steps, 1 - k / steps) for k in range(steps + 1)]


@pytest.mark.parametrize(
    ("schedule", "kind"),
    [
        (SCHEDULE, "epsilon"),
        (VELOCITY, "v"),
        (NO_SIGNAL, "v"),
        (TRAILING, "v"),
        (SCHEDULE, "clean"),
    ],
    ids=["noise", "v", "zero", "trailing", "clean"],
)
@pytest.mark.parametrize("steps", [1, 2, 10, 50, 333, 600, 1000])
def test_denoising_undoes_inversion_whatever_is_predicted(schedule, kind: str, steps: int):
    """A constant output, so that only the steps themselves are asked."""
    way, generator = levels(schedule, steps), torch.Generator().manual_seed(steps)
    start, output = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)
    latents = walked(start, output, way[::-1], kind)
    assert (latents - start).norm() > 0.01 * start.norm()
    back = walked(latents, output, way, kind)
    assert torch.allclose(back, start, rtol=0, atol=1e-12 * float(1 + latents.abs().max()))


@pytest.mark.parametrize("steps", [1, 4, 50])
def test_a_flow_model_is_walked_by_euler(steps: int):
    start, output = torch.randn(2, 5, generator=torch.Generator().manual_seed(0)).double()
    assert torch.allclose(walked(start, output, flow(steps), "flow"), start - output)
    assert torch.allclose(walked(start, output, flow(steps)[::-1], "flow"), start + output)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
@pytest.mark.parametrize("schedule", [SCHEDULE, VELOCITY, NO_SIGNAL], ids=["noise", "v", "zero"])
def test_an_inverse_step_is_the_published_one(schedule: NoiseSchedule, dtype, tolerance: float):
    z, out = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(1), dtype=dtype)
    for there, here in pairwise(schedule.times(50)):
        low, high = alpha(schedule, here), alpha(schedule, there)
        expected = published_inverse(z, out, low, high, schedule.kind)
        found = inverse_step(z, out, schedule.at(here), schedule.at(there), schedule.kind)
        assert float((found - expected).norm() / expected.norm()) < tolerance


@pytest.mark.parametrize("schedule", [SCHEDULE, VELOCITY], ids=["noise", "v"])
def test_fresh_noise_replaces_the_published_share(schedule: NoiseSchedule):
    z, out, noise = torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(2)).double()
    for eta in (0.3, 1.0):
        for here, there in pairwise(schedule.times(10)):
            levels = schedule.at(here), schedule.at(there)
            expected = eta_step(
                *split(z, out, levels[0], schedule.kind),
                alpha(schedule, here),
                alpha(schedule, there),
                eta,
                noise,
            )
            found = ancestral_step(z, out, *levels, schedule.kind, eta, noise)
            assert torch.allclose(found, expected, atol=1e-12)


def test_noise_is_added_again_as_published():
    z, noise = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(3)).double()
    for there, here in pairwise(SCHEDULE.times(10)):
        expected = noised_again(z, noise, alpha(SCHEDULE, here), alpha(SCHEDULE, there))
        found = add_noise(z, noise, SCHEDULE.at(here), SCHEDULE.at(there))
        assert torch.allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_matrix_tells_clean_and_noise_apart(kind: str):
    """From latents and the output that a perfect model of each kind gives."""
    clean, noise = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(1)).double()
    level = Level(500, 0.4, 0.6) if kind == "flow" else SCHEDULE.at(500)
    out = {
        "epsilon": noise,
        "v": level.signal * noise - level.noise * clean,
        "flow": noise - clean,
        "clean": clean,
    }[kind]
    a, b, c, d = matrix(kind, level)
    z = mix(clean, noise, level)
    assert torch.allclose(a * z + b * out, clean, atol=1e-13)
    assert torch.allclose(c * z + d * out, noise, atol=1e-13)


@pytest.mark.parametrize("kind", ["v", "flow"])
def test_a_step_from_pure_noise_is_the_output_alone(kind: str):
    z, out = torch.randn(2, 4, generator=torch.Generator().manual_seed(4)).double()
    there = Level(1, 0.6, 0.8) if kind == "v" else Level(1, 0.6, 0.4)
    expected = 0.8 * z - 0.6 * out if kind == "v" else z - 0.6 * out
    assert torch.allclose(step(z, out, Level(999, 0, 1), there, kind), expected)


@pytest.mark.parametrize(
    ("kind", "level", "message"),
    [
        ("epsilon", Level(999, 0, 1), "pure noise"),
        ("clean", Level(0, 1, 0), "free of noise"),
        ("v", Level(1, 0.5, 0.5), "no level of a model that predicts v"),
        ("flow", Level(1, 0.6, 0.8), "no level of a flow model"),
        ("score", Level(1, 0.6, 0.8), "predicts 'score' is unknown: use epsilon, v, flow, clean"),
    ],
)
def test_levels_that_a_kind_does_not_have_are_refused(kind: str, level: Level, message: str):
    with pytest.raises(EvenframeError, match=message):
        matrix(kind, level)


def test_a_clean_prediction_cannot_invert_from_no_noise():
    one = torch.ones(1)
    with pytest.raises(EvenframeError, match="cannot be inverted"):
        inverse_step(one, one, Level(0, 1, 0), Level(500, 0.6, 0.8), "clean")


@pytest.mark.parametrize("factors", [(-0.1, 1), (math.nan, 1), (0, 0), (1, math.inf)])
def test_factors_that_make_no_level_are_refused(factors: tuple[float, float]):
    with pytest.raises(EvenframeError, match="^A noise level has signal"):
        Level(1, *factors)


def test_a_step_with_v_turns_by_the_angle_between_the_levels():
    one, half = torch.tensor(1.0, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64)
    high, low = VELOCITY.at(501), VELOCITY.at(481)
    turn = math.acos(high.signal) - math.acos(low.signal)
    higher = inverse_step(one, half, low, high, "v")
    assert higher.item() == pytest.approx((1 + math.sin(turn) * 0.5) / math.cos(turn), abs=1e-12)
    lower = step(one, half, high, low, "v")
    assert lower.item() == pytest.approx(math.cos(turn) - math.sin(turn) * 0.5, abs=1e-12)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(981, 961, 1.061226), (961, 981, 0.945473), (1, -19, 0.994357)],
)
def test_single_steps_have_the_known_values(start: int, end: int, expected: float):
    one, half = torch.tensor(1.0, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64)
    moved = ddim_step(one, half, alpha(SCHEDULE, start), alpha(SCHEDULE, end))
    assert float(move(one, half, SCHEDULE.at(start), SCHEDULE.at(end), "epsilon")) == pytest.approx(
        float(moved), abs=1e-12
    )
    assert moved.item() == pytest.approx(expected, abs=5e-7)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_steps_agree_with_diffusers(prediction: str):
    scheduler = oracle(10, prediction)
    schedule = {"epsilon": SCHEDULE, "v_prediction": VELOCITY}[prediction]
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(2, 4, 8, 8, generator=generator, dtype=torch.float64)
    for here, there in pairwise(levels(schedule, 10)):
        output = torch.randn(latents.shape, generator=generator, dtype=torch.float64)
        expected = scheduler.step(output, int(here.time), latents).prev_sample  # type: ignore[union-attr]
        latents = step(latents, output, here, there, schedule.kind)
        # diffusers holds its noise levels in float32.
        assert torch.allclose(latents, expected, rtol=1e-4, atol=1e-5)


def test_latents_are_mixed_as_the_paper_does():
    clean, noise = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(1)).double()
    expected = noisy_latents(clean, noise, alpha(SCHEDULE, 500))
    assert torch.allclose(mix(clean, noise, SCHEDULE.at(500)), expected, atol=1e-14)


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
    assert NO_SIGNAL.at(999).signal == 0
    assert NO_SIGNAL.at(0) == SCHEDULE.at(0)


def test_betas_that_come_with_the_model_are_used():
    betas = [0.1, 0.2, 0.4]
    schedule = NoiseSchedule.from_config(CONFIG | {"trained_betas": betas})
    assert schedule.alphas_cumprod.tolist() == pytest.approx([0.9, 0.72, 0.432], abs=1e-12)
    assert schedule.times(3) == (2, 1, 0, -1)


def test_linear_betas_are_read_too():
    linear = NoiseSchedule.from_config(CONFIG | {"beta_schedule": "linear"})
    betas = torch.linspace(0.00085, 0.012, 1000, dtype=torch.float64)
    assert torch.allclose(linear.alphas_cumprod, (1 - betas).cumprod(0))
    assert not torch.allclose(linear.alphas_cumprod, SCHEDULE.alphas_cumprod)


@pytest.mark.parametrize("shift", [0.5, 1.0, 3.0, 8.0])
def test_flow_times_are_those_of_the_shift(shift: float):
    schedule = FlowSchedule(shift)
    times = schedule.times(10)
    assert len(times) == 11 and (times[0], times[-1]) == (1000, 0)
    assert all(high > low for high, low in pairwise(times))
    middle = schedule.at(times[5])
    # The shift multiplies the ratio of noise to signal.
    assert middle.noise / middle.signal == pytest.approx(shift)


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_a_flow_schedule_knows_its_own_times(scale: float):
    for tenths in range(1, 131):
        schedule = FlowSchedule(tenths / 10, scale)
        for time in schedule.times(7):
            schedule.at(time)


def test_steps_of_levels_at_either_end_are_told_or_taken():
    z = torch.ones(3)
    noise, clean, low = Level(999, 0, 1), Level(0, 1, 0), Level(1, 0.8, 0.6)
    assert torch.equal(ancestral_step(z, z, clean, low, "v", 0.0, z), step(z, z, clean, low, "v"))
    for call in (
        lambda: ancestral_step(z, z, low, noise, "v", 1.0, z),
        lambda: add_noise(z, z, noise, low),
    ):
        with pytest.raises(EvenframeError, match="^The noise level is pure noise"):
            call()


def test_what_is_no_flow_schedule_is_refused():
    with pytest.raises(EvenframeError, match="^The shift is 0 and the scale 1000.0: choose"):
        FlowSchedule(0)
    with pytest.raises(EvenframeError, match="^The time 1001 is beyond the model's noise levels"):
        FlowSchedule().at(1001)
    with pytest.raises(EvenframeError, match="^steps is 0: choose"):
        FlowSchedule().times(0)
