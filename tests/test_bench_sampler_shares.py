"""The bench of controls in ComfyUI's sampler: what is kept of each clip, its figures."""

from pathlib import Path
from typing import Any

import pytest

from evenframe.benchmarks.fusion import Outcome
from evenframe.benchmarks.kept import each_kept
from evenframe.benchmarks.sampler_shares import CHAINS, TARGETS, WAYS, summary
from evenframe.pipelines.common.errors import EvenframeError


def test_a_run_that_was_stopped_goes_on_after_the_last_whole_clip(tmp_path: Path):
    file, asked, facts = tmp_path / "new" / "clips.jsonl", list[int](), {"steps": 2}

    def measured(task: int) -> dict[str, Any]:
        asked.append(task)
        if task == 13 and len(asked) == 3:
            raise KeyboardInterrupt
        return {"twice": 2 * task}

    with pytest.raises(KeyboardInterrupt):
        each_kept(file, facts, [11, 12, 13, 14], measured)
    assert file.read_text().splitlines() == ['{"steps": 2}', '{"twice": 22}', '{"twice": 24}']
    file.write_text(file.read_text()[:-4])  # the second was not written to its end
    found = each_kept(file, facts, [11, 12, 13, 14], measured)
    assert found == [{"twice": 2 * task} for task in (11, 12, 13, 14)]
    assert asked == [11, 12, 13, 12, 13, 14]
    assert each_kept(file, facts, [11, 12], measured) == found[:2] and len(asked) == 6
    with pytest.raises(EvenframeError, match="is not of a run with .*3.*: give --kept another"):
        each_kept(file, {"steps": 3}, [11], measured)
    assert each_kept(None, facts, [5], measured) == [{"twice": 10}]


def test_a_share_is_held_against_the_interval_of_the_other():
    arms = [f"{chain}.{way}" for chain in CHAINS for way in WAYS]
    good, bad = Outcome(1.0, 1.0, 30.0, 0.0), Outcome(0.5, 1.0, 29.0, 0.0)
    same = [dict.fromkeys(arms, good)] * 10
    figures = summary(same)
    assert all(figures[key] == 0 for key in TARGETS if key in figures)
    assert len(TARGETS.keys() - figures.keys()) == 1, "both from one inversion"
    figures = summary([{**clip, "boost.ksampler": bad} for clip in same])
    assert figures["sampler.boost.ksampler.share"] == 0 == figures["sampler.fusion.below_interval"]
    low = figures["sampler.boost.loop.share.low"]
    assert figures["sampler.boost.below_interval"] == low == pytest.approx(0.722, abs=1e-3)
    assert figures["sampler.boost.background_change_db"] == 1
    assert float(figures["sampler.boost.paired_p"]) < 0.01
    better = summary([{**clip, "boost.loop": bad} for clip in same])
    assert better["sampler.boost.below_interval"] == 0
