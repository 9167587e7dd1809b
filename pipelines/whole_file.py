"""Files that appear whole or not at all."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import EvenframeError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PARTIAL = ".partial"


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """Take the name `target`, and give a name to write to that becomes it at the end.

    Whatever ends the writing early, an interrupt too, leaves neither.
    Raises EvenframeError where the name is taken or cannot be, and on a full disk.
    """
    try:
        target.open("xb").close()
    except FileExistsError as error:
        raise EvenframeError(
            f"'{target}' exists and is never overwritten: give another name."
        ) from error
    except OSError as error:
        raise EvenframeError(
            f"'{target}' cannot be written: {error.strerror}. Check the folder."
        ) from error
    try:
        with replaced_file(target) as partial:
            yield partial
    except BaseException as error:
        target.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in NO_SPACE:
            raise EvenframeError(
                f"The disk is full: '{target.name}' could not be written, and nothing of it was "
                f"left. Free some space, or save to another disk. ({error.strerror})"
            ) from error
        raise


@contextmanager
def replaced_file(target: Path) -> Iterator[Path]:
    """Give a name to write to that becomes `target` at the end, or is gone."""
    partial = target.with_name(f".{target.name}.{os.getpid()}{PARTIAL}")
    try:
        yield partial
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
