"""Intervals, paired tests and distances, against published values and obvious counts."""

import math
from itertools import product

import pytest

from evenframe.pipelines.measure.statistics import (
    discordant,
    distribution_distance,
    flip_rate,
    mcnemar,
    wilson,
)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(8, 10, 0.490, 0.943), (16, 20, 0.584, 0.919), (80, 100, 0.711, 0.867)],
)
def test_wilson_intervals_are_the_published_ones(successes, n, low, high):
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-4)


def test_wilson_intervals_stay_in_range():
    assert wilson(0, 0) == (0, 1)
    assert wilson(0, 5)[0] == 0 and wilson(5, 5)[1] == 1
    with pytest.raises(ValueError, match="successes must be in 0..5, got 6"):
        wilson(6, 5)


@pytest.mark.parametrize(("b", "c"), list(product(range(6), repeat=2)))
def test_mcnemar_is_a_fair_coin_on_the_discordant_pairs(b: int, c: int):
    """Every outcome of b + c tosses counted: at least as lopsided as this one."""
    outcomes = [sum(tosses) for tosses in product((0, 1), repeat=b + c)]
    extreme = sum(abs(2 * heads - b - c) >= abs(b - c) for heads in outcomes)
    assert mcnemar(b, c) == pytest.approx(extreme / len(outcomes))


def test_pairs_are_counted_where_they_disagree():
    assert discordant([True, True, False, False], [True, False, True, True]) == (1, 2)
    with pytest.raises(ValueError):
        discordant([True], [True, False])
    with pytest.raises(ValueError, match="counts must be 0 or more"):
        mcnemar(-1, 2)


def test_distances_are_the_published_ones():
    distance = distribution_distance((0.8, 0.2), (0.5, 0.5))
    assert distance == pytest.approx((0.30, 0.4243, 0.1927), abs=5e-5)
    assert distance.total_variation == distance[0] and distance.kl == distance[2]
    assert distribution_distance((0.5, 0.5), (0.5, 0.5)) == (0, 0, 0)
    assert distribution_distance((1, 0), (0, 1)).kl == math.inf
    assert distribution_distance((0, 1), (0.5, 0.5)).kl == pytest.approx(math.log(2))


@pytest.mark.parametrize("bad", [(0.5, 0.6), (-0.5, 1.5), (math.nan, 1)])
def test_shares_that_are_none_are_refused(bad):
    with pytest.raises(ValueError, match="must be shares from 0 that sum to 1"):
        distribution_distance(bad, (0.5, 0.5))


def test_flips_are_counted_between_neighbouring_frames():
    assert flip_rate(["f", "f", "m", "f"]) == pytest.approx(2 / 3)
    assert flip_rate(["f", None, "f"]) == 1
    assert flip_rate(["f"]) == flip_rate([]) == 0
