"""The table of a batch: means with intervals, and a test for each pair of methods."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from ..pipelines.common.errors import EvenframeError
from ..pipelines.measure.statistics import wilson
from .results import lines
from .store import Store
from .table import NOTE

DRAWS, SEED = 5000, 0
LEAST = 2
"""Values that an interval, and pairs that a test, needs."""
SECONDS = "seconds"


@dataclass
class Method:
    """One of several ways to edit the same: its rows, by what else they say.

    values: by measure and pair. done: rows that have a result, of so many that have a record.
    """

    name: str
    values: dict[str, dict[tuple[str, ...], float]]
    done: int = 0
    ended: int = 0


def methods(folders: Sequence[Path], by: str = "") -> list[Method]:
    """The methods of some batches: by the cells of a column, else each folder is one.

    EvenframeError for a column that no row has, and for two methods of one name.
    """
    found: dict[str, Method] = {}
    for folder in folders:
        store = Store(folder)
        store.require()
        columns = False
        for line in lines(store):
            columns |= by in line.cells
            if not line.record:
                continue
            name = line.cells.get(by, "") if by else folder.resolve().name
            name = f"{folder.resolve().name}: {name}" if by and len(folders) > 1 else name
            others = sorted((c, t) for c, t in line.cells.items() if c != by and c[0] != NOTE)
            _add(found.setdefault(name, Method(name, {})), line.record, line.measures, others)
        if by and not columns:
            raise EvenframeError(f"No row of '{folder}' has a column {by!r}: choose another --by.")
    return list(found.values())


def _add(method: Method, record: dict, measures: dict, others: list[tuple[str, str]]) -> None:
    method.ended += 1
    if record.get("state") != "done":
        return
    method.done += 1
    pair = tuple(f"{column}={text}" for column, text in others)
    for name, value in {**measures, SECONDS: record.get(SECONDS)}.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            method.values.setdefault(name, {})[pair] = float(value)


def table(found: Sequence[Method]) -> Iterator[str]:
    """Lines: rows done with Wilson's interval, means with bootstrap intervals, tests of pairs."""
    for method in found:
        low, high = wilson(method.done, method.ended)
        yield f"{method.name or 'all rows'}"
        yield f"  rows done: {method.done} of {method.ended} (95 % {low:.3f} to {high:.3f})"
        for name, values in sorted(method.values.items()):
            yield f"  {name}: {_mean(list(values.values()))}"
    for first, second in combinations(found, 2):
        for name in sorted(first.values.keys() & second.values.keys()):
            ours, theirs = first.values[name], second.values[name]
            pairs = sorted(ours.keys() & theirs.keys())
            differences = np.array([ours[pair] - theirs[pair] for pair in pairs])
            yield f"{first.name} - {second.name}, {name}: {_tested(differences)}"


def _mean(values: Iterable[float]) -> str:
    numbers = np.array(list(values))
    if len(numbers) < LEAST:
        return f"{numbers.mean():.4g} (n = {len(numbers)})"
    low, high = interval(numbers)
    return f"{numbers.mean():.4g} (95 % {low:.4g} to {high:.4g}, n = {len(numbers)})"


def _tested(differences: np.ndarray) -> str:
    if len(differences) < LEAST:
        return f"{len(differences)} pairs of equal rows, too few to test"
    low, high = interval(differences)
    p, n = sign_flips(differences), len(differences)
    return f"{differences.mean():+.4g} (95 % {low:+.4g} to {high:+.4g}, p = {p:.3g}, n = {n})"


def interval(values: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean: percentiles of a seeded bootstrap (Efron 1979)."""
    chance = np.random.default_rng(SEED)
    means = [chance.choice(values, len(values)).mean() for _ in range(_draws(len(values)))]
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def sign_flips(differences: np.ndarray) -> float:
    """Two-sided p-value that paired values are equal in the mean, by flipping signs (Fisher 1935).

    Seeded draws; the smallest value that it gives is 1 / (draws + 1).
    """
    chance, seen = np.random.default_rng(SEED), abs(differences.mean())
    draws = _draws(len(differences))
    flips = (chance.choice((-1.0, 1.0), len(differences)) for _ in range(draws))
    # Sums of the same numbers differ by rounding, which is no difference.
    extreme = sum(abs((flip * differences).mean()) >= seen * (1 - 1e-12) for flip in flips)
    return (extreme + 1) / (draws + 1)


def _draws(count: int) -> int:
    """Fewer where there are so many values that the mean hardly differs."""
    return DRAWS if count < 10_000 else DRAWS // 25
