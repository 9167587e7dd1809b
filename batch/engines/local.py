"""Workers as processes of this machine: spawned, so that each has its own libraries and device."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from ...pipelines.common.errors import EvenframeError
from ..commit import perform
from ..job import Job, Outcome, Setup
from ..signals import hearing
from ..store import Store

MOST_STARTS = 3
"""Times in a row that a worker may end while it gets ready."""


@dataclass
class Process:
    """A worker: its process, the pipe to it, what it does, how often it ended before a row."""

    process: BaseProcess
    pipe: Connection
    job: Job | None = None
    ready: bool = False
    starts: int = 1


class LocalEngine:
    """`Engine` of so many processes."""

    name, shared = "local", True

    def __init__(self, setup: Setup, workers: int) -> None:
        self._setup, self._count = setup, workers
        self._workers: dict[str, Process] = {}
        self._context = multiprocessing.get_context("spawn")

    def start(self) -> None:
        for number in range(self._count):
            self._workers[f"worker {number}"] = self._spawn(number)

    def idle(self) -> list[str]:
        return [name for name, each in self._workers.items() if each.ready and each.job is None]

    def give(self, worker: str, job: Job) -> None:
        each = self._workers[worker]
        each.job = job
        with suppress(OSError):  # it died just now, which `wait` tells
            each.pipe.send(job)

    def wait(self, seconds: float) -> list[tuple[str, Outcome]]:
        by_pipe = {each.pipe: name for name, each in self._workers.items()}
        ended = list[tuple[str, Outcome]]()
        for pipe in wait(list(by_pipe), seconds):
            name = by_pipe[pipe]  # pyright: ignore[reportArgumentType]
            each = self._workers[name]
            try:
                said = each.pipe.recv()
            except (EOFError, OSError):
                ended += self._died(name)
                continue
            if isinstance(said, str):
                if said:
                    raise EvenframeError(f"{name} cannot work: {said}")
                each.ready, each.starts = True, 0
            elif isinstance(said, Outcome):
                each.job = None
                ended.append((name, said))
        return ended

    def note(self) -> str:
        return ""

    def stop(self) -> None:
        for each in self._workers.values():
            each.process.kill()
        for each in self._workers.values():
            each.process.join()
            each.pipe.close()
        self._workers.clear()

    @property
    def pids(self) -> dict[str, int]:
        """The processes that are there now."""
        return {name: each.process.pid or 0 for name, each in self._workers.items()}

    def _spawn(self, number: int) -> Process:
        ours, theirs = self._context.Pipe()
        setup = replace(self._setup, number=number)
        process = self._context.Process(target=serve, args=(theirs, setup), daemon=True)
        with hearing(signal.SIGINT, signal.SIG_IGN):  # born deaf: Ctrl-C is the driver's to hear
            process.start()
        theirs.close()
        return Process(process, ours)

    def _died(self, name: str) -> list[tuple[str, Outcome]]:
        """Put a new worker in the place of one that is gone."""
        each = self._workers[name]
        each.process.join()
        code, number = each.process.exitcode or 0, int(name.rpartition(" ")[2])
        why = f"signal {-code}" if code < 0 else f"exit code {code}"
        if each.starts >= MOST_STARTS:
            raise EvenframeError(
                f"{name} ended {each.starts} times while it got ready ({why}): run one row with "
                "`evenframe run` to see why."
            )
        fresh = self._spawn(number)
        fresh.starts += each.starts
        self._workers[name] = fresh
        each.pipe.close()
        if each.job is None:
            return []
        return [(name, Outcome(each.job.key, "lost", f"{name} died ({why})"))]


def serve(pipe: Any, setup: Setup) -> None:
    """A worker's life: says "" when it is ready, or why it cannot be; then an outcome a job."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        edit = setup.make(setup)
    except EvenframeError as error:
        pipe.send(str(error))
        return
    store, name = Store(setup.out), f"worker {setup.number}"
    pipe.send("")
    with suppress(EOFError, ConnectionError):  # the driver is gone
        while True:
            job = pipe.recv()
            try:
                outcome = perform(store, job, edit, name)
            except (OSError, EvenframeError) as error:
                outcome = Outcome(job.key, "lost", f"{name} cannot write: {error}")
            pipe.send(outcome)


def _end_with_parent() -> None:
    """Nobody hands on what is still being made; it is not committed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
