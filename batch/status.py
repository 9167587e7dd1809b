"""How far a batch is: written while it runs, read from another terminal."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from ..pipelines.common.errors import one_line
from ..pipelines.common.whole_file import LOCK, is_held
from .store import Store, read_object, write_json

ENDED, STOPPED = "ended", "stopped"
"""States of a batch that nothing works on."""


@dataclass
class Progress:
    """What the driver counts. total: works of the table. before: those that had a record already,
    failed_before: of a failure. doing: by worker, the line and when it began. ended: by worker, its
    rows."""

    total: int
    before: int = 0
    failed_before: int = 0
    done: int = 0
    failed: int = 0
    lost: int = 0
    inversions: int = 0
    state: str = "starting"
    message: str = ""
    began: float = field(default_factory=time.monotonic)
    doing: dict[str, tuple[int, float]] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)

    @property
    def left(self) -> int:
        return self.total - self.before - self.done - self.failed

    def seconds_left(self) -> float | None:
        """By the pace of this run; None before its first row, and where nothing works any more."""
        now = 0 if self.state in (ENDED, STOPPED) else self.done + self.failed
        return (time.monotonic() - self.began) / now * self.left if now else None

    def line(self) -> str:
        """`12 of 500 rows, 1 failed, 2 at work, about 31 min left`."""
        parts = [f"{self.before + self.done + self.failed} of {self.total} rows"]
        parts += [f"{failed} failed"] if (failed := self.failed + self.failed_before) else []
        parts += [f"{len(self.doing)} at work"] if self.doing else []
        left = self.seconds_left()
        parts += [f"about {duration(left)} left"] if left is not None and self.left else []
        return ", ".join(parts) + (f" ({self.message})" if self.message else "")

    def as_json(self, engine: str) -> dict[str, Any]:
        now = time.monotonic()
        names = sorted({*self.doing, *self.ended})
        workers = {
            name: {
                "rows": self.ended.get(name, 0),
                "line": self.doing[name][0] if name in self.doing else None,
                "seconds": round(now - self.doing[name][1], 1) if name in self.doing else None,
            }
            for name in names
        }
        counts = {
            name: getattr(self, name)
            for name in ("total", "before", "failed_before", "done", "failed", "lost", "inversions")
        }
        left = self.seconds_left()
        return {
            "state": self.state,
            "message": self.message,
            **counts,
            "seconds": round(now - self.began, 1),
            "seconds_left": None if left is None else round(left),
            "engine": engine,
            "driver": {"process": os.getpid(), "machine": platform.node()},
            "workers": workers,
        }


def write(store: Store, progress: Progress, engine: str) -> None:
    """Put it where `read` finds it."""
    write_json(store.status, progress.as_json(engine))


def read(store: Store) -> list[str]:
    """What to tell of a batch, as lines: of the run under way, or of the last one."""
    store.require()
    keys = len(store.committed())
    if not store.status.exists():
        return [f"{keys} rows have a record; nothing runs."]
    told = read_object(store.status)
    numbers = {k: v for k, v in told.items() if isinstance(v, int | float) and isfinite(v)}
    state = one_line(str(told.get("state")))[:80]
    gone = state not in (ENDED, STOPPED) and is_held(store.root / LOCK) is False
    if gone:
        state = "its driver is gone; start the same command again to go on"
    done, total = (int(numbers.get(name, 0)) for name in ("done", "total"))
    failed, before = (int(numbers.get(name, 0)) for name in ("failed", "before"))
    earlier = int(numbers.get("failed_before", 0))
    lines = [f"{before + done + failed} of {total} rows, {failed + earlier} failed: {state}"]
    if message := one_line(str(told.get("message") or ""))[:500]:
        lines.append(message)
    if numbers.get("seconds_left") and not gone:
        lines.append(f"about {duration(numbers['seconds_left'])} left")
    lines.append(f"{keys} records, {int(numbers.get('inversions', 0))} inversions in this run")
    workers = None if gone else told.get("workers")
    for name, each in workers.items() if isinstance(workers, Mapping) else ():
        lines.append(_worker(str(name), each if isinstance(each, Mapping) else {}))
    return lines


def _worker(name: str, told: Mapping[str, Any]) -> str:
    line, seconds = told.get("line"), told.get("seconds")
    at = "idle" if line is None else f"line {line}, {duration(seconds)}"
    return one_line(f"{name}: {told.get('rows')} rows, {at}")[:200]


def duration(seconds: Any) -> str:
    """`40 s`, `12 min`, `3.5 h`, `2.1 days`."""
    if not isinstance(seconds, int | float):
        return "?"
    if seconds < 120:
        return f"{max(seconds, 0):.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.1f} days"
