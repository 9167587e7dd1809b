"""What an edit will take, as far as that can be known, and what it took."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

from ...pipelines.common.memory import in_bytes
from ..host import host

if TYPE_CHECKING:
    from ...pipelines.passes import Passes

MOST_KEPT = 64
"""Edits of which it is known what they took."""


@dataclass(frozen=True)
class Seen:
    """What an edit took. steps: of its inversion. memory: bytes. pace: seconds for a row."""

    steps: int
    passes: Passes
    memory: int
    pace: float


@dataclass
class Cost:
    """Tells before the first step how many passes an edit makes, the memory asked for, and how long
    it takes where its like was done before in this process; and afterwards how long it took.

    like: model, size and frames at once, on which the time of a pass depends. memory: bytes.
    steps: of the inversion. upstream: what decides on model and clip in the workflow, under which
    an estimate finds it before the next run; "" where there is none.
    """

    like: Hashable
    memory: int
    steps: int = 0
    upstream: str = ""
    lines: list[str] = field(default_factory=list)
    _passes: Passes | None = None
    _since: float = 0.0

    def begin(self, passes: Passes) -> None:
        """The edit is about to take its first step."""
        self.lines.append(line(passes, self.memory, host.paces.get(self.like)))
        self._passes, self._since = passes, monotonic()
        host.tell(self.lines[0])

    def end(self) -> None:
        """The edit is done."""
        took, passes = monotonic() - self._since, self._passes
        host.paces.pop(self.like, None)
        if passes is not None and passes.rows:
            pace = host.paces[self.like] = took / passes.rows
            if self.upstream:
                host.costs.pop(self.upstream, None)
                host.costs[self.upstream] = Seen(self.steps, passes, self.memory, pace)
        for kept in (host.paces, host.costs):
            if len(kept) > MOST_KEPT:
                del kept[next(iter(kept))]
        self.lines.append(f"It took {_time(took)}.")


def line(passes: Passes, memory: int, pace: float | None) -> str:
    """What an edit takes, for people."""
    told = f"{passes.describe()}. {in_bytes(memory)} asked for beside the weights"
    if pace is not None:
        told += f"; about {_time(pace * passes.rows)}, if it goes as fast as last time"
    return f"{told}."


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.2g} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes / 60:.1f} h"
