"""Which row goes to which worker: rows that share an inversion go to the same."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable


class Schedule:
    """Works that wait, by group.

    A group belongs to the worker that took its first row. Where workers share what they keep on
    disk, one that has nothing to do takes of another's group once its inversion is there.
    """

    def __init__(self, works: Iterable[tuple[str, str]], shared: bool) -> None:
        """works: (key, group). shared: whether workers find each other's inversions."""
        self._shared, self._group = shared, dict(works)
        self._waiting: dict[str, deque[str]] = {}
        for key, group in self._group.items():
            self._waiting.setdefault(group, deque()).append(key)
        self._free = deque(self._waiting)
        self._owned: dict[str, dict[str, None]] = {}
        self._inverted: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def take(self, worker: str) -> str | None:
        """The next key for a worker; None while there is none for it."""
        own = self._owned.setdefault(worker, {})
        while own and next(iter(own)) not in self._waiting:
            del own[next(iter(own))]  # it is done, and never looked at again
        group = next(iter(own), None)
        while group is None and self._free:
            free = self._free.popleft()
            if free in self._waiting:
                group = free
                own[group] = None
        if group is None and self._shared:
            others = [each for each in self._waiting if each in self._inverted]
            group = max(others, key=lambda each: len(self._waiting[each]), default=None)
        return None if group is None else self._pop(group)

    def committed(self, key: str) -> None:
        """A row is done: the inversion of its group is there."""
        group = self._group.pop(key)
        if group in self._waiting:
            self._inverted.add(group)
        else:
            self._inverted.discard(group)

    def again(self, key: str) -> None:
        """Let a row be done once more, before others of its group."""
        group = self._group[key]
        if group not in self._waiting:
            self._waiting[group] = deque()
            if not any(group in own for own in self._owned.values()):
                self._free.appendleft(group)
        self._waiting[group].appendleft(key)

    def lost(self, worker: str) -> None:
        """A worker is gone, and what it kept with it: its groups go to whoever comes first."""
        waiting = [group for group in self._owned.pop(worker, {}) if group in self._waiting]
        self._free.extendleft(waiting)

    def _pop(self, group: str) -> str:
        waiting = self._waiting[group]
        key = waiting.popleft()
        if not waiting:
            del self._waiting[group]
        return key
