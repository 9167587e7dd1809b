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

MOST_PACES = 64


@dataclass
class Cost:
    """Tells before the first step how many passes an edit makes, the memory asked for, and how long
    it takes where its like was done before in this process; and afterwards how long it took.

    like: model, size and frames at once, on which the time of a pass depends. memory: bytes.
    """

    like: Hashable
    memory: int
    lines: list[str] = field(default_factory=list)
    _rows: int = 0
    _since: float = 0.0

    def begin(self, passes: Passes) -> None:
        """The edit is about to take its first step."""
        line = f"{passes.describe()}. {in_bytes(self.memory)} asked for beside the weights"
        pace = host.paces.get(self.like)
        if pace is not None:
            line += f"; about {_time(pace * passes.rows)}, if it goes as fast as last time"
        self.lines.append(f"{line}.")
        self._rows, self._since = passes.rows, monotonic()
        host.tell(self.lines[0])

    def end(self) -> None:
        """The edit is done."""
        took = monotonic() - self._since
        host.paces.pop(self.like, None)
        if self._rows:
            host.paces[self.like] = took / self._rows
        if len(host.paces) > MOST_PACES:
            del host.paces[next(iter(host.paces))]
        self.lines.append(f"It took {_time(took)}.")


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.2g} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes / 60:.1f} h"
