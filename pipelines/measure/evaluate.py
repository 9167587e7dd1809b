"""Every published measure of an edit, each with its formula; what is not measured says why."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from types import ModuleType

from ..common.errors import EvenframeError
from . import (
    clip_score,
    motion_kept,
    outside,
    pick_score,
    placing,
    presentation,
    questions,
    structure,
    warp_error,
)
from .asked import Asked, Measured, NotMeasured

TECHNIQUES: tuple[ModuleType, ...] = (
    clip_score,
    pick_score,
    warp_error,
    motion_kept,
    outside,
    placing,
    questions,
    structure,
    presentation,
)
"""Modules with `FORMULAS`, by name, and `measure(asked)`, which gives a value or a reason for each
name, or raises NotMeasured for all."""
NAMES = tuple(name for technique in TECHNIQUES for name in technique.FORMULAS)


def evaluate(
    asked: Asked, names: Sequence[str] = NAMES, on_technique: Callable[[int], None] | None = None
) -> tuple[Measured, ...]:
    """The rows of these measures, in the order of `NAMES`.

    on_technique: called after each of `TECHNIQUES` with how many are done. Raises EvenframeError
    for clips of unlike shape, a mask of another clip, and for a judge that is something else.
    """
    _require_alike(asked)
    rows: list[Measured] = []
    for done, technique in enumerate(TECHNIQUES, start=1):
        if formulas := {name: how for name, how in technique.FORMULAS.items() if name in names}:
            asked.on_pass()
            rows += _rows(technique, formulas, asked)
        if on_technique is not None:
            on_technique(done)
    return tuple(rows)


def _rows(technique: ModuleType, formulas: Mapping[str, str], asked: Asked) -> Iterator[Measured]:
    try:
        found, reason = technique.measure(asked), "nothing says it of this clip"
    except NotMeasured as why:
        found, reason = {}, str(why)
    for name, formula in formulas.items():
        value = found.get(name, reason)
        if isinstance(value, str):
            yield Measured(name, formula, None, value)
        elif isfinite(value):
            yield Measured(name, formula, float(value))
        else:
            yield Measured(name, formula, None, "there is no number: nothing of it is visible")


def _require_alike(asked: Asked) -> None:
    source, result = tuple(asked.source.shape), tuple(asked.result.shape)
    if source != result or len(source) != 4 or not source[0]:
        raise EvenframeError(
            f"The source is {source} and the result {result} (frames, height, width, 3): evaluate "
            "clips of equal size and length."
        )
    if asked.mask is not None and asked.mask.shape != source[:3]:
        raise EvenframeError(
            f"The mask is {tuple(asked.mask.shape)} (frames, height, width), but the clips are "
            f"{source[:3]}: give one of theirs."
        )


def as_text(rows: Sequence[Measured]) -> str:
    """A line for each measure: its name, its value or why there is none, its formula."""
    width = max(len(row.name) for row in rows)
    lines = []
    for row in rows:
        value = (
            f"not measured: {row.why}" if row.value is None else f"{row.value:.4g}  ({row.formula})"
        )
        lines.append(f"{row.name:<{width}}  {value}")
    return "\n".join(lines)


def as_json(rows: Sequence[Measured]) -> str:
    """A list of objects: name, formula, value (null where not measured), why."""
    return json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False) + "\n"


def as_csv(rows: Sequence[Measured]) -> str:
    """With a head; the value is empty where not measured."""
    out = io.StringIO()
    written = csv.writer(out, lineterminator="\n")
    written.writerow(("name", "value", "why", "formula"))
    for row in rows:
        written.writerow((row.name, "" if row.value is None else row.value, row.why, row.formula))
    return out.getvalue()
