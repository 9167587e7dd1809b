"""The open FairVE: its data, its protocol, its formula, its judgement."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from evenframe import miniature
from evenframe.benchmarks import fairve
from evenframe.benchmarks.clips import rendered
from evenframe.benchmarks.fairve import ARMS, HARD, Result, Seen, judged, summary
from evenframe.benchmarks.fairve_cases import make_cases, read_data, write_table
from evenframe.cli import bench
from evenframe.cli.clips_table import KNOWN, NEEDED
from evenframe.miniature.vocabulary import FEMALE_SHARE, HELD_OUT_FIGURES
from evenframe.pipelines.fairness.gate import require_adult
from evenframe.pipelines.measure.bias_correction import bias_correction
from evenframe.pipelines.models.families import load

CASES = make_cases()


def test_bias_correction_is_how_far_shares_have_come():
    half = {"doctor": 0.5, "nurse": 0.5}
    before = {"doctor": 0.1, "nurse": 0.9}
    assert bias_correction(before, half, half) == 100
    assert bias_correction(before, before, half) == pytest.approx(0)
    assert bias_correction(before, {"doctor": 0.3, "nurse": 0.5}, half) == pytest.approx(75)
    worse = {"doctor": 0.0, "nurse": 0.5}
    assert bias_correction(before, worse, half) == pytest.approx(50), "clipped at 0"
    assert bias_correction(before, {"doctor": 0.9, "nurse": 0.5}, half) == pytest.approx(50)
    assert bias_correction(half, half, half) == 100


def test_cases_are_seeded_and_hold_what_the_data_says():
    assert make_cases() == CASES
    groups = Counter(case.group for case in CASES)
    assert groups == {group["name"]: group["clips"] for group in read_data()["group"]}
    assert set(HARD) < set(groups)
    for case in CASES:
        for item in case.source.items:
            assert (item.noun, case.source.background) not in HELD_OUT_FIGURES
            assert all(item.box(at).is_inside(0) for at in (0, fairve.FRAMES - 1)), case
        nouns = [item.noun for item in case.source.items]
        assert len(set(nouns)) == len(nouns), "a word stands for one person"
    assert {len(case.source.items) for case in CASES} == {1, 2}
    assert len(make_cases(scale=0.01)) == len(groups), "one of each at least"


def test_sources_have_the_models_skew_and_what_is_asked_the_target():
    edited = [
        (item, asked)
        for case in CASES
        for item, asked in zip(case.source.items, case.asked, strict=True)
        if case.group != "neutral"
    ]
    for noun in read_data()["world"]["skewed"]:
        shown = [item.presentation == "female" for item, _ in edited if item.noun == noun]
        asked = [each == "female" for item, each in edited if item.noun == noun and each]
        assert np.mean(shown) == pytest.approx(FEMALE_SHARE[noun], abs=0.51 / len(shown))
        assert np.mean(asked) == pytest.approx(0.5, abs=0.51 / len(asked))
    for case in CASES:
        if case.group == "neutral":
            assert case.ideal == case.source and case.explicit != case.source.prompt
        assert all(each.attribute in case.explicit for each in case.wishes)
        assert not any(word in case.source.prompt.split() for word in ("female", "male"))


def test_a_perfect_edit_is_right_and_leaves_the_others():
    case = next(c for c in CASES if c.group == "two" and c.ideal != c.source)
    frames, masks = rendered(case.source, 2)
    perfect = judged(case, frames, masks, rendered(case.ideal, 2)[0])
    assert perfect.right and perfect.background_psnr > 60
    source = judged(case, frames, masks, frames)
    assert not source.right
    assert perfect.figures[1] == source.figures[1] and perfect.figures[1].asked is None
    empty = judged(case, frames, masks, np.full_like(frames, frames[0, 0, 0]))
    assert empty.figures[0].share(None) == 1 and not empty.right


def test_controls_know_who_is_asked_for():
    case = next(c for c in CASES if c.group == "two")
    _, masks = rendered(case.source, 2)
    for arm, kinds in (("soft", []), ("self", ["SelfModulator"]), ("cross", ["CrossReweighter"])):
        _, kept, *own = fairve.controls(case, masks, arm)
        assert [type(one).__name__ for one in own] == kinds
        assert len(getattr(kept, "regions").items) == 1  # noqa: B009
    *_, modulator, reweighter = fairve.controls(case, masks, "full")
    assert len(getattr(modulator, "regions").items) == 2  # noqa: B009
    assert len(getattr(reweighter, "regions").items) == 1  # noqa: B009


def test_figures_tell_gains_by_pairs_and_what_else_was_changed():
    def clip(group: str, shown: str, other: str = "male") -> Result:
        asked = Seen("doctor", "female", (shown, shown), ("doctor",) * 2)
        left = Seen("nurse", None, (other, other), ("nurse",) * 2)
        return Result(group, (asked, left), 30.0)

    before = [clip("two", "male"), clip("one", "male")]
    found = {arm: [clip("two", "female"), clip("one", "female")] for arm in ARMS}
    found["soft"] = [clip("two", "male"), clip("one", "female", "female")]
    figures = summary({"source": before, **found})
    assert figures["fairve.full.right"] == 1 and figures["fairve.soft.right"] == 0.5
    assert figures["fairve.soft_to_self.hard.won"] == 1
    assert figures["fairve.soft_to_self.all.lost"] == 0
    assert figures["fairve.soft.others_kept"] == 0.5 and figures["fairve.full.others_kept"] == 1
    assert figures["fairve.soft.bias_correction"] == 100
    assert figures["fairve.full.bias_correction"] == 0


def test_nobody_is_corrected_by_being_made_unreadable():
    def clip(noun: str, shown: str | None) -> Result:
        return Result("one", (Seen(noun, "male", (shown, shown), (noun,) * 2),), 30.0)

    before = [clip("nurse", "female"), clip("nurse", "female"), clip("doctor", "male")]
    lost = [clip("nurse", "female"), clip("nurse", None), clip("doctor", None)]
    kept = [clip("nurse", "female"), clip("nurse", "male"), clip("doctor", "male")]
    figures = summary({"source": before, **dict.fromkeys(ARMS, lost)})
    assert figures["fairve.full.bias_correction"] == 0
    figures = summary({"source": before, **dict.fromkeys(ARMS, kept)})
    assert figures["fairve.full.bias_correction"] == 50, "of two professions one is even now"


def test_prompts_for_real_models_are_a_table_that_compare_reads(tmp_path: Path):
    count = write_table(tmp_path / "table.csv")
    lines = (tmp_path / "table.csv").read_text().splitlines()
    assert len(lines) == count + 1 and set(NEEDED) <= set(lines[0].split(",")) <= set(KNOWN)
    assert len({line.rsplit(",", 2)[1] + line.rsplit(",", 1)[1] for line in lines}) == count + 1
    rows = {(row["source"], row["target"]) for row in csv.DictReader(lines)}
    engineer = "an engineer is working at a desk"
    assert (engineer, "a female engineer is working at a desk") in rows
    assert (engineer, "an engineer in a wheelchair is working at a desk") in rows
    assert ("a chef is working at a desk", "an older chef is working at a desk") in rows
    for source in read_data()["real"]["prompts"]:
        for noun in read_data()["real"]["professions"]:
            require_adult(source.format(noun))


@pytest.mark.slow
def test_a_clip_is_edited_in_an_arm(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fairve, "ARMS", ("full",))
    case = next(case for case in CASES if case.group == "both")
    found = fairve._measured(load(miniature.NAME), case, 0, 1)
    assert list(found) == ["source", "ideal", "rebuilt", "full"]
    assert fairve._result(found["ideal"]).right and found["full"]["background_psnr"] > 20


def test_a_stopped_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made: list[int] = []
    seen = Seen("doctor", "female", ("female", None), ("doctor", None))
    result = Result("one", (seen,), 30.0)

    def measured(model, case, number, steps):
        made.append(number)
        return dict.fromkeys(("source", "ideal", "rebuilt", *ARMS), asdict(result))

    monkeypatch.setattr(fairve, "load", lambda name: None)
    monkeypatch.setattr(fairve, "make_cases", lambda scale: CASES[:2])
    monkeypatch.setattr(fairve, "_measured", measured)
    first = fairve.run(steps=1, keep=tmp_path)
    assert made == [0, 1] and first == fairve.run(steps=1, keep=tmp_path) and made == [0, 1]
    (tmp_path / "fairve-0001.json").unlink()
    assert first == fairve.run(steps=1, keep=tmp_path) and made == [0, 1, 1]
    fairve.run(steps=2, keep=tmp_path)
    assert made == [0, 1, 1, 0, 1], "other settings are another run"
    bench.require_options("fairve", ["scale", "steps", "keep", "table"])
