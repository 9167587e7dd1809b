"""The bench of First Frame: its clips, its judgement, its figures."""

import numpy as np
import pytest

from evenframe.benchmarks import first_frame
from evenframe.benchmarks.clips import rendered
from evenframe.benchmarks.first_frame import (
    ARMS,
    FRAMES,
    PROMPTED,
    Outcome,
    assess,
    make_tasks,
    summary,
)
from evenframe.miniature.read_objects import _fit_shape
from evenframe.miniature.vocabulary import HELD_OUT_OBJECTS


def test_one_object_is_recoloured_or_reshaped_by_turns():
    tasks = make_tasks(20)
    assert tasks == make_tasks(20)
    for index, task in enumerate(tasks):
        before, after = task.source.items[task.item], task.target.items[task.item]
        assert task.recoloured == (index % 2 == 0)
        assert (before.colour != after.colour) == task.recoloured
        assert (before.noun != after.noun) != task.recoloured
        assert (after.colour, after.noun) not in HELD_OUT_OBJECTS
        assert [before.centre(f) for f in range(5)] == [after.centre(f) for f in range(5)]


def test_the_rendered_target_has_followed_and_the_source_has_not():
    for task in make_tasks(4):
        source, masks = rendered(task.source, FRAMES)
        target, _ = rendered(task.target, FRAMES)
        first = np.concatenate([target[:1], source[1:]])
        found = [assess(task, source, masks[task.item], f) for f in (target, source, first)]
        assert [sum(outcome.followed) for outcome in found] == [FRAMES, 0, 1]
        assert found[0].background_psnr == pytest.approx(120)


def test_the_summary_counts_clips_that_follow_in_every_frame():
    good, bad = Outcome((True, True), 40, True), Outcome((True, False), 40, False)
    figures = summary({"without": [bad] * 4, "first_frame": [good, good, good, bad]})
    assert figures["sampler.first_frame_share"] == figures["sampler.first_frame_gain"] == 0.75
    assert figures["sampler.first_frame.first_frame.frames"] == 0.875
    assert figures["sampler.first_frame.first_frame.reshaped"] == 0


def test_the_judge_reads_a_speck_as_nothing():
    speck = np.zeros((128, 128), np.float32)
    speck[60, 60] = 1
    assert _fit_shape(speck, "red", turned=False).shape is None


@pytest.mark.slow
def test_the_bench_runs_and_draws_its_sheet(tmp_path):
    figures = first_frame.run(clips=2, steps=2, sheet=tmp_path / "sheet.png")
    arms = {f"sampler.first_frame.{arm}" for arm in (*ARMS, *PROMPTED)}
    assert arms <= set(figures) and "sampler.first_frame_share" in figures
    assert (tmp_path / "sheet.png").stat().st_size > 1000
