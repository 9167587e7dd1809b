"""The bench of controls in ComfyUI's sampler: its figures."""

import pytest

from evenframe.benchmarks.fusion import Outcome
from evenframe.benchmarks.sampler_shares import CHAINS, TARGETS, WAYS, summary


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
