"""Ways to do the edits of a batch that take turns: loops of plain processes, and whole batches."""

from __future__ import annotations

import json
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
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
"""Rows in which each worker must have done one: it makes its model and its inversion then."""
PATIENCE = 10.0
"""Seconds that a row may take at most."""
BETWEEN_TURNS = 0.1
"""Seconds after which an engine that has nothing to give looks again."""
LOOP_SECONDS = "loop_seconds"
MakeEngine = Callable[[Setup, int], Engine]
"""Of so many workers."""
MakeEdit = Callable[[Setup], Callable[[Job, Path], Made]]


class Way(Protocol):
    """Does edits in turns."""

    def turn(self, rows: int) -> float:
        """Seconds of so many rows by each of its workers, at the same time."""
        ...


def planned(
    root: Path, count: int, clips: Sequence[int] = (0,), make: MakeEdit = edits.make
) -> tuple[Plan, Setup]:
    """So many short edits, each another row. clips: whose inversions they want, in turn."""
    graph = {n: e for n, e in json.loads(RECIPE.read_text()).items() if n not in ("11", "12")}
    graph["6"]["inputs"] |= {"steps": STEPS, "check": False}
    graph["3"]["inputs"]["max_frames"] = FRAMES
    texts = [TEXT.format(COLORS[n % len(COLORS)]) for n in range(count)]
    cells = [
        {"target": text, "seed": str(n), "3.skip": str(clips[n % len(clips)])}
        for n, text in enumerate(texts)
    ]
    rows = tuple(Row(line, cell) for line, cell in enumerate(cells, start=2))
    setup = Setup(root / "out", make, cache=root / "cache", threads=1)
    rules = HereRules(edits.session(setup))
    return plan(Table(("target", "seed", "3.skip"), rows), parse(graph), rules), setup


class PlainEdits:
    """Edits as a loop in Python does them: by an executor, and no more.

    Their inversions are their own, for who takes one from disk has no attention with it.
    """

    def __init__(self, setup: Setup) -> None:
        self._host, beside = edits.standalone(), setup.out.with_name
        folders = {"output": beside("loop output"), "cache": beside("loop cache")}
        self._session = replace(edits.session(setup), **folders)
        with self._host.using(self._session):
            self._executor = Executor(self._host, node_classes())

    def __call__(self, job: Job) -> float:
        """Seconds of one."""
        start = time.perf_counter()
        with self._host.using(self._session):
            self._executor.run(parse(job.prompt))
        return time.perf_counter() - start


class Loop:
    """A process of one thread with a loop of plain edits of a clip of its own."""

    def __init__(self, root: Path, rows: int, clip: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_loop, args=(theirs, root, rows, clip), daemon=True)

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


def _loop(pipe: Any, root: Path, rows: int, clip: int) -> None:
    import torch

    torch.set_num_threads(1)
    work, setup = planned(root, rows, (clip,))
    edit, keys = PlainEdits(setup), iter(work.keys)
    while True:
        for _ in range(pipe.recv()):
            edit(work.job(next(keys)))
        pipe.send("")


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


class EditBesideLoop:
    """Edits each row of a batch and, before or after it, once more as a loop does: its record tells
    `LOOP_SECONDS`.

    So both are of one process: memory lies otherwise in another, which alone is worth some percent.
    Which comes first changes from row to row, for the second finds the caches warm.
    """

    def __init__(self, setup: Setup) -> None:
        self._edit, self._plain = edits.make(setup), PlainEdits(setup)

    def __call__(self, job: Job, folder: Path) -> Made:
        if job.line % 2:
            took = self._plain(job)
            made = self._edit(job, folder)
        else:
            made = self._edit(job, folder)
            took = self._plain(job)
        return replace(made, facts={**made.facts, LOOP_SECONDS: took})


@contextmanager
def running_batch(
    root: Path,
    rows: int,
    workers: int,
    engine: MakeEngine,
    clips: Sequence[int] = (0,),
    edit: MakeEdit = edits.make,
) -> Iterator[Batch]:
    """A batch of so many rows by each worker, all of which are ready."""
    work, setup = planned(root, workers * rows + MOST_WARM, clips, edit)
    store, turns = Store(setup.out), EngineInTurns(engine(setup, workers))
    driver = Driver(store, work, turns, lambda _: None)

    def drive() -> None:
        store.open("w")
        with store.driving():
            driver.run()

    with ThreadPoolExecutor(1) as pool:
        batch = Batch(store, turns, workers, pool.submit(drive))
        try:
            batch.warm_up()
            yield batch
        finally:
            driver.stopping.set()


class Batch:
    """`Way` of a batch whose driver goes on in a thread. driven: that thread's end."""

    def __init__(
        self, store: Store, engine: EngineInTurns, workers: int, driven: Future[None]
    ) -> None:
        self._store, self._engine = store, engine
        self._workers, self._driven = workers, driven

    def warm_up(self) -> None:
        for _ in range(MOST_WARM // self._workers):
            self.turn(1)
            if len(self._engine.ended) == self._workers:
                return
        raise EvenframeError("A worker did nothing while the others worked: measure once more.")

    def turn(self, rows: int) -> float:
        return self._engine.turn(rows * self._workers, self._driven)

    def told(self, name: str) -> list[float]:
        """What the records of the last turn tell by this name."""
        return [self._store.record(key)[name] for key in self._engine.keys]


class EngineInTurns:
    """`Engine` that gives another one's workers so many rows a turn.

    ended: the workers that have done one. keys: of the last turn's rows. Between two turns nothing
    is in flight, so that the driver's thread and the one that asks for turns need no lock.
    """

    def __init__(self, engine: Engine) -> None:
        self.name, self.shared = engine.name, engine.shared
        self.start, self.note, self.stop = engine.start, engine.note, engine.stop
        self.ended, self.keys = set[str](), list[str]()
        self._engine, self._left, self._busy = engine, 0, 0
        self._began, self._took, self._over = 0.0, 0.0, threading.Event()

    def turn(self, rows: int, driven: Future[None]) -> float:
        """Seconds from the first row's handing out to the last one's record.

        driven: what ends when the driver does, whose error is raised here.
        """
        self._over.clear()
        self.keys.clear()
        self._began, self._left = 0.0, rows
        waited = time.monotonic()
        while not self._over.wait(BETWEEN_TURNS):
            if driven.done():
                driven.result()
                raise EvenframeError("The batch has no rows left.")
            if time.monotonic() - waited > PATIENCE * (rows + MOST_WARM):
                raise EvenframeError(f"A row takes more than {PATIENCE:.0f} s: free the machine.")
        return self._took

    def idle(self) -> list[str]:
        return self._engine.idle()[: self._left]

    def give(self, worker: str, job: Job) -> None:
        self._began = self._began or time.perf_counter()
        self._left, self._busy = self._left - 1, self._busy + 1
        self._engine.give(worker, job)

    def wait(self, seconds: float) -> list[tuple[str, Outcome]]:
        found = self._engine.wait(seconds if self._busy else BETWEEN_TURNS)
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
