"""The method bench of FateZero: its clips, its judgement, its figures."""

import numpy as np
import pytest

from evenframe.benchmarks import fusion
from evenframe.benchmarks.fusion import ARMS, Outcome, assess, make_tasks, summary
from evenframe.miniature.scenes import render
from evenframe.miniature.vocabulary import HELD_OUT_OBJECTS


def rendered(scene, item):
    pairs = [render(scene, frame) for frame in range(fusion.FRAMES)]
    return np.stack([p[0] for p in pairs]), np.stack([p[1][item] for p in pairs])


def test_tasks_change_one_word_to_a_trained_combination():
    tasks = make_tasks(20)
    assert tasks == make_tasks(20)
    for task in tasks:
        before, after = task.source.prompt.split(), task.target.prompt.split()
        changed = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
        item = task.target.items[task.item]
        assert item.colour in [new for _, new in changed]
        assert len([p for p in changed if p[0] not in ("a", "an")]) == 1
        assert (item.colour, item.noun) not in HELD_OUT_OBJECTS


def test_the_rendered_target_is_right_and_the_source_is_not():
    for task in make_tasks(4):
        source, inside = rendered(task.source, task.item)
        target, _ = rendered(task.target, task.item)
        good, bad = (assess(task, source, inside, frames) for frames in (target, source))
        assert (good.right, good.placed) == (1, 1) and bad.right == 0
        assert good.background_psnr == bad.background_psnr == pytest.approx(120)


def test_a_moved_object_is_not_in_place():
    task = make_tasks(1)[0]
    source, inside = rendered(task.source, task.item)
    target, _ = rendered(task.target, task.item)
    assert assess(task, source, inside, np.roll(target, 12, axis=2)).placed < 1


def test_the_summary_compares_pairs():
    good, bad = Outcome(1, 1, 35, 0.01), Outcome(0.5, 1, 20, 0.1)
    outcomes = {arm: [bad] * 8 for arm in ARMS} | {"latents": [good] * 8}
    figures = summary(outcomes)
    assert figures["fusion.right_share"] == 1 and figures["fusion.plain.right"] == 0
    assert figures["fusion.background_gain_db"] == 15
    assert figures["fusion.right_gain_p"] == pytest.approx(2 / 2**8)


@pytest.mark.slow
def test_the_bench_runs_and_draws_its_sheet(tmp_path):
    figures = fusion.run(clips=1, steps=2, sheet=tmp_path / "sheet.png")
    assert {f"fusion.{arm}.right" for arm in ARMS} <= set(figures)
    assert (tmp_path / "sheet.png").stat().st_size > 1000
