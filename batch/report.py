"""The table of a batch: means with intervals, and a test for each pair of methods."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isfinite
from pathlib import Path
from statistics import fmean

from ..pipelines.common.errors import EvenframeError
from ..pipelines.measure.statistics import bootstrap, sign_flips, wilson
from .results import lines
from .store import Store
from .table import NOTE

DRAWS = 5000
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

    EvenframeError for a column that no row has, and for two folders of one name.
    """
    found: dict[str, Method] = {}
    names = [folder.resolve().name for folder in folders]
    if twice := [name for name in names if names.count(name) > 1]:
        raise EvenframeError(
            f"Several folders are called {twice[0]!r}, and a method has the name of its folder: "
            "rename one, or name each once."
        )
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
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and isfinite(value):  # equal pictures have an infinite PSNR, and then the mean
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
            differences = [ours[pair] - theirs[pair] for pair in pairs]
            yield f"{first.name} - {second.name}, {name}: {_tested(differences)}"


def _mean(numbers: Sequence[float]) -> str:
    if len(numbers) < LEAST:
        return f"{fmean(numbers):.4g} (n = {len(numbers)})"
    low, high = bootstrap(numbers, _draws(len(numbers)))
    return f"{fmean(numbers):.4g} (95 % {low:.4g} to {high:.4g}, n = {len(numbers)})"


def _tested(differences: Sequence[float]) -> str:
    n = len(differences)
    if n < LEAST:
        return f"{n} pairs of equal rows, too few to test"
    low, high = bootstrap(differences, _draws(n))
    p = sign_flips(differences, _draws(n))
    return f"{fmean(differences):+.4g} (95 % {low:+.4g} to {high:+.4g}, p = {p:.3g}, n = {n})"


def _draws(count: int) -> int:
    """Fewer where there are so many values that the mean hardly differs."""
    return DRAWS if count < 10_000 else DRAWS // 25
