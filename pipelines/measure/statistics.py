"""Statistics of measured shares: intervals, paired tests, distances, flips."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import pairwise
from math import comb, erfc, inf, isfinite, log, sqrt
from typing import NamedTuple

import numpy as np


def wilson(successes: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson score interval of a share (Wilson 1927); (0, 1) where nothing was counted.

    successes: 0..n. z: standard normal quantile, 1.96 for 95 %.

    Raises:
        ValueError: successes outside 0..n.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes must be in 0..{n}, got {successes}")
    if n == 0:
        return 0.0, 1.0
    share, weight = successes / n, z * z / n
    middle = (share + weight / 2) / (1 + weight)
    reach = z * sqrt(share * (1 - share) / n + weight / (4 * n)) / (1 + weight)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def discordant(first: Sequence[bool], second: Sequence[bool]) -> tuple[int, int]:
    """Pairs of one item each in which only the first, and in which only the second succeeded.

    Raises:
        ValueError: sequences of unequal length.
    """
    pairs = list(zip(first, second, strict=True))
    return sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs)


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided p-value that two paired shares are equal: McNemar's test (1947), exact binomial.

    only_first, only_second: the discordant pairs, 0 or more. Without any the value is 1.

    Raises:
        ValueError: a negative count.
    """
    if min(only_first, only_second) < 0:
        raise ValueError(f"counts must be 0 or more, got {only_first} and {only_second}")
    total = only_first + only_second
    tail = sum(comb(total, k) for k in range(min(only_first, only_second) + 1))
    return min(1.0, tail / 2 ** (total - 1)) if total else 1.0


class Distance(NamedTuple):
    """How far a distribution lies from another.

    total_variation: 0..1. l2: 0..sqrt 2. kl: Kullback-Leibler divergence in nats, 0..infinity.
    """

    total_variation: float
    l2: float
    kl: float


def distribution_distance(p: Sequence[float], q: Sequence[float]) -> Distance:
    """Distances of p from q, the target: shares of the same classes in the same order.

    Raises:
        ValueError: unequal lengths, negative shares, or shares that do not sum to 1.
    """
    for name, shares in (("p", p), ("q", q)):
        if not all(isfinite(share) and share >= 0 for share in shares) or abs(sum(shares) - 1) > (
            1e-6
        ):
            raise ValueError(f"{name} must be shares from 0 that sum to 1, got {tuple(shares)}")
    pairs = list(zip(p, q, strict=True))
    return Distance(
        sum(abs(a - b) for a, b in pairs) / 2,
        sqrt(sum((a - b) ** 2 for a, b in pairs)),
        sum(a * log(a / b) if b > 0 else inf for a, b in pairs if a > 0),
    )


def flip_rate(classes: Sequence[Hashable]) -> float:
    """Share of neighbouring frames that are judged differently; 0 for fewer than two frames.

    classes: what each frame shows; None (undetermined) is a class of its own.
    """
    changes = [a != b for a, b in pairwise(classes)]
    return sum(changes) / len(changes) if changes else 0.0


AT_ONCE = 2**22
"""Values that are drawn at a time."""


def bootstrap(values: Sequence[float], rounds: int = 2000, seed: int = 0) -> tuple[float, float]:
    """95 % interval of a mean by drawing the values anew (Efron 1979), percentiles; seeded.

    Raises:
        ValueError: no values.
    """
    if not values:
        raise ValueError("values must hold at least one number")
    kept, chance = np.asarray(values, float), np.random.default_rng(seed)
    means = [
        kept[chance.integers(0, len(kept), (part, len(kept)))].mean(1)
        for part in _parts(rounds, len(kept))
    ]
    low, high = np.quantile(np.concatenate(means), (0.025, 0.975))
    return float(low), float(high)


def sign_flips(differences: Sequence[float], rounds: int = 5000, seed: int = 0) -> float:
    """Two-sided p-value that paired values are equal in the mean, by flipping the signs of their
    differences (Fisher 1935).

    Seeded draws; the smallest value that it gives is 1 / (rounds + 1).
    """
    apart, chance = np.asarray(differences, float), np.random.default_rng(seed)
    # Sums of the same numbers differ by rounding, which is no difference.
    seen, extreme = abs(apart.mean()) * (1 - 1e-12), 0
    for part in _parts(rounds, len(apart)):
        flips = chance.choice((-1.0, 1.0), (part, len(apart)))
        extreme += int((abs((flips * apart).mean(1)) >= seen).sum())
    return (extreme + 1) / (rounds + 1)


def _parts(rounds: int, count: int) -> list[int]:
    """Rounds to draw of so many values at a time, in a memory that does not grow with both."""
    part = max(1, AT_ONCE // count)
    return [min(part, rounds - done) for done in range(0, rounds, part)]


EXACT = 500
"""Pairs: the time that exactness takes grows with their cube."""


def wilcoxon(first: Sequence[float], second: Sequence[float]) -> float:
    """Two-sided p-value that paired values differ by nothing: the signed-rank test (Wilcoxon 1945).

    Exact up to `EXACT` pairs, over all signs of the ranks that were seen; then by the normal
    distribution with the same mean and spread. Pairs that are equal are left out, equal differences
    share their mean rank. Without any difference the value is 1.

    Raises:
        ValueError: sequences of unequal length.
    """
    apart = np.array([b - a for a, b in zip(first, second, strict=True) if a != b])
    if not len(apart):
        return 1.0
    _, at, count = np.unique(np.abs(apart), return_inverse=True, return_counts=True)
    ends = np.cumsum(count)
    ranks = (2 * ends - count + 1)[at]  # twice the mean rank, a whole number
    positive = int(ranks[apart > 0].sum())
    if len(ranks) > EXACT:
        off = max(0.0, abs(positive - ranks.sum() / 2) - 1)  # doubled ranks: 1 is half a step
        return erfc(off / sqrt((ranks**2).sum() / 4) / sqrt(2))
    ways = np.ones(1)
    for rank in ranks:
        longer = np.zeros(len(ways) + rank)
        longer[: len(ways)] += ways / 2
        longer[rank:] += ways / 2
        ways = longer
    below, above = ways[: positive + 1].sum(), ways[positive:].sum()
    return min(1.0, 2 * float(min(below, above)))
