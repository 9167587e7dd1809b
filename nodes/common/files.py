"""What tells a node that a file it read was replaced."""

from __future__ import annotations

from pathlib import Path

from ..host import host

Stamp = tuple[str, int, int]


def stamp(path: Path) -> Stamp:
    """A file's path, size and time of change: equal as long as nobody writes to it."""
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns


def stamps(path: Path) -> list[Stamp]:
    """Those of a file, or of all files in a folder, by path."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [stamp(file) for file in files if file.is_file()]


def input_stamp(name: str | None) -> Stamp | None:
    """That of an input file; None where its name is linked, and not yet known."""
    return None if name is None else stamp(host.input_path(name))
