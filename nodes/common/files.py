"""What tells a node that a file it read was replaced."""

from __future__ import annotations

from pathlib import Path

Stamp = tuple[str, int, int]


def stamp(path: Path) -> Stamp:
    """A file's path, size and time of change: equal as long as nobody writes to it."""
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns
