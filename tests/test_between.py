"""The source's latents at levels that a sampler chooses, against a reference by hand."""

from __future__ import annotations

import math

import pytest
import torch

from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.models.flow_schedule import FlowSchedule
from evenframe.pipelines.models.listed_schedule import ListedSchedule
from evenframe.pipelines.models.noise_schedule import NoiseSchedule
from evenframe.pipelines.models.schedule import Level, Schedule
from evenframe.pipelines.source.between import Blurred, Inverted, Trajectory
from evenframe.pipelines.source.inversion import Inversion
from evenframe.pipelines.text.conditioning import Conditioning
from evenframe.pipelines.text.tokens import Tokens

SHAPE = 2, 3, 4, 4
ALPHAS = 1 / (1 + torch.logspace(-1.5, 1.2, 1000, dtype=torch.float64) ** 2)
SCHEDULES = {"flow": FlowSchedule(3.0), "noise": NoiseSchedule(ALPHAS)}
PROMPT = Conditioning(Tokens("", (), (), 1, 0, None), {"tokens": torch.zeros(1, 2)}, "")


def inverted(schedule: Schedule, steps: int = 4, **settings: object) -> Inverted:
    """Latents that have nothing to do with each other from level to level."""
    times = schedule.times(steps)
    random = torch.Generator().manual_seed(0)
    trajectory = torch.randn(steps + 1, *SHAPE, generator=random, dtype=torch.float64)
    inversion = Inversion(trajectory, PROMPT, times, ("own",), "", **settings)  # type: ignore[arg-type]
    levels = inversion.levels(schedule)
    return Inverted(inversion, [*levels[:-1], Level(0, 1, 0)])


def by_hand(source: Inverted, level: Level) -> torch.Tensor:
    """Two equations for the clean number and the noise of each number, one after the other."""
    levels, trajectory = source.levels, source.inversion.trajectory
    ratio = level.noise / level.signal if level.signal else math.inf
    at = len(levels) - 2
    for step in range(len(levels) - 1):
        low = levels[step + 1]
        if ratio > low.noise / low.signal or step == len(levels) - 2:
            at = step
            break
    high, low = levels[at], levels[at + 1]
    first, second = trajectory[len(levels) - 1 - at], trajectory[len(levels) - 2 - at]
    out = torch.empty_like(first)
    for index in range(first.numel()):
        ways = torch.tensor(
            [[high.signal, high.noise], [low.signal, low.noise]], dtype=torch.float64
        )
        known = torch.stack([first.view(-1)[index], second.view(-1)[index]])
        clean, noise = torch.linalg.solve(ways, known)
        out.view(-1)[index] = level.signal * clean + level.noise * noise
    return out


@pytest.mark.parametrize("name", SCHEDULES)
def test_between_two_levels_clean_latents_and_noise_stay(name: str):
    schedule = SCHEDULES[name]
    source = inverted(schedule)
    for time in (950.0, 700.5, 313.0, 40.25, 3.0):
        level = schedule.at(time)
        assert torch.allclose(source.at(level), by_hand(source, level), atol=1e-9), time
        assert torch.equal(source.asked(level), source.at(level))


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("solver", ["ddim", "uni-inv"])
def test_a_level_of_the_inversion_is_what_it_found_there(name: str, solver: str):
    source = inverted(SCHEDULES[name], solver=solver)
    levels, trajectory = source.levels, source.inversion.trajectory
    for step, level in enumerate(levels):
        rounded = Level(level.time, level.signal * (1 + 3e-8), level.noise * (1 - 3e-8))
        assert torch.equal(source.at(rounded), trajectory[len(levels) - 1 - step])
        if step < 4:
            asked = source.inversion.asked(levels, step)
            assert torch.equal(source.asked(rounded), asked)
    assert torch.equal(source.at(levels[-1]), source.clean)


def test_one_noise_for_all_levels():
    clean, noise = torch.ones(SHAPE), torch.full(SHAPE, 2.0)
    source, level = Blurred(clean, noise), Level(500, 0.25, 0.75)
    assert torch.equal(source.at(level), torch.full(SHAPE, 1.75))
    assert source.asked(level).equal(source.at(level)) and source.clean is clean


def test_timesteps_between_two_have_levels_between():
    schedule = SCHEDULES["noise"]
    sigmas = [schedule.at(time).noise / schedule.at(time).signal for time in (10, 10.5, 11)]
    assert sigmas[1] == pytest.approx(math.sqrt(sigmas[0] * sigmas[2]), rel=1e-9)
    with pytest.raises(EvenframeError, match=r"timestep 999\.5 is beyond"):
        schedule.at(999.5)


def test_listed_levels_are_those_of_the_steps_that_are_left():
    levels = [Level(900, 0.1, 0.9), Level(400, 0.6, 0.4), Level(0, 1, 0)]
    schedule = ListedSchedule("flow", levels)
    assert [schedule.at(time) for time in schedule.times(2)] == levels
    assert "0.6" in schedule.identity()
    with pytest.raises(EvenframeError, match="The time 3 is none of these 2 steps"):
        schedule.at(3)


def test_a_trajectory_is_made_level_by_level_as_it_is_asked_for():
    random = torch.Generator().manual_seed(1)
    latents = Blurred(*torch.randn(2, *SHAPE, generator=random))
    schedule = SCHEDULES["flow"]
    levels = [schedule.at(time) for time in schedule.times(4)]
    found = Trajectory(latents, levels)
    stored = torch.stack([latents.clean, *(latents.at(level) for level in levels[-2::-1])])
    assert (found.shape, found.ndim, len(found)) == (stored.shape, 5, 5)
    for at in (*range(-5, 5), (0, slice(1)), (-1, slice(1, None), 2)):
        assert torch.equal(found[at], stored[at]), at
    part = found[:, 1:2]
    assert part.shape == stored[:, 1:2].shape
    assert all(torch.equal(part[at], stored[at, 1:2]) for at in range(5))
    with pytest.raises(IndexError):
        found[5]
