"""`evenframe run workflow.json --set Node.input=value`: run a workflow without ComfyUI."""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
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
ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson")
"""Of tables."""
OWN_CLIP = Path(__file__).parents[1] / "examples_workflows" / "api" / "FateZero own clip.json"
PLAIN = ("source", "target", "model")
RANGE = re.compile(r"(-?[0-9]{1,18})\.\.(-?[0-9]{1,18})")
"""Of --each: numbers that any input takes, bounded before they are read."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "workflow",
        type=Path,
        nargs="?",
        help=f"a workflow in ComfyUI's API format; with --clip, '{OWN_CLIP.stem}'",
    )
    parser.add_argument("--clip", type=Path, metavar="FILE", help="the clip to edit")
    parser.add_argument("--source", metavar="TEXT", help="what it shows")
    parser.add_argument("--target", metavar="TEXT", help="what it shall show")
    parser.add_argument("--model", metavar="NAME", help="a name that `evenframe models` lists")
    parser.set_defaults(usage=parser.error)
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
        metavar="NODE.INPUT=FIRST..LAST|TABLE",
        help="run once for each whole number, as with Targets.index=0..9, or for each row of a "
        "table, whose columns are as for `evenframe batch`",
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
    if options.workflow is None and options.clip is None:
        options.usage("name a workflow, or a clip with --clip")
    graph = workflow.read(options.workflow or OWN_CLIP)
    with tempfile.TemporaryDirectory(prefix="evenframe-") as temp:
        settings = folders(options)
        if (table := _table(options.each)) and not options.input:  # beside it, as for a batch
            usual = Session.from_environment().inputs
            settings["inputs"] = (table.absolute().parent, *usual)
        if options.no_cache:  # an empty one, gone at the end
            settings["cache"] = Path(temp) / "cache"
        session = Session.from_environment(
            **settings,
            files=_named_files(options),
            temp=Path(temp),
            report=console.progress(),
        )
        with host.using(session):
            executor = Executor(host, node_classes(), kept_results(host))
            for assignment in [*_plain(graph, options), *options.set]:
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
    if table := _table(each):
        yield from _rows(executor, graph, table)
        return
    target, numbers = _numbers(each[0])
    for end in (numbers[0], numbers[-1]):  # what lies out of range is said before the first runs
        executor.check(executor.assign(graph, f"{target}={end}"))
    for position, number in enumerate(numbers, start=1):
        assignment = f"{target}={number}"
        console.tell(f"run {position} of {len(numbers)}: {assignment}")
        yield executor.assign(graph, assignment)


def _table(each: Sequence[str]) -> Path | None:
    """The one that --each names, where it does not name numbers."""
    named = Path(each[0]) if each and "=" not in each[0] else None
    return named if named and named.suffix.lower() in ENDINGS else None


def _rows(executor: Executor, graph: Workflow, path: Path) -> Iterator[Workflow]:
    """The workflow of each row of a table: all of them are checked before the first runs."""
    from ..batch import table as tables
    from ..batch.columns import find

    table, wrong = tables.read(path), list[str]()
    columns = {c.name: c for c in find(graph, (n for n in table.columns if n[0] != tables.NOTE))}

    def of(row: tables.Row) -> Workflow:
        made = graph
        for name, cell in row.cells.items():
            if column := columns.get(name):
                made = executor.assign(made, f"{column.target}={column.written(cell)}")
        return made

    for row in table.rows:
        try:
            executor.check(of(row))
        except EvenframeError as error:
            wrong.append(f"line {row.line}: {error}")
    if wrong:
        more = console.tell_first(wrong)
        said = f"{len(wrong)} of {len(table.rows)} rows cannot be run{more}: none was."
        raise EvenframeError(said)
    for position, row in enumerate(table.rows, start=1):
        console.tell(f"run {position} of {len(table.rows)}: line {row.line}")
        yield of(row)


def _plain(graph: Workflow, options: argparse.Namespace) -> Iterator[str]:
    """What the options with plain names set, as assignments."""
    from ..batch.columns import find

    given = {name: text for name in PLAIN if (text := getattr(options, name)) is not None}
    if options.clip is not None:
        given["file"] = str(options.clip)
    for column in find(graph, given):
        yield f"{column.target}={given[column.name]}"


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


def _named_files(options: argparse.Namespace) -> tuple[Path, ...]:
    """Files that the user named by hand: a workflow may then read them, wherever they lie."""
    values = [assignment.partition("=")[2] for assignment in options.set]
    values += [] if options.clip is None else [str(options.clip)]
    # No error for a long text.
    return tuple(Path(v) for v in values if v and "\0" not in v and os.path.isfile(v))


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
