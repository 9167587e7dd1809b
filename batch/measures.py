"""What `evenframe evaluate` measures of a row's result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..nodes.host import host
from ..nodes.host.workflow import parse
from ..pipelines.common.errors import EvenframeError, error_text
from ..pipelines.common.whole_file import is_full
from .columns import FILE, find
from .job import Job

if TYPE_CHECKING:
    from ..pipelines.video import Choice

FRAMES = 64
"""Of a clip that are measured at most."""
WITHOUT = "not measured: "
OURS = ("max_frames", "skip", "stride", "frame_rate", "target", "length", "frame_step")
"""Inputs of Load Video that say which frames are kept."""
VHS = {
    "max_frames": "frame_load_cap",
    "skip": "skip_first_frames",
    "stride": "select_every_nth",
    "frame_rate": "force_rate",
}
"""Those of VHS_LoadVideo, by the names of `Choice`."""
WHOLE: dict[str, Any] = {"fit": "stretch", "max_side": 0, "width": 0, "height": 0}


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
        clips = read_clips(clip, result, None, FRAMES, lambda _: None, edited=chosen(job))
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
    names = [node["inputs"].get(socket) for node, socket in _loaders(job)]
    return names[0] if len(names) == 1 and isinstance(names[0], str) else ""


def chosen(job: Job) -> Choice:
    """The frames of its clip that a row's workflow edits, as its loader says.

    EvenframeError where another node says it.
    """
    from ..nodes.clip_load import wanted_of
    from ..pipelines.video import Choice

    ((node, _),) = _loaders(job)
    ours = node["class_type"] == "EvenframeLoadVideo"
    sockets: dict[str, str] = {name: name for name in OURS} if ours else VHS
    inputs = node["inputs"]
    given = {name: inputs[socket] for name, socket in sockets.items() if socket in inputs}
    if linked := [sockets[name] for name, value in given.items() if isinstance(value, list)]:
        raise EvenframeError(f"which frames are edited, another node says ({', '.join(linked)})")
    if ours:
        return wanted_of(**WHOLE, **given).choice
    return Choice(**{name: value for name, value in given.items() if value})


def _loaders(job: Job) -> list[tuple[dict[str, Any], str]]:
    """The nodes of a row's workflow that load clips, and their inputs that name the files."""
    nodes = job.prompt.values()
    return [(node, socket) for node in nodes for kind, socket in FILE if node["class_type"] == kind]


def _text(job: Job, name: str) -> str:
    """A prompt of the row; "" where the workflow has none that is plain."""
    try:
        (column,) = find(workflow := parse(job.prompt), [name])
    except EvenframeError:
        return ""
    value = workflow.nodes[column.node].inputs.get(column.socket)
    return value if isinstance(value, str) else ""
