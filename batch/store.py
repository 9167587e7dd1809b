"""A batch's folder: what lies where, who may work in it, what is done.

batch.json    format and workflow          lock       held by the driver
table.jsonl   the rows and their keys      status.json  how far it is
results/KEY.json  a record is the commit   clips/NAME/  the files of a record
aside/NAME/   what is being made: locked by who makes it
"""

from __future__ import annotations

import json
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..pipelines.common import untrusted_json
from ..pipelines.common.errors import EvenframeError, short_repr
from ..pipelines.common.whole_file import LOCK, is_held, move_new, try_lock
from .key import FORMAT

KEY = re.compile("[0-9a-f]{64}")
NAME = re.compile("[0-9a-f]{16}-[0-9a-f]{12}")
MAX_RECORD = 2**24
RECORD = ".json"
LOOKS, LOOK_SECONDS = 5, 0.1
"""At the lock of another driver, before it is taken for one."""
NEW = ".new"
BEGUN = re.compile(rf"batch\.json-[0-9a-f]{{8}}\{NEW}")


@dataclass(frozen=True)
class Store:
    """The folder of one batch."""

    root: Path

    @property
    def results(self) -> Path:
        return self.root / "results"

    @property
    def clips(self) -> Path:
        return self.root / "clips"

    @property
    def aside(self) -> Path:
        return self.root / "aside"

    @property
    def table(self) -> Path:
        return self.root / "table.jsonl"

    @property
    def _head(self) -> Path:
        return self.root / "batch.json"

    @property
    def status(self) -> Path:
        return self.root / "status.json"

    def record_path(self, key: str) -> Path:
        return self.results / f"{key}{RECORD}"

    def open(self, workflow: str, new_workflow: bool = False) -> None:
        """Make the folder, or check that it is of this version and workflow (a digest).

        EvenframeError, and nothing is changed, where it is not, or another driver works there.
        """
        self._require_own()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with self.driving():
                there = self._begun(workflow, new_workflow)
                named = {"id": secrets.token_hex(8)} | there | {"workflow": workflow}
                if named != there:
                    write_lines(self._head, [json.dumps(named, indent=1), "\n"], settled=True)
                for folder in (self.results, self.clips, self.aside):
                    folder.mkdir(exist_ok=True)
        except OSError as error:
            raise EvenframeError(
                f"'{self.root}' cannot be written ({error.strerror}): name another folder with "
                "--out."
            ) from error

    def require_open(self, workflow: str, new_workflow: bool = False) -> None:
        """Raise what `open` would, but for what another driver or the disk would."""
        self._require_own()
        self._begun(workflow, new_workflow)

    def _require_own(self) -> None:
        """EvenframeError where something else lies here."""
        if self.root.exists() and not self.root.is_dir():
            raise EvenframeError(f"'{self.root}' is a file: name a folder with --out.")
        begun = self._head.exists() or self.results.is_dir()
        if not begun and self.root.exists() and any(_visible(self.root)):
            raise EvenframeError(
                f"'{self.root}' holds other files and is no batch's folder: name a new one with "
                "--out."
            )

    def _begun(self, workflow: str, new_workflow: bool) -> dict[str, Any]:
        """What is there of a batch; EvenframeError for one of another version or workflow."""
        there = read_object(self._head) if self._head.exists() else {"format": FORMAT}
        if there.get("format") != FORMAT:
            raise EvenframeError(
                f"'{self.root}' is a batch of format {short_repr(there.get('format'))}, and "
                f"this version goes on with {FORMAT}: name another folder with --out."
            )
        other = there.get("workflow", workflow) != workflow
        if other and not new_workflow and self.committed():
            raise EvenframeError(
                f"'{self.root}' is a batch of another workflow: name another folder with "
                "--out, or say --new-workflow to go on in this one."
            )
        return there

    @property
    def id(self) -> str:
        """Of this batch alone, wherever its folder lies."""
        return str(read_object(self._head).get("id"))

    def require(self) -> None:
        """EvenframeError where this is no batch's folder of this version."""
        if not self._head.is_file() or read_object(self._head).get("format") != FORMAT:
            raise EvenframeError(f"'{self.root}' is no folder of a batch (of format {FORMAT}).")

    @contextmanager
    def driving(self) -> Iterator[None]:
        """Be the one driver of the folder; EvenframeError where another is."""
        with (self.root / LOCK).open("a+") as lock:
            # Again: who asks for the status takes the lock for a moment.
            if not any(_locked(lock.fileno()) for _ in range(LOOKS)):
                lock.seek(0)
                raise EvenframeError(
                    f"Another batch works in '{self.root}' ({lock.read(200).strip()}): wait for "
                    "its end, or look at it with `evenframe batch status`."
                )
            lock.truncate(0)
            lock.write(f"process {os.getpid()} on {platform.node()}\n")
            lock.flush()
            yield

    def committed(self) -> set[str]:
        """The keys that are committed, by listing; no record is read."""
        if not self.results.is_dir():
            return set()
        with os.scandir(self.results) as entries:
            names = {entry.name for entry in entries if entry.name.endswith(RECORD)}
        return {key for name in names if KEY.fullmatch(key := name.removesuffix(RECORD))}

    def record(self, key: str) -> dict[str, Any]:
        """What was committed for a key; an error in words where it cannot be read."""
        try:
            return read_object(self.record_path(key))
        except EvenframeError as error:
            return {"key": key, "state": "error", "error": str(error), "files": []}

    def failed(self, keys: Iterable[str]) -> set[str]:
        """Those of some committed keys that failed."""
        return {key for key in keys if self.record(key).get("state") == "error"}

    def forget(self, keys: Iterable[str]) -> None:
        """Let rows be done again: their records are kept aside."""
        kept = self.root / "retried"
        for key in keys:
            kept.mkdir(exist_ok=True)
            os.replace(self.record_path(key), kept / f"{key}-{secrets.token_hex(4)}{RECORD}")

    def sweep(self, everything: bool = False) -> None:
        """Remove what dead workers left; what a living one makes is locked.

        everything: also what no lock can tell of, for when no worker runs.
        """
        for new in self.root.glob(f"*{NEW}") if everything else ():
            if not is_held(new):
                new.unlink(missing_ok=True)
        for left in self.aside.iterdir():
            named = NAME.fullmatch(left.name) is not None
            if not (named or everything):  # to look at a lock takes it, which its maker is about to
                continue
            held = is_held(left / LOCK)
            if held or (held is None and not everything):
                continue
            if named and left.name not in self._folders(left.name):
                shutil.rmtree(self.clips / left.name, ignore_errors=True)
            shutil.rmtree(left, ignore_errors=True)  # last: it says that the other may be left

    def folder_of(self, key: str) -> Any:
        """The folder of clips that a key's record names; None without a record."""
        return self.record(key).get("folder") if self.record_path(key).exists() else None

    def _folders(self, name: str) -> set[Any]:
        """The folders of clips that records name whose keys begin as a folder's name does."""
        begin = name.partition("-")[0]
        return {self.folder_of(key) for key in self.committed() if key.startswith(begin)}


