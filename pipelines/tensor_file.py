"""Files of tensors that appear whole or not at all, and folders of them that do not outgrow."""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from torch import Tensor

from .errors import EvenframeError

SUFFIX = ".safetensors"
PARTIAL = ".partial"
ABANDONED_SECONDS = 3600
"""A partial file that nobody has written to for so long belongs to a process that was killed."""


def write(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str], what: str) -> Path:
    """Write a safetensors file under a temporary name, then give it its own.

    what: how an error names it. Raises EvenframeError where it cannot be written, such as on a full
    disk; nothing is left behind then.
    """
    from safetensors.torch import save_file

    whole = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(whole, partial, metadata)
        os.replace(partial, path)
    except Exception as error:
        raise EvenframeError(
            f"The {what} could not be written to '{path}': {error}. "
            "Free some space or choose another folder."
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink()
    return path


def touch(path: Path) -> None:
    """Mark a file as used now."""
    with suppress(OSError):
        os.utime(path)


def drop_oldest(folder: Path, limit_bytes: int, keep: Path) -> None:
    """Delete what was used longest ago until a folder's files fit, but never `keep`.

    What killed processes left half written goes too.
    """
    _drop_abandoned(folder)
    files = []
    for path in folder.glob(f"*{SUFFIX}"):
        with suppress(OSError):
            files.append((path.stat().st_mtime_ns, path.stat().st_size, path))
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= limit_bytes:
            return
        if path != keep:
            with suppress(OSError):
                path.unlink()
                total -= size


def _drop_abandoned(folder: Path) -> None:
    # By age, not by process number: several machines may share the folder.
    for path in folder.glob(f".*{PARTIAL}"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink()
