"""What `evenframe evaluate` measures of a row's result, where this version has it."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..nodes.host.workflow import parse
from ..pipelines.common.errors import EvenframeError
from .columns import FILE, find
from .job import Job

MEASURES = "..pipelines.measure"
FRAMES = 64
"""Of a clip that are measured at most."""


def require() -> None:
    """EvenframeError where nothing can be measured."""
    if find_spec(f"{MEASURES}.evaluate", __package__) is None:
        raise EvenframeError("--evaluate: this version has no `evaluate`: leave it out.")


def measured(job: Job, clip: Path | None, result: Path | None) -> dict[str, float | str]:
    """The measures by name: a number, or "not measured: why".

    clip: the file before the edit, result: after it; a row without either is not measured.
    """
    if clip is None or result is None:
        return {}
    asked = _module("asked")
    clips = _module("reading").read_clips(clip, result, None, FRAMES, on_note=lambda _: None)
    rows = _module("evaluate").evaluate(
        asked.Asked(clips.source, clips.result, _text(job, "source"), _text(job, "target"))
    )
    return {r.name: f"not measured: {r.why}" if r.value is None else r.value for r in rows}


def clip_name(job: Job) -> str:
    """What a row's workflow loads; "" where that is not one clip."""
    nodes = job.prompt.values()
    names = [n["inputs"].get(s) for n in nodes for kind, s in FILE if n["class_type"] == kind]
    return names[0] if len(names) == 1 and isinstance(names[0], str) else ""


def _text(job: Job, name: str) -> str:
    """A prompt of the row; "" where the workflow has none that is plain."""
    try:
        (column,) = find(workflow := parse(job.prompt), [name])
    except EvenframeError:
        return ""
    value = workflow.nodes[column.node].inputs.get(column.socket)
    return value if isinstance(value, str) else ""


def _module(name: str) -> Any:
    return import_module(f"{MEASURES}.{name}", __package__)
