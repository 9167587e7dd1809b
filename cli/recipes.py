"""A recipe as a method of a comparison: a workflow, run for each clip of the table."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..batch.columns import find
from ..pipelines.common.errors import EvenframeError

if TYPE_CHECKING:
    from torch import Tensor

    from ..nodes.host.workflow import Workflow
    from ..pipelines.comparing.row import Row

COMPARED = "compared"
"""In the names of what recipes save beside their result."""
SAVER = "EvenframeSaveVideo"


@dataclass(frozen=True)
class Recipe:
    """A workflow in API format, in which the clip and both prompts are set, as in a batch.

    takes_words: whether it has one place for the words that are edited.
    """

    path: Path
    workflow: Workflow
    takes_words: bool

    def edit(self, row: Row, frames: int, most: int) -> Tensor:
        """The frames (f, h, w, 3) that it saves of a clip, at most `frames` of them and `most` on
        the longer side. Raises EvenframeError where it saves no video."""
        from ..nodes import node_classes
        from ..nodes.host import host
        from ..nodes.host.executor import Executor
        from ..nodes.host.standalone import Session, StandaloneHost
        from ..pipelines.video import load

        assert isinstance(host, StandaloneHost)
        cells = {"file": str(row.clip), "source": row.source, "target": row.target}
        if self.takes_words and row.words:
            cells["words"] = ", ".join(row.words)
        places = {column.name: column for column in find(self.workflow, cells)}
        given = {places[name].target: places[name].written(cell) for name, cell in cells.items()}
        loader = places["file"].node
        given |= {f"{loader}.max_frames": str(frames), f"{loader}.max_side": str(most)}
        for node in self.workflow.nodes.values():
            if node.class_type == SAVER:  # measured at the size of the edit, as others are
                given[f"{node.id}.undo_fit"] = "false"
        given |= row.more or {}
        with tempfile.TemporaryDirectory(prefix="evenframe-") as name:
            temp = Path(name)
            saved: list[Path] = []
            session = Session.from_environment(
                files=(row.clip,), output=temp / "output", temp=temp, cache=temp / "cache"
            )
            with host.using(session):
                executor, graph = Executor(host, node_classes()), self.workflow
                for target, value in given.items():
                    graph = executor.assign(graph, f"{target}={value}")
                executor.run(graph, on_done=lambda done: saved.extend(_files(done, temp)))
            results = [path for path in saved if COMPARED not in path.name]
            if not results:
                raise EvenframeError(f"The recipe '{self.path}' saves no video of its edit.")
            return load(results[0], audio=False).frames


def read_recipe(path: Path) -> Recipe:
    """Raises EvenframeError for what is no workflow, or has not the nodes that are set."""
    from ..nodes.host import workflow

    graph = workflow.read(path)
    find(graph, ("file", "source", "target"))
    try:
        words = bool(find(graph, ("words",)))
    except EvenframeError:
        words = False
    return Recipe(path, graph, words)


def _files(done: Any, temp: Path) -> list[Path]:
    entries = (entry for entries in done.ui.values() for entry in entries)
    kept = (e for e in entries if isinstance(e, dict) and e.get("type") == "output")
    files = [temp / "output" / each["subfolder"] / each["filename"] for each in kept]
    return [path for path in files if path.suffix in (".mp4", ".mov", ".mkv", ".webm", ".gif")]
