"""What the driver asks of an engine."""

from __future__ import annotations

from typing import Protocol

from ..job import Job, Outcome


class Engine(Protocol):
    """Workers with one row in flight each.

    name: for records. shared: whether workers find each other's inversions on disk.
    """

    name: str
    shared: bool

    def start(self) -> None:
        """Get workers ready. EvenframeError where there can be none."""
        ...

    def idle(self) -> list[str]:
        """The workers that can be given a row now."""
        ...

    def give(self, worker: str, job: Job) -> None:
        """Have a worker do a row."""
        ...

    def wait(self, seconds: float) -> list[tuple[str, Outcome]]:
        """What has ended, waited for at most so long; a worker that died has `lost` its row."""
        ...

    def note(self) -> str:
        """What the user should know now, such as that no server answers; mostly nothing."""
        ...

    def stop(self) -> None:
        """End all workers at once, with whatever they are doing."""
        ...
