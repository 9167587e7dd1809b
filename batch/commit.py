"""One row from its beginning to its record: made aside, moved into place, linked.

Whatever ends it early, the record is there with all of its files, or none of it is; and however
many do the same row, one record is linked.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..pipelines.common.errors import EvenframeError, error_text
from ..pipelines.common.whole_file import LOCK, is_full, try_lock
from .job import Job, Lost, Made, Outcome, State
from .key import FORMAT
from .store import Store, link


def perform(store: Store, job: Job, edit: Callable[[Job, Path], Made], worker: str) -> Outcome:
    """Do a row and commit it; what fails is committed as an error.

    worker: who does it, for the record. Returns `full`, with nothing committed, on a full disk.
    """
    start, made, failed = time.perf_counter(), Made(), ""
    try:
        with _aside(store, job.key) as own:
            files = own / "files"
            files.mkdir()
            try:
                _require_unchanged(job)
                made = edit(job, files)
            except Lost:
                raise
            except Exception as error:
                if is_full(error):
                    raise
                failed = error_text(error)
                shutil.rmtree(files)
                files.mkdir()
            seconds = time.perf_counter() - start
            _commit(store, job, own, made, failed, {"worker": worker, "seconds": round(seconds, 3)})
    except Exception as error:  # a library may say in its own words that the disk is full
        if isinstance(error, Lost) or not is_full(error):
            raise
        return Outcome(job.key, "full", error_text(error))
    state: State = "error" if failed else "done"
    return Outcome(job.key, state, failed, made.inversions)


def fail(store: Store, job: Job, message: str, worker: str) -> Outcome:
    """Commit a row as an error without doing it."""

    def give_up(_: Job, __: Path) -> Made:
        raise EvenframeError(message)

    return perform(store, job, give_up, worker)


def _commit(
    store: Store, job: Job, own: Path, made: Made, failed: str, told: Mapping[str, Any]
) -> None:
    """Move the files into place, then link the record that names them."""
    files = sorted(path for path in (own / "files").rglob("*") if path.is_file())
    for path in files:
        _settle(path)
    place = store.clips / own.name
    record = {"format": FORMAT, "key": job.key, "state": "error" if failed else "done"}
    record |= {"error": failed} if failed else {}
    record |= {"line": job.line, "folder": own.name if files else ""}
    record |= {"files": [path.relative_to(own / "files").as_posix() for path in files]}
    record |= {**told, "inversions": made.inversions, **job.record, **made.facts}
    written = own / "record"
    written.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    _settle(written)
    if files:
        os.rename(own / "files", place)
    if not link(written, store.record_path(job.key)) and files:
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def _aside(store: Store, key: str) -> Iterator[Path]:
    """A folder to work in, which is locked from the moment that it has its name."""
    token = secrets.token_hex(6)
    fresh, own = store.aside / f"new-{token}", store.aside / f"{key[:16]}-{token}"
    fresh.mkdir()
    try:
        with (fresh / LOCK).open("x", encoding="utf-8") as lock:
            try_lock(lock.fileno())
            os.rename(fresh, own)
            try:
                yield own
            except BaseException:
                if store.folder_of(key) != own.name:
                    shutil.rmtree(store.clips / own.name, ignore_errors=True)
                raise
    finally:
        for folder in (fresh, own):
            shutil.rmtree(folder, ignore_errors=True)


def _require_unchanged(job: Job) -> None:
    """The key tells of what a file held when the batch began."""
    for path, size, changed in job.files:
        status = os.stat(path)
        if (status.st_size, status.st_mtime_ns) != (size, changed):
            raise EvenframeError(
                f"'{path}' was changed after the batch had begun: start the batch again."
            )


def _settle(path: Path) -> None:
    """Bring a file to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
