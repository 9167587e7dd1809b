"""Shares of the steps: one rule that makes whole steps of them, and whom it holds for."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.controls.fame.cross_reweighter import CrossReweighter
from evenframe.pipelines.controls.fame.formulas import schedule_weight
from evenframe.pipelines.controls.fame.self_modulator import SelfModulator
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.controls.reatco.refocus import Refocus
from evenframe.pipelines.controls.span import NEVER, WHOLE, Span
from evenframe.pipelines.regions.region import box_region
from evenframe.pipelines.regions.regions import Regions

HUNDREDTHS = st.integers(0, 100)


def by_middles(low: Fraction, high: Fraction, count: int) -> list[int]:
    """The rule, step by step and in exact numbers: a step belongs where its middle lies."""
    middles = [(2 * step + 1) * Fraction(1, 2 * count) for step in range(count)]
    return [step for step, middle in enumerate(middles) if low <= middle < high]


@given(HUNDREDTHS, HUNDREDTHS, st.integers(1, 200))
def test_a_step_belongs_where_its_middle_lies(one: int, other: int, count: int):
    low, high = sorted((one, other))
    found = Span(low / 100, high / 100).steps(count)
    assert list(found) == by_middles(Fraction(low, 100), Fraction(high, 100), count)


@given(st.floats(0, 1), st.integers(1, 1000))
def test_spans_that_meet_share_no_step_and_miss_none(cut: float, count: int):
    before, after = Span(0, cut).steps(count), Span(cut, 1).steps(count)
    assert [*before, *after] == list(range(count))


def test_a_half_is_rounded_down_whatever_floating_point_makes_of_it():
    assert Span(0, 0.5).steps(25) == range(12)
    assert Span(0, 0.07).steps(50) == range(3)  # 0.07 * 50 is 3.5000000000000004
    assert Span(0, 0.29).steps(100) == range(29)  # 0.29 * 100 is 28.999999999999996
    assert WHOLE.steps(7) == range(7) and not NEVER.steps(7)


def test_the_published_shares_of_50_steps():
    """RAD's 25, VideoGrain's 15; FateZero's blend of 10 to 38 with one step more."""
    assert Span(0, 0.5).steps(50) == range(25)
    assert Span(0.2, 0.8).steps(50) == range(10, 40)
    acting = [step for step in range(50) if schedule_weight("power", 900, step, 50) > 0]
    assert acting == list(range(15))


@pytest.mark.parametrize(
    ("start", "end", "starts"),
    [
        (-0.1, 1.0, "start is -0.1: choose a value from 0 to 1"),
        (0.0, 1.5, "end is 1.5: choose a value from 0 to 1"),
        (float("nan"), 1.0, "start is nan: choose"),
        ("0", 1.0, "start is '0': choose"),
        (0.8, 0.2, "start is 0.8 and end is 0.2: a span of the steps must not end before"),
    ],
)
def test_spans_out_of_range_are_refused_where_they_are_made(start: Any, end: Any, starts: str):
    with pytest.raises(EvenframeError) as caught:
        Span(start, end)
    assert str(caught.value).startswith(starts)


@pytest.mark.parametrize(
    ("control", "name"),
    [
        (Fusion, "blend_window"),
        (Refocus, "steps"),
        (SelfModulator, "window"),
        (CrossReweighter, "window"),
    ],
)
def test_a_pair_of_numbers_is_refused_where_the_control_is_made(control: Any, name: str):
    box = box_region([(0, 0, 32, 32)], (64, 64), name="left", words="cat")
    regions = {"regions": Regions((box,), 1, (64, 64))}
    given: dict[str, Any] = {} if name == "blend_window" else regions
    assert control(**given | {name: WHOLE})
    with pytest.raises(EvenframeError, match=rf"^{name} is \(0.0, 0.5\): give a span"):
        control(**given | {name: (0.0, 0.5)})
