"""Ways to do the edits of a batch that take turns: loops of plain processes, and whole batches."""

from __future__ import annotations

import json
import multiprocessing
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, Self

from ..batch import edits
from ..batch.driver import Driver
from ..batch.engines.engine import Engine
from ..batch.here import HereRules
from ..batch.job import Job, Made, Outcome, Setup
from ..batch.plan import Plan, plan
from ..batch.store import Store
from ..batch.table import Row, Table
from ..nodes import node_classes
from ..nodes.host.executor import Executor
from ..nodes.host.workflow import parse
from ..pipelines.common.errors import EvenframeError

RECIPE = Path(__file__).parents[1] / "examples_workflows" / "api" / "FateZero attribute edit.json"
TEXT = "a {} circle left of a blue square on a gray background"
COLORS = ("yellow", "green", "purple", "white")
STEPS, FRAMES = 4, 2
MOST_WARM = 20
"""Rows in which each worker must have done one: it makes its model then."""
PATIENCE = 300.0
CLOSED = 0.1
"""Seconds after which an engine between two turns looks again."""
Make = Callable[[Setup, int], Engine]
"""Of an engine of so many workers."""


class Way(Protocol):
    """Does edits in turns."""

    def turn(self, rows: int) -> float:
        """Seconds of so many rows by each of its workers, at the same time."""
        ...


def planned(
    root: Path, count: int, make: Callable[[Setup], Any] = edits.make
) -> tuple[Plan, Setup]:
    """So many short edits of one clip, each another row. make: of what does them.

    Attention is computed again in each of them: only who inverted the clip could have kept it, and
    workers, loops and turns would differ by that.
    """
    graph = {n: e for n, e in json.loads(RECIPE.read_text()).items() if n not in ("11", "12")}
    graph["6"]["inputs"] |= {"steps": STEPS, "check": False, "store": ["20", 0]}
    graph["20"] = {"class_type": "EvenframeAttentionStore", "inputs": {"mode": "recompute"}}
    graph["3"]["inputs"]["max_frames"] = FRAMES
    cells = [{"target": TEXT.format(COLORS[n % 4]), "seed": str(n)} for n in range(count)]
    rows = tuple(Row(line, cell) for line, cell in enumerate(cells, start=2))
    setup = Setup(root / "out", make, cache=root / "cache", threads=1)
    rules = HereRules(edits.session(setup))
    return plan(Table(("target", "seed"), rows), parse(graph), rules), setup


class Loop:
    """A process with one thread that runs the graphs of its rows in a loop."""

    def __init__(self, root: Path, rows: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_loop, args=(theirs, root, rows), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self.begin(1)
        self.end()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()

    def begin(self, rows: int) -> None:
        self._pipe.send(rows)

    def end(self) -> None:
        self._pipe.recv()


def _loop(pipe: Any, root: Path, rows: int) -> None:
    import torch

    torch.set_num_threads(1)
    work, setup = planned(root, rows)
    host, keys = edits.standalone(), iter(work.keys)
    with host.using(replace(edits.session(setup), output=root / "output")):
        executor = Executor(host, node_classes())
        while True:
            for _ in range(pipe.recv()):
                executor.run(work.graph(work.table.rows[work.first[next(keys)]]))
            pipe.send("")


LOOP_SECONDS = "loop_seconds"


class Beside:
    """Does each row once more, as a loop would, and tells its seconds: `LOOP_SECONDS` of a record.

    So both are of one process, whose memory's layout alone is worth some percent. Which of them
    comes first changes from row to row: the second finds the caches warm.
    """

    def __init__(self, setup: Setup) -> None:
        self._edit, self._host = edits.make(setup), edits.standalone()
        self._session = replace(edits.session(setup), output=setup.out.with_name("loop output"))
        with self._host.using(self._session):
            self._executor = Executor(self._host, node_classes())

    def __call__(self, job: Job, folder: Path) -> Made:
        before = self._looped(job) if job.line % 2 else 0.0
        made = self._edit(job, folder)
        looped = before or self._looped(job)
        return replace(made, facts={**made.facts, LOOP_SECONDS: looped})

    def _looped(self, job: Job) -> float:
        start = time.perf_counter()
        with self._host.using(self._session):
            self._executor.run(parse(job.prompt))
        return time.perf_counter() - start


class Loops:
    """`Way` of loops side by side."""

    def __init__(self, loops: Sequence[Loop]) -> None:
        self._loops = loops

    def turn(self, rows: int) -> float:
        start = time.perf_counter()
        for loop in self._loops:
            loop.begin(rows)
        for loop in self._loops:
            loop.end()
        return time.perf_counter() - start


class Batch:
    """`Way` of a batch with its driver, which goes on in a thread."""

    def __init__(
        self,
        root: Path,
        rows: int,
        workers: int,
        make: Make,
        edit: Callable[[Setup], Any] = edits.make,
    ) -> None:
        work, setup = planned(root, rows, edit)
        self._engine, self._store = Turns(make(setup, workers)), Store(setup.out)
        self._driver = Driver(self._store, work, self._engine, lambda _: None)
        self._workers = workers
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        for _ in range(MOST_WARM // self._workers):
            self.turn(1)
            if len(self._engine.ended) == self._workers:
                return self
        raise EvenframeError("A worker did nothing while the others worked: measure once more.")

    def __exit__(self, *_: object) -> None:
        self._driver.stopping.set()
        self._thread.join()

    def turn(self, rows: int) -> float:
        return self._engine.turn(rows * self._workers)

    def told(self, name: str) -> list[float]:
        """What the records of the last turn tell by this name."""
        return [self._store.record(key)[name] for key in self._engine.keys]

    def _run(self) -> None:
        self._store.open("w")
        with self._store.driving():
            self._driver.run()


class Turns:
    """`Engine` that gives another one's workers so many rows a turn.

    ended: the workers that have done one. keys: of the last turn's rows.
    """

    def __init__(self, engine: Engine) -> None:
        self.name, self.shared = engine.name, engine.shared
        self.start, self.note, self.stop = engine.start, engine.note, engine.stop
        self.ended, self.keys = set[str](), list[str]()
        self._engine, self._left, self._busy = engine, 0, 0
        self._began, self._took, self._over = 0.0, 0.0, threading.Event()

    def turn(self, rows: int) -> float:
        """Seconds from the first row's handing out to the last one's record."""
        self._over.clear()
        self.keys.clear()
        self._began, self._left = 0.0, rows
        if not self._over.wait(PATIENCE):
            raise EvenframeError(
                f"{rows} rows took more than {PATIENCE:.0f} s: measure on an idle machine."
            )
        return self._took

    def idle(self) -> list[str]:
        return self._engine.idle()[: self._left]

    def give(self, worker: str, job: Job) -> None:
        self._began = self._began or time.perf_counter()
        self._left, self._busy = self._left - 1, self._busy + 1
        self._engine.give(worker, job)

    def wait(self, seconds: float) -> list[tuple[str, Outcome]]:
        found = self._engine.wait(seconds if self._busy else CLOSED)
        for worker, outcome in found:
            if outcome.state != "done":
                raise EvenframeError(f"An edit of the bench failed: {outcome.message}")
            self.ended.add(worker)
            self.keys.append(outcome.key)
            self._busy -= 1
        if found and not self._left and not self._busy:
            self._took = time.perf_counter() - self._began
            self._over.set()
        return found
