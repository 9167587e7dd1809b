"""`evenframe batch TABLE --workflow FILE --out DIR`: a workflow for each row of a table, once."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..pipelines.common.errors import EvenframeError, one_line
from . import console

if TYPE_CHECKING:
    from ..batch.engines.engine import Engine
    from ..batch.plan import Plan, Rules
    from ..batch.status import Progress
    from ..batch.store import Store
    from ..nodes.host.standalone import Session
    from ..nodes.host.workflow import Workflow

STATUS = "status"
MOST_WORKERS = 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("table", type=Path, help="CSV or JSON lines; or 'status', with the folder")
    parser.add_argument("folder", type=Path, nargs="?", help="of `evenframe batch status DIR`")
    parser.add_argument("--workflow", type=Path, metavar="FILE", help="in ComfyUI's API format")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where records and clips go")
    parser.add_argument("--engine", choices=("local", "ray", "comfyui"), default="local")
    parser.add_argument("--workers", type=int, metavar="N", help="of local and ray; 1")
    parser.add_argument("--threads", type=int, metavar="N", help="of each worker")
    parser.add_argument("--gpus-per-worker", type=float, metavar="X", help="of ray, as in .5")
    parser.add_argument("--address", metavar="HOST:PORT", help="of a Ray cluster that there is")
    parser.add_argument(
        "--server", action="append", default=[], metavar="URL", help="a ComfyUI; may be given again"
    )
    parser.add_argument(
        "--input", action="append", type=Path, metavar="DIR", help="of clips; the table's folder"
    )
    parser.add_argument(
        "--models", action="append", type=Path, metavar="DIR", help="a folder of models"
    )
    parser.add_argument("--cache", type=Path, metavar="DIR", help="where inversions are kept")
    parser.add_argument("--evaluate", action="store_true", help="measure each result, too")
    parser.add_argument("--retry-errors", action="store_true", help="do failed rows once more")
    parser.add_argument("--new-workflow", action="store_true", help="go on with another workflow")
    parser.add_argument("--dry-run", action="store_true", help="check the table, and do nothing")
    parser.set_defaults(usage=parser.error)


def run(options: argparse.Namespace) -> int:
    """Check the whole table, do what has no record yet, write the report."""
    from ..batch import results
    from ..batch.key import digest
    from ..batch.status import read
    from ..batch.store import Store

    if str(options.table) == STATUS:
        if options.folder is None:
            return options.usage("status needs the folder of a batch")
        print("\n".join(read(Store(options.folder))))
        return 0
    if options.folder is not None or options.workflow is None or options.out is None:
        return options.usage("a batch needs TABLE, --workflow FILE and --out DIR")
    require_counts(options)
    store = Store(options.out.absolute())
    plan, connect = planned(options, store)
    work = digest(plan.workflow.as_prompt()), options.new_workflow
    if options.dry_run:
        store.require_open(*work)
        return _dry(plan, store, options.retry_errors)
    store.open(*work)
    with store.driving():
        progress = _drive(options, store, plan, connect)
        table, page, counts = results.rebuild(store)
    console.tell(f"{progress.line()}; {progress.inversions} inversions")
    if counts.get("error"):
        console.tell("Failed rows are first on the page; --retry-errors does them again.")
    if options.evaluate and progress.before:
        console.tell(f"{progress.before} rows were done before: what was measured then stays.")
    print(f"{table}\n{page}")
    if progress.left:
        return 128 + signal.SIGINT
    return 1 if counts.get("error") else 0


def require_counts(options: argparse.Namespace) -> None:
    """EvenframeError for options out of range, or of another engine."""
    of_engines = {
        "workers": ("local", "ray"),
        "threads": ("local", "ray"),
        "gpus_per_worker": ("ray",),
        "address": ("ray",),
        "server": ("comfyui",),
        "models": ("local", "ray"),
        "cache": ("local", "ray"),
    }
    for name, engines in of_engines.items():
        if getattr(options, name) and options.engine not in engines:
            there = " and ".join(engines)
            raise EvenframeError(
                f"--{name.replace('_', '-')} is of --engine {there}: leave it out."
            )
    for name in ("workers", "threads"):
        number = getattr(options, name)
        if number is not None and not 1 <= number <= MOST_WORKERS:
            raise EvenframeError(f"--{name} is {number}: give 1 to {MOST_WORKERS}.")
    share = options.gpus_per_worker
    if share is not None and not (0 <= share <= 64 and round(share, 4) == share):
        raise EvenframeError(f"--gpus-per-worker is {share}: give 0 to 64, as in .5.")
    if share is not None and share > 1 and share != int(share):
        raise EvenframeError(f"--gpus-per-worker is {share}: above 1, give a whole number.")
    if options.engine == "comfyui" and not options.server:
        raise EvenframeError("--engine comfyui needs a server: --server http://127.0.0.1:8188")


def planned(options: argparse.Namespace, store: Store) -> tuple[Plan, Callable[[], Engine]]:
    """The rows of the table, and what makes the engine for them."""
    from ..batch import plan as plans
    from ..batch import table as tables
    from ..nodes.host import workflow as workflows

    workflow, table = workflows.read(options.workflow), tables.read(options.table)
    rules, connect = _engine(options, store, workflow)
    return plans.plan(table, workflow, rules), connect


def _engine(
    options: argparse.Namespace, store: Store, workflow: Workflow
) -> tuple[Rules, Callable[[], Engine]]:
    from ..batch import edits, measures
    from ..batch.here import HereRules
    from ..batch.job import Setup
    from ..nodes.host.standalone import Session

    inputs = tuple(path.absolute() for path in options.input or [options.table.absolute().parent])
    # Absolute: a cluster's workers stand in other folders.
    models = options.models or Session.from_environment().models
    models = tuple(path.absolute() for path in models)
    cache = None if options.cache is None else options.cache.absolute()
    workers = options.workers or 1
    threads, evaluate = threads_of(options, workers), options.evaluate
    setup = Setup(store.root, edits.make, models, inputs, cache, threads, evaluate=evaluate)
    session = replace(edits.session(setup), output=store.root)
    if evaluate:
        with edits.standalone().using(session):
            measures.require()
    if options.engine == "comfyui":
        return _servers(options, store, session, workflow)

    rules = HereRules(session)

    def connect() -> Engine:
        from ..batch.engines.cluster import RayEngine, cache_of
        from ..batch.engines.local import LocalEngine

        if options.engine == "local":
            return LocalEngine(setup, workers)
        anywhere = replace(setup, cache=cache_of(setup))
        gpus = options.gpus_per_worker or 0.0
        return RayEngine(anywhere, workers, rules.made_by, gpus, options.address)

    return rules, connect


def _servers(
    options: argparse.Namespace, store: Store, session: Session, workflow: Workflow
) -> tuple[Rules, Callable[[], Engine]]:
    from ..batch.engines.comfyui import ComfyUIEngine
    from ..batch.engines.server import Server
    from ..batch.there import ThereRules

    servers = list(dict.fromkeys(Server(url) for url in options.server))
    rules = ThereRules(servers, session, workflow)
    return rules, lambda: ComfyUIEngine(store, servers, rules.fits, options.evaluate)


def threads_of(options: argparse.Namespace, workers: int) -> int:
    """What each worker takes: what is asked for, or its share of what torch would take."""
    import torch

    return options.threads or max(1, torch.get_num_threads() // workers)


def _drive(
    options: argparse.Namespace, store: Store, plan: Plan, connect: Callable[[], Engine]
) -> Progress:
    from ..batch.driver import Driver
    from ..batch.store import write_lines

    store.sweep(everything=True)
    waiting, again = _waiting(plan, store, options.retry_errors)
    require_rows(plan, waiting)
    if options.retry_errors:
        store.forget(again)
        console.tell(f"{len(again)} rows that failed are done again")
    write_lines(store.table, plan.lines())
    watch = Watch()
    driver = Driver(store, plan, connect(), tell=watch.tell, on_tick=watch.tick)
    try:
        return driver.run()
    finally:
        watch.clear()


def _waiting(plan: Plan, store: Store, retry: bool) -> tuple[list[str], set[str]]:
    """(the keys to do, those of them that failed before)."""
    there = store.committed()
    again = store.failed(there & plan.first.keys()) if retry else set[str]()
    return [key for key in plan.first if key not in there - again], again


def require_rows(plan: Plan, keys: list[str]) -> None:
    """Say all that is wrong with the rows, and raise EvenframeError where something is."""
    bar = console.progress()
    wrong = plan.wrong(keys, lambda done, total: bar("Checking rows", done, total))
    if wrong:
        more = console.tell_first(wrong)
        raise EvenframeError(
            f"{len(wrong)} of {len(keys)} rows cannot be done{more}: nothing was started. Correct "
            "these lines of the table."
        )


def _dry(plan: Plan, store: Store, retry: bool) -> int:
    waiting, _ = _waiting(plan, store, retry)
    require_rows(plan, waiting)
    rows, works = len(plan.keys), len(plan.first)
    failed = len(store.failed(plan.first.keys() - set(waiting)))
    told = f", {failed} of them failed (--retry-errors does them again)" if failed else ""
    print(
        f"{rows} rows, {rows - works} of them twice; {works - len(waiting)} works are done{told}, "
        f"{len(waiting)} to do, with {plan.inversions(waiting)} inversions"
    )
    return 0


class Watch:
    """Shows how far a batch is: on a terminal a line that changes, in a log a line a minute."""

    def __init__(self) -> None:
        import sys
        import time

        self._clock, self._out, self._next = time.monotonic, sys.stderr, 0.0
        self._moving = self._out is not None and self._out.isatty()

    def tell(self, text: str) -> None:
        self.clear()
        console.tell(one_line(text))

    def clear(self) -> None:
        """Make room for something else in the place of the line that changes."""
        if self._moving:
            console.tell("\r\033[K", end="")

    def tick(self, progress: Progress) -> None:
        now = self._clock()
        if now < self._next:
            return
        self._next = now + (0.5 if self._moving else 60.0)
        if self._moving:
            console.tell(f"\r\033[K{one_line(progress.line())}", end="")
        else:
            console.tell(one_line(progress.line()))
