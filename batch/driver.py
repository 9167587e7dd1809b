"""The loop of a batch: hands rows to workers, until each has its record."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from ..pipelines.common.whole_file import NO_SPACE
from . import status
from .commit import fail
from .engines.engine import Engine
from .job import Outcome
from .plan import Plan
from .schedule import Schedule
from .signals import hearing
from .status import Progress
from .store import Store

MOST_DEATHS = 3
"""Workers that a row may take with it."""
TICK, REPORT = 0.5, 1.0
PAUSE, LONGEST_PAUSE = 5.0, 300.0
"""Seconds for which a worker rests that found its disk full, which double while it does."""
PROBE_BYTES = 2**20
Tell = Callable[[str], None]


@dataclass
class Driver:
    """A run of a batch. tell: is told what the user should see at once. pause: see `PAUSE`."""

    store: Store
    plan: Plan
    engine: Engine
    tell: Tell = print
    on_tick: Callable[[Progress], None] = lambda _: None
    pause: float = PAUSE
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> Progress:
        """Do what has no record yet, and return what came of it.

        An interrupt lets the rows in flight end; a second one raises KeyboardInterrupt.
        """
        there = self.store.committed()
        works = dict(zip(self.plan.keys, self.plan.groups, strict=True))
        waiting = [(key, group) for key, group in works.items() if key not in there]
        failed = self.store.failed(there & works.keys())
        self.progress = Progress(len(works), len(works) - len(waiting), len(failed))
        self._schedule = Schedule(waiting, self.engine.shared)
        self._deaths, self._flight, self._written = Counter[str](), dict[str, str](), 0.0
        self._rests, self._pauses = dict[str, float](), dict[str, float]()
        if not waiting:
            self._report(status.ENDED)
            return self.progress
        self._report("starting")
        try:
            with self._interrupts():
                self.engine.start()
                self._loop()
        finally:
            self.engine.stop()
            self.store.sweep(everything=True)
            self._report(status.STOPPED if self.progress.left else status.ENDED)
        return self.progress

    def _loop(self) -> None:
        while self._flight or (self._schedule and not self.stopping.is_set()):
            if not self.stopping.is_set():
                self._hand_out()
            for worker, outcome in self.engine.wait(TICK):
                self._ended(worker, outcome)
            self.progress.message = self._note()
            if time.monotonic() - self._written > REPORT:
                self._report(self._state())
            self.on_tick(self.progress)

    def _state(self) -> str:
        if self.stopping.is_set():
            return "ends after the rows in flight"
        return "paused" if self._rests and not self._flight else "running"

    def _hand_out(self) -> None:
        for worker in self.engine.idle():
            key = self._schedule.take(worker) if self._has_room(worker) else None
            if key is None:
                continue
            job = self.plan.job(key)
            self._flight[worker] = key
            self.progress.doing[worker] = (job.line, time.monotonic())
            self.engine.give(worker, job)

    def _ended(self, worker: str, outcome: Outcome) -> None:
        key = self._flight.pop(worker)
        line, _ = self.progress.doing.pop(worker)
        if outcome.state == "full":
            self._schedule.again(key)
            self._pause(worker, outcome.message)
            return
        if outcome.state == "lost":
            outcome = self._lost(worker, key, outcome)
            if outcome.state == "lost":
                return
        if self._pauses.pop(worker, None):
            self.tell(f"There is room again: {worker} goes on.")
        progress = self.progress
        self._schedule.committed(key)
        progress.ended[worker] = progress.ended.get(worker, 0) + 1
        progress.inversions += outcome.inversions
        if outcome.state == "error":
            progress.failed += 1
            self.tell(f"line {line} failed: {outcome.message}")
        else:
            progress.done += 1

    def _lost(self, worker: str, key: str, outcome: Outcome) -> Outcome:
        """What becomes of a row whose worker died: it is done again, twice at most."""
        self.progress.lost += 1
        self._schedule.lost(worker)
        self.store.sweep()
        if self.store.record_path(key).exists():  # it died after the commit
            record = self.store.record(key)
            made = record.get("inversions", 0)
            if record.get("state") == "error":
                return Outcome(key, "error", str(record.get("error")), inversions=made)
            return Outcome(key, "done", inversions=made)
        self._deaths[key] += 1
        if self._deaths[key] < MOST_DEATHS:
            self.tell(f"{outcome.message}: its row is done again")
            self._schedule.again(key)
            return outcome
        message = f"The row ended its worker {MOST_DEATHS} times, at last: {outcome.message}."
        given_up = fail(self.store, self.plan.job(key), message, worker)
        if given_up.state == "full":
            self._deaths[key] -= 1
            self._schedule.again(key)
            self._pause(worker, given_up.message)
            return outcome
        return given_up

    def _pause(self, worker: str, message: str) -> None:
        """Let a worker rest, longer each time; its rows are others', whose disk may have room."""
        if worker not in self._pauses:
            self.tell(f"The disk is full, so {worker} pauses until there is room: {message}")
        self._pauses[worker] = min(2 * self._pauses.get(worker, self.pause / 2), LONGEST_PAUSE)
        self._rests[worker] = time.monotonic() + self._pauses[worker]
        self._schedule.lost(worker)

    def _has_room(self, worker: str) -> bool:
        """Whether a worker rests no more: what it does next shows whether there is room for it."""
        if worker in self._rests:
            if time.monotonic() < self._rests[worker]:
                return False
            if not self._can_write():
                self._rests[worker] = time.monotonic() + self._pauses[worker]
                return False
            del self._rests[worker]
        return True

    def _note(self) -> str:
        """What the user should know now."""
        resting = f"paused: the disk is full ({', '.join(self._rests)})" if self._rests else ""
        return resting or self.engine.note()

    def _can_write(self) -> bool:
        probe = self.store.root / "probe.new"
        try:
            probe.write_bytes(os.urandom(PROBE_BYTES))  # which no disk packs into nothing
        except OSError:
            return False
        finally:
            probe.unlink(missing_ok=True)
        return True

    def _report(self, state: str) -> None:
        self.progress.state, self._written = state, time.monotonic()
        try:
            status.write(self.store, self.progress, self.engine.name)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise

    @contextmanager
    def _interrupts(self) -> Iterator[None]:
        """Let the first Ctrl-C within the block end the batch in good order."""

        def heard(number: int, frame: FrameType | None) -> None:
            if self.stopping.is_set():
                raise KeyboardInterrupt
            self.stopping.set()
            self.tell("The batch ends after the rows in flight; Ctrl-C again ends it at once.")

        with hearing(signal.SIGINT, heard):
            yield
