"""`evenframe run workflow.json --set Node.input=value`: run a workflow without ComfyUI."""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..pipelines.common.errors import EvenframeError, one_line, short_repr
from . import console

if TYPE_CHECKING:
    from ..nodes.host import Host
    from ..nodes.host.executor import Executor
    from ..nodes.host.results import ResultCache
    from ..nodes.host.task import Done
    from ..nodes.host.workflow import Workflow

RESULTS_BYTES = 2 * 10**9
MAX_RUNS = 1_000_000
RANGE = re.compile(r"(-?[0-9]{1,18})\.\.(-?[0-9]{1,18})")
"""Of --each: numbers that any input takes, bounded before they are read."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("workflow", type=Path, help="a workflow in ComfyUI's API format")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NODE.INPUT=VALUE",
        help="change a value; NODE is an id, a title or a class; may be given again",
    )
    parser.add_argument(
        "--each",
        action="append",
        default=[],
        metavar="NODE.INPUT=FIRST..LAST",
        help="run once for each whole number: a batch, as with Targets.index=0..9",
    )
    parser.add_argument(
        "--input", action="append", type=Path, metavar="DIR", help="a folder to read clips from"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="where results go")
    parser.add_argument(
        "--models", action="append", type=Path, metavar="DIR", help="a folder of models"
    )
    parser.add_argument(
        "--no-cache",
        action="store_true",
        help="compute everything anew, and keep nothing for the next run",
    )


def run(options: argparse.Namespace) -> int:
    """Run the workflow, or a batch of it, show progress, print the files it saved."""
    from ..nodes import node_classes
    from ..nodes.host import host, workflow
    from ..nodes.host.executor import Executor
    from ..nodes.host.standalone import Session, StandaloneHost

    assert isinstance(host, StandaloneHost)
    graph = workflow.read(options.workflow)
    with tempfile.TemporaryDirectory(prefix="evenframe-") as temp:
        settings = folders(options)
        if options.no_cache:  # an empty one, gone at the end
            settings["cache"] = Path(temp) / "cache"
        session = Session.from_environment(
            **settings,
            files=tuple(_named_files(options.set)),
            temp=Path(temp),
            report=console.progress(),
        )
        with host.using(session):
            executor = Executor(host, node_classes(), kept_results(host))
            for assignment in options.set:
                graph = executor.assign(graph, assignment)
            for one in _runs(executor, graph, options.each):
                # As it comes: what was saved is told even where a later node fails.
                executor.run(one, _show_node, partial(_print, session.output))
    return 0


def _runs(executor: Executor, graph: Workflow, each: Sequence[str]) -> Iterator[Workflow]:
    """The workflows to run: one, or those of `--each`, announced one by one.

    The executor keeps what they share, such as the model and the inversion.
    """
    if not each:
        yield graph
        return
    if len(each) > 1:
        raise EvenframeError(f"--each is given {len(each)} times: a batch counts up one input.")
    target, numbers = _numbers(each[0])
    for end in (numbers[0], numbers[-1]):  # what lies out of range is said before the first runs
        executor.check(executor.assign(graph, f"{target}={end}"))
    for position, number in enumerate(numbers, start=1):
        assignment = f"{target}={number}"
        console.tell(f"run {position} of {len(numbers)}: {assignment}")
        yield executor.assign(graph, assignment)


def _numbers(each: str) -> tuple[str, range]:
    """`Node.input` and the numbers of `Node.input=FIRST..LAST`."""
    target, _, text = each.partition("=")
    match = RANGE.fullmatch(text)
    numbers = range(int(match[1]), int(match[2]) + 1) if match else range(0)
    if not numbers:
        raise EvenframeError(
            f"--each is {short_repr(each)}, which names no whole numbers: write "
            "Node.input=FIRST..LAST, as in Targets.index=0..9."
        )
    if len(numbers) > MAX_RUNS:
        raise EvenframeError(
            f"--each is {short_repr(each)}, {len(numbers)} runs: give at most {MAX_RUNS}."
        )
    return target, numbers


def _print(output: Path, done: Done) -> None:
    for text in _shown(done.ui, output):
        print("\n".join(map(one_line, text.splitlines())), flush=True)


def kept_results(host: Host) -> ResultCache:
    """Where costly results outlive this process."""
    from importlib.metadata import version

    import torch

    from ..nodes.host.results import ResultCache
    from ..pipelines.common.code_hash import code_hash

    libraries = " ".join(f"{name} {version(name)}" for name in ("diffusers", "transformers"))
    made_by = f"code {code_hash()} torch {torch.__version__} {libraries} {host.device()}"
    return ResultCache(host.cache_dir() / "results", RESULTS_BYTES, made_by)


def folders(options: argparse.Namespace) -> dict[str, Any]:
    """The folders that were given, as settings of a session."""
    given = {
        "models": tuple(options.models or ()),
        "inputs": tuple(getattr(options, "input", None) or ()),
        "output": getattr(options, "output", None),
    }
    return {name: value for name, value in given.items() if value}


def _named_files(assignments: Iterable[str]) -> Iterator[Path]:
    """Files that the user named by hand: a workflow may then read them, wherever they lie."""
    for assignment in assignments:
        value = assignment.partition("=")[2]
        if value and "\0" not in value and os.path.isfile(value):  # no error for a long text
            yield Path(value)


def _show_node(node: Any, position: int, total: int, cached: bool) -> None:
    note = " (unchanged)" if cached else ""
    console.tell(f"[{position}/{total}] {one_line(node.title or node.class_type)}{note}")


def _shown(ui: Any, output: Path) -> Iterator[str]:
    """What a node shows, as text: its own, and the paths of files kept."""
    for entry in (entry for entries in ui.values() for entry in entries):
        if isinstance(entry, str):
            yield entry
        elif isinstance(entry, dict) and entry.get("type") == "output":
            yield str(output / entry["subfolder"] / entry["filename"])
