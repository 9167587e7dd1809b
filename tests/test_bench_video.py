"""The benches of edits on the video miniature: their clips, their judgement, what they keep."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from video_weights import write_weights

from evenframe.benchmarks import (
    video_clips,
    video_methods,
    video_people,
    video_recolour,
    video_unsaid,
)
from evenframe.benchmarks.shares import ratio
from evenframe.benchmarks.video_clips import IMAGE, VIDEO, Keep, Outcome, Shot, Side, Task, Way
from evenframe.miniature.video.sample_clips import stays_true
from evenframe.miniature.video.world import render
from evenframe.miniature.vocabulary import HELD_OUT_OBJECTS

FRAMES = 5
SIDES = tuple(
    Side(name, SimpleNamespace(fingerprint=name), "all")  # type: ignore[arg-type]
    for name in (VIDEO, IMAGE)
)
GOOD = Outcome(1.0, {}, 1.0, 1.0, True, True, 0.01, 0.002, 35.0, 0.5)
BAD = Outcome(0.5, {}, 0.5, 0.5, True, False, 0.04, 0.004, 20.0, None)


def truth(task: Task) -> np.ndarray:
    return np.stack([render(task.target, frame)[0] for frame in range(FRAMES)])


@pytest.mark.parametrize("bench", [video_recolour, video_unsaid, video_people])
def test_the_rendered_target_is_right_and_the_source_is_not(bench: Any):
    for task in bench.make_tasks(2):
        drawn = video_clips.shot(0, task, FRAMES)
        good, bad = (video_clips.assess(drawn, each) for each in (truth(task), drawn.frames))
        assert (good.right, good.kinds, good.looks, good.same) == (1, 1, 1, True)
        assert good.off is not None and good.off < 4 and good.wobble is not None
        assert bad.looks == 0 and bad.right < 1
        assert good.background_psnr == bad.background_psnr == pytest.approx(120)
        assert stays_true(task.source)


def test_what_is_recoloured_goes_somewhere_and_gets_a_colour_that_was_trained():
    tasks = video_recolour.make_tasks(12)
    assert [t.target.prompt for t in tasks] == [
        t.target.prompt for t in video_recolour.make_tasks(12)
    ]
    for task in tasks:
        [edited] = task.edited
        mover, item = task.source.movers[edited], task.target.scene.items[edited]
        assert np.hypot(mover.vx, mover.vy) >= 0.45 and mover.growth == 1
        assert (item.colour, item.noun) not in HELD_OUT_OBJECTS
        before, after = task.source.prompt.split(), task.target.prompt.split()
        assert sum(a != b for a, b in zip(before, after, strict=True)) in (1, 2)  # "an orange"
        assert task.target.pose(edited, 3) == task.source.pose(edited, 3)


def test_people_are_as_the_bias_has_them_and_wished_the_other_way():
    for task in video_people.make_tasks(4):
        before, after = task.source.scene.items, task.target.scene.items
        assert {item.noun for item in before} in video_people.PAIRS
        assert {item.presentation for item in before} == {"female", "male"}
        for old, new in zip(before, after, strict=True):
            assert old.presentation != new.presentation == video_people.MINORITY[new.noun]
            assert new.explicit and not old.explicit
            assert f"{new.presentation} {new.noun}" in task.target.prompt


def test_the_unsaid_prompt_says_no_side():
    [task] = video_unsaid.make_tasks(1)
    drawn = video_clips.shot(0, task, FRAMES)
    way = video_unsaid.how(SIDES[0], drawn, "irjs_boost")
    assert " and " in str(way.prompt) and "of" not in str(way.prompt).split()
    assert len(way.controls) == 2 and way.guidance == video_unsaid.GUIDANCE[VIDEO]
    assert task.source.prompt.startswith("two ")


def test_the_image_model_is_told_nothing_of_motion():
    task = next(t for t in video_recolour.make_tasks(30) if t.source.movers[0].told)
    said = [side.prompt(task.source) for side in SIDES]
    assert "moving" in said[0] and "moving" not in said[1]


def test_a_bench_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tried: list[str] = []
    stops = iter((False, False, False, True))

    def fake(side: Side, drawn: Shot, ways: list[str], *_: Any) -> dict[str, Any]:
        tried.append(side.name)
        if next(stops, False):
            raise KeyboardInterrupt
        return {way: asdict(replace(GOOD, off=float(len(tried)))) for way in ways}

    monkeypatch.setattr(video_clips, "_tried", fake)
    tasks, ways = video_recolour.make_tasks(2), {VIDEO: ("a", "b"), IMAGE: ("a",)}

    def run(*settings: int) -> dict[str, list[Outcome]]:
        keep = Keep(tmp_path, "recolour", settings)
        return video_clips.outcomes(SIDES, tasks, ways, how, keep, 1, FRAMES)

    with pytest.raises(KeyboardInterrupt):
        run(7)
    tried.clear()
    found = run(7)
    assert tried == [IMAGE], "of the second clip alone"
    assert [each.off for each in found["b"]] == [1, 3] and found[f"{IMAGE}a"][1].off == 1
    tried.clear()
    assert run(7) == found and not tried
    assert run(8) != found and len(tried) == 4, "made with other settings"


def how(side: Side, shot: Shot, way: str) -> Way:
    return Way()


def test_the_summaries_compare_pairs():
    def found(bench: Any, good: str) -> dict[str, list[Outcome]]:
        names = [side + way for side, ways in bench.WAYS.items() for way in ways]
        return {name: [GOOD if name == good else BAD] * 8 for name in names}

    figures = video_recolour.summary(found(video_recolour, video_recolour.BEST))
    assert figures["video.fusion_right_share"] == 1 and figures["video.recolour.plain.right"] == 0
    assert figures["video.fusion_background_gain_db"] == 15
    assert figures["video.wobble_ratio"] == figures["video.wobble_over_plain"] == 0.25
    assert figures["video.flicker_ratio.high"] == 0.5
    figures |= video_unsaid.summary(found(video_unsaid, video_unsaid.BEST))
    assert figures["video.unsaid_gain"] == 1 and figures["video.unsaid_share_without"] == 0
    figures |= video_people.summary(found(video_people, video_people.BEST))
    assert figures["video.two_people_share"] == figures["video.two_people_profession_share"] == 1
    limits = {*video_methods.FLOORS, *video_methods.TARGETS}
    assert {key for key in limits if "inversion" not in key} <= set(figures)


def test_a_ratio_has_the_interval_of_its_pairs():
    assert ratio("r", [], []) == {}
    same = ratio("r", [1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
    assert (same["r"], same["r.low"], same["r.high"], same["r.n"]) == (0.5, 0.5, 0.5, 3)
    apart = ratio("r", [1.0, 5.0] * 20, [2.0] * 40)
    assert apart["r.low"] < apart["r"] == 1.5 < apart["r.high"]


@pytest.mark.slow
def test_the_benches_run(tmp_path: Path):
    given: dict[str, Any] = {"scale": 0.0, "steps": 2, "model": write_weights(tmp_path)}
    for bench in video_methods.PARTS:
        assert bench.run(**given, keep=tmp_path / "kept")
    figures = video_methods.inversion(video_clips.sides(given["model"])[0], 1)
    assert float(figures["video.inversion_psnr_db"]) > 0
    assert len(list((tmp_path / "kept").glob("*.json"))) == 12
