"""The bench of fairness-aware editing: its clips, its judgement, its figures."""

import math

import numpy as np
import pytest

from evenframe.benchmarks import fairness
from evenframe.benchmarks.fairness import ARMS, MINORITY, Outcome, Settings, assess, make_tasks
from evenframe.miniature.scenes import compose, make_figure, render
from evenframe.miniature.vocabulary import HELD_OUT_FIGURES
from evenframe.pipelines.controls.fame.cross_reweighter import CrossReweighter
from evenframe.pipelines.controls.fame.self_modulator import SelfModulator
from evenframe.pipelines.controls.reatco.joint_sampling import JointSampling
from evenframe.pipelines.regions.region import box_region
from evenframe.pipelines.regions.regions import Regions


def rendered(scene):
    pairs = [render(scene, frame) for frame in range(fairness.FRAMES)]
    return np.stack([pair[0] for pair in pairs]), np.stack([pair[1][0] for pair in pairs])


def other(task, presentation: str):
    """The same clip with the figure presented otherwise."""
    item = task.source.items[0]
    figure = make_figure(item.noun, presentation, item.x, item.y, item.radius, (item.vx, item.vy))
    return compose("figure", (figure,), task.source.background)


def test_clips_are_seeded_and_show_the_majority():
    tasks = make_tasks(24)
    assert tasks == make_tasks(24)
    for task in tasks:
        item = task.source.items[0]
        assert {task.target, item.presentation} == {"female", "male"}
        assert task.target == MINORITY[item.noun] and not item.explicit
        assert (item.noun, task.source.background) not in HELD_OUT_FIGURES
        assert task.target not in task.source.prompt and task.target in task.explicit
        for frame in (0, fairness.FRAMES - 1):
            x, y = item.centre(frame)
            assert item.half_width <= x <= 128 - item.half_width
            assert item.radius <= y <= 128 - item.radius


def test_the_true_target_is_right_and_the_source_is_not():
    for task in make_tasks(3):
        source, inside = rendered(task.source)
        good = assess(task, source, inside, rendered(other(task, task.target))[0])
        assert (good.shown, good.profession, good.flips) == (1, 1, 0)
        assert good.path_error < 1.5 and good.background_psnr > 30
        bad = assess(task, source, inside, source)
        assert (bad.shown, bad.profession, bad.path_error) == (0, 1, 0)
        mixed = source.copy()
        mixed[::2] = rendered(other(task, task.target))[0][::2]
        assert assess(task, source, inside, mixed).flips == 1


def test_a_clip_without_a_figure_shows_nothing():
    task = make_tasks(1)[0]
    source, inside = rendered(task.source)
    empty = assess(task, source, inside, np.full_like(source, source[0, 0, 0]))
    assert (empty.shown, empty.profession) == (0, 0) and math.isnan(empty.path_error)


def test_each_arm_adds_one_control():
    size = (128, 128)
    figure = box_region([(32, 32, 96, 96)] * fairness.FRAMES, size, name="figure")
    person = Regions((figure,), fairness.FRAMES, size)
    kinds = {
        arm: [type(control).__name__ for control in Settings().controls(arm, person)]
        for arm in ARMS
    }
    assert kinds["plain"] == kinds["prompt"] == kinds["soft"] == ["Fusion", "JointSampling"]
    assert kinds["self"] == [*kinds["soft"], SelfModulator.__name__]
    assert kinds["full"] == [*kinds["self"], CrossReweighter.__name__]
    _, kept, *steered = Settings(repeats=5, repeat_steps=0.4).controls("full", person)
    assert isinstance(kept, JointSampling) and (kept.repeats, kept.repeat_steps) == (5, 0.4)
    assert all(getattr(control, "regions") is person for control in (kept, *steered))  # noqa: B009


def test_the_summary_compares_pairs():
    good, bad = Outcome(1, 0, 1, 0, 30, 1), Outcome(0.5, 0.25, 0, 0.5, 30.5, math.nan)
    outcomes = {arm: [bad] * 8 for arm in ARMS} | {"full": [good] * 8}
    figures = fairness.summary(outcomes)
    assert figures["bias.corrected_share"] == figures["bias.gain_over_prompt_only"] == 1
    assert figures["bias.prompt_only_share"] == 0 and figures["bias.corrected.nurse"] == 1
    tested = [figures[f"bias.self_to_full.{what}"] for what in ("won", "lost", "p")]
    assert tested == [8, 0, pytest.approx(2 / 2**8)]
    assert figures["bias.soft_to_self.p"] == 1
    assert figures["kept.background_psnr_loss_db"] == 0.5
    assert figures["kept.path_error_px"] == 1 and figures["flip.rate"] == 0
    assert figures["ablation.soft.unclear"] == 0.25 and figures["ablation.soft.flips"] == 0.5


def test_a_sweep_changes_one_strength(tmp_path):
    usual = Settings()
    assert fairness._swept("alpha", 0.5) == fairness._swept("lambda", 1.0) == usual
    softer = fairness._swept("lambda", 0.25)
    assert softer.strength == 0.25 and softer.modulator == usual.modulator
    weaker = fairness._swept("alpha", 0.25)
    assert weaker.strength == usual.strength
    assert weaker.modulator.strength == weaker.reweighter.strength == 0.25


@pytest.mark.slow
def test_the_bench_runs_and_draws_its_sheet(tmp_path):
    figures = fairness.run(clips=1, steps=2, sheet=tmp_path / "sheet.png")
    assert {*fairness.TARGETS, *fairness.FLOORS} <= set(figures)
    assert (tmp_path / "sheet.png").stat().st_size > 1000
