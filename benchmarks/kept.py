"""What was measured of each clip, in a file: a run that was stopped goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ..pipelines.common.errors import EvenframeError

Task = TypeVar("Task")
Told = dict[str, Any]
"""What a clip comes to, of what JSON has."""


def each_kept(
    path: Path | None,
    facts: Mapping[str, Any],
    tasks: Sequence[Task],
    measured: Callable[[Task], Told],
) -> list[Told]:
    """Of each task, in their order; those that the file has are not measured again.

    path: one line for the facts, then one for each task; None keeps nothing. facts: what else the
    outcomes depend on. Raises EvenframeError for a file of other facts.
    """
    lines = [] if path is None else _lines(path, facts)
    for number, task in enumerate(tasks):
        if number < len(lines):
            continue
        lines.append(measured(task))
        if path is not None:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(lines[-1]) + "\n")
    return lines[: len(tasks)]


def _lines(path: Path, facts: Mapping[str, Any]) -> list[Told]:
    """Those that are whole; a new file begins with the facts."""
    first = json.dumps(facts, sort_keys=True)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(first + "\n", encoding="utf-8")
    told = path.read_text(encoding="utf-8")
    if told.split("\n", 1)[0] != first:
        raise EvenframeError(
            f"{path} is not of a run with {first}: give --kept another name, or none."
        )
    if not told.endswith("\n"):  # stopped in the middle of a line
        told = told[: told.rindex("\n") + 1]
        path.write_text(told, encoding="utf-8")
    return [json.loads(line) for line in told.splitlines()[1:]]
