"""What `evenframe evaluate` measures of a row's result."""

from __future__ import annotations

from pathlib import Path

from ..nodes.host import host
from ..nodes.host.workflow import parse
from ..pipelines.common.errors import EvenframeError, error_text
from ..pipelines.common.whole_file import is_full
from .columns import FILE, find
from .job import Job

FRAMES = 64
"""Of a clip that are measured at most."""
WITHOUT = "not measured: "


def require() -> None:
    """EvenframeError for a folder of judges that holds something else."""
    from ..pipelines.measure.judges import require_judges

    if (judges := host.judges_dir()) is not None:
        require_judges(judges)


def measured(job: Job, clip: Path | None, result: Path | None) -> dict[str, float | str]:
    """The measures by name: a number, or "not measured: why". They fail no row.

    clip: the file before the edit, result: after it; a row without either is not measured.
    """
    from ..pipelines.measure.asked import Asked
    from ..pipelines.measure.evaluate import NAMES, evaluate
    from ..pipelines.measure.reading import read_clips

    if clip is None or result is None:
        return dict.fromkeys(NAMES, f"{WITHOUT}no clip file, or no video, belongs to the row")
    device, judges = host.device(), host.judges_dir()
    try:
        clips = read_clips(clip, result, None, FRAMES, on_note=lambda _: None)
        prompts = _text(job, "source"), _text(job, "target")
        asked = Asked(clips.source, clips.result, *prompts, judges=judges, device=device)
        rows = evaluate(asked)
    except Exception as error:  # a judge that runs out of memory, too
        if is_full(error):
            raise
        return dict.fromkeys(NAMES, f"{WITHOUT}{error_text(error)}")
    return {row.name: f"{WITHOUT}{row.why}" if row.value is None else row.value for row in rows}


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
