"""What a comparison found: means with intervals, and paired tests against the first method."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import fmean

from ..measure.placing import COUNT, VISOR
from ..measure.statistics import bootstrap, discordant, mcnemar, wilcoxon, wilson

RIGHT_FRAMES = 0.9
"""Share of a clip's frames that must be right for the clip to count as right."""
BY_CLIP = {VISOR: "VISOR, clips right", COUNT: "count, clips right"}
"""Shares of frames that are counted by clips, too."""
YES_OR_NO = ("right", *BY_CLIP.values())
"""Measures that are 1 or 0 of a clip, so that their means are shares of clips."""

Values = Mapping[str, Mapping[str, float]]
"""By clip and measure."""


@dataclass(frozen=True)
class Entry:
    """A measure of a method.

    low, high: of 95 %, Wilson's of shares of clips, else by bootstrap. n: clips; several edits of
    one clip go together, and count as their mean. p: that it is the same as the first method's on
    the clips that both have, by McNemar's exact test for shares of clips, else by Wilcoxon's; None
    for the first method itself. pairs: of that test.
    """

    method: str
    measure: str
    mean: float
    low: float
    high: float
    n: int
    p: float | None = None
    pairs: int = 0
    test: str = ""


def summarise(found: Mapping[str, Values]) -> list[Entry]:
    """A table of what each method reached on each clip, the first being what the others are
    compared with. Clips that lack a measure are left out of it, and counted in `n`."""
    first, *_ = found
    measures = dict.fromkeys(
        name for clips in found.values() for each in clips.values() for name in _counted(each)
    )
    entries = []
    for measure in measures:
        base = _of(found[first], measure)
        for method, clips in found.items():
            if values := _of(clips, measure):
                entries.append(_entry(method, measure, values, None if method == first else base))
    return entries


def _counted(told: Mapping[str, float]) -> dict[str, float]:
    right = {BY_CLIP[n]: float(v >= RIGHT_FRAMES) for n, v in told.items() if n in BY_CLIP}
    return {**told, **right}


def _of(clips: Values, measure: str) -> dict[str, float]:
    each = ((key, _counted(told).get(measure)) for key, told in clips.items())
    return {key: value for key, value in each if value is not None and isfinite(value)}


def _entry(
    method: str, measure: str, values: Mapping[str, float], base: Mapping[str, float] | None
) -> Entry:
    both = [key for key in values if base and key in base]
    numbers = list(_by_clip(values).values())
    # By name: 0 or 1 on every clip makes no share of a measure.
    shares = measure in YES_OR_NO and len(numbers) == len(values)
    low, high = wilson(int(sum(numbers)), len(numbers)) if shares else bootstrap(numbers)
    if base is None or not both:
        return Entry(method, measure, fmean(numbers), low, high, len(numbers))
    before, after = (
        list(_by_clip({key: each[key] for key in both}).values()) for each in (base, values)
    )
    if shares:
        unlike = discordant(*([value == 1 for value in each] for each in (before, after)))
        p, test = mcnemar(*unlike), "McNemar"
    else:
        p, test = wilcoxon(before, after), "Wilcoxon"
    return Entry(method, measure, fmean(numbers), low, high, len(numbers), p, len(before), test)


def _by_clip(values: Mapping[str, float]) -> dict[str, float]:
    """The mean of a clip's edits, whose keys are alike but for what follows the last slash."""
    found: dict[str, list[float]] = {}
    for key, value in values.items():
        found.setdefault(key.rpartition("/")[0] or key, []).append(value)
    return {clip: fmean(each) for clip, each in found.items()}


COLUMNS = ("method", "measure", "mean", "low", "high", "n", "p", "pairs", "test")


def as_csv(entries: Iterable[Entry]) -> str:
    """A row for each method and measure."""
    out = io.StringIO()
    written = csv.writer(out, lineterminator="\n")
    written.writerow(COLUMNS)
    for entry in entries:
        values = [getattr(entry, column) for column in COLUMNS]
        written.writerow(["" if value is None else value for value in values])
    return out.getvalue()


def as_markdown(entries: Sequence[Entry]) -> str:
    """A row for each method, a column for each measure: the mean, its interval, and p."""
    methods = dict.fromkeys(entry.method for entry in entries)
    measures = dict.fromkeys(entry.measure for entry in entries)
    cells = {(entry.method, entry.measure): _cell(entry) for entry in entries}
    lines = [["method", *measures], ["---"] * (1 + len(measures))]
    lines += [[name, *(cells.get((name, one), "") for one in measures)] for name in methods]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(entry: Entry) -> str:
    told = f"{entry.mean:.4g} ({entry.low:.4g} to {entry.high:.4g}, n {entry.n})"
    return told if entry.p is None else f"{told}, p {entry.p:.2g}"
