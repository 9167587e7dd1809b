"""The bench of all methods: its clips, its judgement, its figures."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from evenframe.benchmarks import methods as bench
from evenframe.benchmarks.clips import rendered
from evenframe.miniature.vocabulary import HELD_OUT_OBJECTS
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.comparing.editing import Made, make
from evenframe.pipelines.comparing.methods import METHODS
from evenframe.pipelines.models.families import load

CASES = bench.make_cases(12)


def test_clips_are_seeded_and_of_every_kind():
    assert bench.make_cases(12) == CASES
    assert Counter(case.kind for case in CASES) == dict.fromkeys(bench.ORDER, 4)
    for case in CASES:
        before, after = case.source.items[case.item], case.target.items[case.item]
        changed = {"colour": "colour", "shape": "noun", "person": "presentation"}[case.kind]
        assert getattr(before, changed) != getattr(after, changed)
        assert (after.colour, after.noun) not in HELD_OUT_OBJECTS
        others = [item for at, item in enumerate(case.source.items) if at != case.item]
        assert all(item in case.target.items for item in others)
        mask = np.zeros((1, 128, 128), np.float32)
        task = case.task(mask)
        assert task.words[0] in case.source.prompt and task.new_words[0] in case.target.prompt
        able = {name for name, method in METHODS.items() if not method.lacks(task)}
        assert able == set(METHODS) - (set() if case.kind == "person" else {"fame"})


@pytest.mark.parametrize("case", CASES[:3], ids=lambda case: case.kind)
def test_a_perfect_edit_is_right_and_the_source_is_not(case: bench.Case):
    frames, mask = bench.clip_of(case, 8)
    perfect = rendered(case.target, 8)[0]
    told = bench.assess(case, frames, mask, perfect)
    assert told["right"] == 1 and told["outside_db"] > 60 and told["wobble"] < 0.05
    assert bench.assess(case, frames, mask, frames)["right"] == 0
    shaken = perfect.copy()
    shaken[::2] += 0.05
    assert bench.assess(case, frames, mask, shaken)["flicker"] > told["flicker"] + 0.01


def test_figures_have_intervals_pairs_and_kinds_and_a_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made: list[str] = []

    def make(model, frames, task, method, shared):
        made.append(task.target)
        return Made(frames if method is METHODS["plain"] else frames * 0.5, 2.0)

    monkeypatch.setattr(bench, "make", make)
    monkeypatch.setattr(bench, "load", lambda name: None)
    monkeypatch.setattr(bench, "memory", lambda base, steps: {f"{base.key}plain.peak_mb": 1.0})
    figures = bench.run(scale=0.01, keep=tmp_path, sheet=tmp_path / "sheet.png")
    assert figures["methods.clips"] == 3 and (tmp_path / "sheet.png").is_file()
    assert figures["methods.plain.outside_db"] == 120 and figures["methods.fame.right.n"] == 1
    assert figures["methods.reatco.outside_db.p"] == pytest.approx(0.25)
    assert figures["methods.plain.seconds"] == 2 and "methods.plain.right.p" not in figures
    assert {key for key in figures if ".right.shape.n" in key}
    assert "methods.video.videograin.right" in figures
    assert not [key for key in figures if key.startswith("methods.video.tokenflow")]
    count = len(made)
    again = bench.run(scale=0.01, keep=tmp_path)
    assert len(made) == count and again.keys() == figures.keys()


def test_what_the_video_miniature_is_measured_without_refuses_it():
    model, case = load(bench.VIDEO.name), CASES[0]
    frames, mask = bench.clip_of(case, bench.VIDEO.frames)
    assert bench.VIDEO.without
    for name in bench.VIDEO.without:
        with pytest.raises(EvenframeError, match="Stable Diffusion 1.x or 2.1"):
            task, shared = case.task(mask), bench.VIDEO.shared(1)
            make(model, torch.from_numpy(frames), task, bench.WAYS[name], shared)