def _locked(file: int) -> bool:
    """Whether a lock is ours, or cannot be told; waits a little where it is another's."""
    if try_lock(file) is not False:
        return True
    time.sleep(LOOK_SECONDS)
    return False


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object of a file, read as untrusted; EvenframeError where it is none."""
    try:
        if path.stat().st_size > MAX_RECORD:
            raise ValueError(f"it has more than {MAX_RECORD} bytes")
        value = untrusted_json.parse(path.read_bytes())
        if not isinstance(value, dict):
            raise ValueError("it is no object")
    except (OSError, ValueError) as error:
        raise EvenframeError(f"'{path}' cannot be read ({error}): delete it.") from error
    return value


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """A JSON object in the place of a file, whole."""
    write_lines(path, [json.dumps(value, indent=1), "\n"])


def write_lines(path: Path, lines: Iterable[str], settled: bool = False) -> None:
    """Text in the place of a file, whole. Of those that write it at once, the last one's stays.

    settled: wait until it is on the disk.
    """
    with fresh(path) as new:
        with new.open("w", encoding="utf-8", newline="") as file:
            file.writelines(lines)
            if settled:
                file.flush()
                os.fsync(file.fileno())
        os.replace(new, path)


@contextmanager
def fresh(path: Path) -> Iterator[Path]:
    """A file beside a file, nobody else's, and gone at the end: a report may be made while a driver
    works. It is locked, so that the next driver sweeps only that of one that was killed."""
    name = path.with_name(f"{path.name}-{secrets.token_hex(4)}{NEW}")
    while True:
        with name.open("a") as lock:
            try_lock(lock.fileno())
            if not name.exists():  # swept before it was locked
                continue
            try:
                yield name
            finally:
                name.unlink(missing_ok=True)
            return


def link(aside: Path, name: Path) -> bool:
    """Give a record its name, if nobody has: the commit."""
    try:
        move_new(aside, name)
    except FileExistsError:
        # A network's file system may say so of a link that it has just made.
        return name.exists() and aside.exists() and name.samefile(aside)
    return True


def _visible(folder: Path) -> Iterator[Path]:
    """What is neither hidden nor of a batch that was ended before it had begun."""
    files = (path for path in folder.iterdir() if not path.name.startswith("."))
    return (path for path in files if path.name != LOCK and not BEGUN.fullmatch(path.name))
