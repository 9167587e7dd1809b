"""Measured shares as figures, each with its 95 % Wilson interval and the number asked."""

from collections.abc import Sequence

from ..pipelines.measure.statistics import wilson


def share(key: str, right: int, asked: int) -> dict[str, float]:
    """How many of those asked were right; no figure where none was asked."""
    if asked == 0:
        return {}
    low, high = wilson(right, asked)
    return {
        key: round(right / asked, 3),
        f"{key}.low": round(low, 3),
        f"{key}.high": round(high, 3),
        f"{key}.n": asked,
    }


def share_of(key: str, held: Sequence[bool]) -> dict[str, float]:
    """In how many of the cases it held."""
    return share(key, sum(held), len(held))
