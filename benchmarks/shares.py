"""Measured shares as figures, each with its 95 % Wilson interval and the number asked."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from ..pipelines.comparing.summary import RIGHT_FRAMES as RIGHT_FRAMES
from ..pipelines.measure.statistics import discordant, mcnemar, wilson

RESAMPLED = 4000
"""Times that pairs are drawn anew for an interval."""

Figures = dict[str, float | int | str]


def share(key: str, right: int, asked: int, cases: int | None = None) -> dict[str, float]:
    """How many of those asked were right; no figure where none was asked.

    cases: to which the answers belong, where several are of one and go together: the interval is
    that of so many, and `n` is their number.
    """
    if asked == 0:
        return {}
    asked_of = asked if cases is None else cases
    low, high = wilson(right / asked * asked_of, asked_of)
    return {
        key: round(right / asked, 3),
        f"{key}.low": round(low, 3),
        f"{key}.high": round(high, 3),
        f"{key}.n": asked_of,
    }


def share_of(key: str, held: Sequence[bool]) -> dict[str, float]:
    """In how many of the cases it held."""
    return share(key, sum(held), len(held))


def with_interval(figures: Mapping[str, Any], key: str) -> tuple[float, float, float]:
    """A share, and the ends of its interval."""
    return figures[key], figures[f"{key}.low"], figures[f"{key}.high"]


def gain(before: Sequence[bool], after: Sequence[bool]) -> float:
    """By how much the share rises."""
    return round(fmean(after) - fmean(before), 3)


def ratio(key: str, above: Sequence[float], below: Sequence[float]) -> dict[str, float]:
    """The ratio of the means of pairs, with the 95 % interval that their bootstrap gives; no figure
    where there is no pair."""
    if not above:
        return {}
    pairs = np.array([above, below])
    drawn = np.random.default_rng(0).integers(len(above), size=(RESAMPLED, len(above)))
    one, other = pairs[:, drawn].mean(-1)
    low, high = np.quantile(one / np.maximum(other, 1e-12), (0.025, 0.975))
    return {
        key: round(float(fmean(above) / max(fmean(below), 1e-12)), 3),
        f"{key}.low": round(float(low), 3),
        f"{key}.high": round(float(high), 3),
        f"{key}.n": len(above),
    }


def paired_p(before: Sequence[bool], after: Sequence[bool]) -> float:
    """McNemar's exact p that the shares of the same cases are equal."""
    return mcnemar(*discordant(before, after))
