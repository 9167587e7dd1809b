"""Files that appear whole or not at all, and never in the place of another."""

import errno
import itertools
import os
import platform
import re
import secrets
import shutil
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .errors import EvenframeError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PARTIAL = ".partial"
LOCK = "lock"
LONGEST_PARTIAL = 80
"""Bytes that the name of what is not yet complete adds to its folder's at most."""
JUST_BEGUN_SECONDS = 60
ABANDONED_SECONDS = 3600
"""What nobody has written to for so long is given up, where no lock can tell."""

Write = Callable[[Path], object]
"""Writes a file of the name that it is given."""


def is_full(error: BaseException) -> bool:
    """Whether a full disk is behind an error; a file that is too large will not fit later."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in NO_SPACE:
            return seen.errno != errno.EFBIG
        seen = seen.__cause__ or seen.__context__
    return False


@dataclass(frozen=True)
class Numbered:
    """A name that gets its number when its file is complete: `clip` and `.mp4` in a folder become
    `clip_00001_.mp4`, or the first higher number that is free."""

    parent: Path
    stem: str
    suffix: str

    def at(self, number: int) -> Path:
        return self.parent / f"{self.stem}_{number:05}_{self.suffix}"

    def following(self) -> Iterator[Path]:
        """The names that may be free, from the one after the highest number, whatever its file."""
        taken = re.compile(re.escape(self.stem) + "_([0-9]{1,9})_")
        numbers = [int(m.group(1)) for name in os.listdir(self.parent) if (m := taken.match(name))]
        return map(self.at, itertools.count(max(numbers, default=0) + 1))


def write_new(target: Path | Numbered, write: Write) -> Path:
    """Have a new file written; returns its path, which it gets when it is complete.

    Whatever ends the writing early, an interrupt too, leaves nothing; of a process that was killed
    the next save in that folder removes what is left (`sweep`).
    Raises EvenframeError where the name is taken or cannot be, and on a full disk.
    """
    name = target if isinstance(target, Path) else target.at(1)
    if _exists(name) and isinstance(target, Path):  # told now, not when the work is done
        raise _taken(target)
    try:
        with _aside(name) as partial:
            write(partial)
            _settle(partial)
            return _publish(partial, [target] if isinstance(target, Path) else target.following())
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        raise EvenframeError(
            f"The disk is full: '{name.name}' could not be written, and nothing of it was "
            f"left. Free some space, or save to another disk. ({error.strerror})"
        ) from error


def replace(target: Path, write: Write) -> Path:
    """Have a file written that takes the place of `target` when it is complete."""
    with _aside(target) as partial:
        write(partial)
        os.replace(partial, target)
    return target


def sweep(folder: Path) -> None:
    """Remove what dead processes left half written in a folder, never what a living one writes."""
    for left in folder.glob(f".evenframe-*{PARTIAL}"):
        with suppress(OSError):
            if _is_dead(left):
                shutil.rmtree(left)


@contextmanager
def _aside(target: Path) -> Iterator[Path]:
    """A name to write to, in a folder of its own beside the target, gone at the end.

    The folder, and not the file, holds the lock by which `sweep` knows that this process lives:
    libraries that write through a temporary file of theirs keep it in there, too.
    """
    sweep(target.parent)
    own = target.parent / f"{_ours()}{secrets.token_hex(8)}{PARTIAL}"
    try:
        own.mkdir()
    except OSError as error:
        if error.errno in NO_SPACE:
            raise
        raise _refused(target, error) from error
    try:
        with (own / LOCK).open("xb") as lock:
            try_lock(lock.fileno())
            yield own / f"partial{target.suffix}"
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _publish(partial: Path, names: Iterable[Path]) -> Path:
    """Give a complete file the first of some names that is free."""
    for name in names:
        try:
            move_new(partial, name)
        except FileExistsError:
            # A network's file system may say so of a link that it has just made.
            if not (name.exists() and partial.exists() and name.samefile(partial)):
                continue
        return name
    raise _taken(name)


def move_new(partial: Path, name: Path) -> None:
    """Give a file a name in one step; FileExistsError where it is taken."""
    if os.name == "nt":
        os.rename(partial, name)  # which never overwrites there
        return
    try:
        os.link(partial, name)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links, such as exFAT: the name is taken first, empty, and
        # filled at once. Another program's file is not overwritten here either.
        name.open("xb").close()
        try:
            os.replace(partial, name)
        except BaseException:
            name.unlink()
            raise


def _settle(partial: Path) -> None:
    """Bring a complete file to the disk, with the rights that files of this process have."""
    mode = (partial.parent / LOCK).stat().st_mode
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    partial.chmod(mode)  # libraries that write through a temporary file leave it to its owner


def _is_dead(left: Path) -> bool:
    """Whether nobody writes any more to what `_aside` made."""
    touched = max(path.stat().st_mtime for path in (left, *left.iterdir()))
    seconds = time.time() - touched
    if seconds < JUST_BEGUN_SECONDS:  # its lock may not be held yet
        return False
    held = is_held(left / LOCK)
    # A lock that is free says nothing where another machine may hold it unseen.
    sure = held is False and left.name.startswith(_ours())
    return sure or (not held and seconds > ABANDONED_SECONDS)


def is_held(lock: Path) -> bool | None:
    """Whether a process holds a lock; None where there is none, or locks are not known."""
    try:
        if os.name == "nt":
            lock.unlink()  # refused while a process has it open
            return False
        with lock.open("rb+") as file:
            locked = try_lock(file.fileno())
            return None if locked is None else not locked
    except PermissionError:
        return True
    except OSError:
        return None


def try_lock(file: int) -> bool | None:
    """Lock an open file for this process: False where another holds it, None without locks."""
    try:
        import fcntl
    except ImportError:  # Windows, where an open file cannot be removed
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _ours() -> str:
    """How the names of what this machine writes aside begin."""
    return f".evenframe-{zlib.crc32(platform.node().encode()):08x}-"


def _exists(name: Path) -> bool:
    """Whether a file has a name; EvenframeError where none can have it."""
    try:
        name.lstat()
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:  # too long, in a file, with a NUL
        raise _refused(name, error) from error
    return True


def _refused(name: Path, error: Exception) -> EvenframeError:
    reason = getattr(error, "strerror", None) or error
    return EvenframeError(f"'{name}' cannot be written: {reason}. Check the name and the folder.")


def _taken(name: Path) -> EvenframeError:
    return EvenframeError(f"'{name}' exists and is never overwritten: give another name.")
