"""Files of tensors that show when they were altered, and folders of them that do not outgrow."""

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from .errors import EvenframeError
from .progress import OnPass, carry_on
from .tensor_header import Unreadable, read_header
from .whole_file import Numbered, replace, write_new

SUFFIX = ".safetensors"
HASHED = 1 << 26
"""Bytes between two looks at an interrupt: a tenth of a second."""


def write(
    target: Path | Numbered,
    kind: str,
    header: str,
    tensors: Mapping[str, Tensor],
    what: str,
    *,
    new: bool = False,
) -> Path:
    """Write a safetensors file, which appears whole or not at all; gives its path.

    kind: its format and version; header: any text; a digest over header and tensors goes with them.
    what: how an error names it. new: never in the place of another; a `Numbered` always is.
    Raises EvenframeError where it cannot be written, such as on a full disk.
    """
    from safetensors.torch import save_file

    whole = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {"format": kind, "header": header, "digest": _digest(header, whole)}

    def save(partial: Path) -> None:
        save_file(whole, partial, metadata)

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(target, Numbered) or new:
            return write_new(target, save)
        return replace(target, save)
    except EvenframeError:
        raise
    except Exception as error:
        raise EvenframeError(
            f"The {what} could not be written to '{target.parent}': {error}. "
            "Free some space or choose another folder."
        ) from error


def read(path: Path, kind: str) -> tuple[str, dict[str, Tensor]]:
    """The header and the tensors of a file that `write` made.

    Raises ValueError that says why it is not one, whole and unaltered; FileNotFoundError.
    """
    from safetensors import SafetensorError, safe_open

    try:
        read_header(path)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != kind:
                raise ValueError("it is another kind of file")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise
    except Unreadable as error:
        raise ValueError(f"it {error}") from error
    except (OSError, SafetensorError) as error:
        raise ValueError(str(error)) from error
    header = metadata.get("header", "")
    if metadata.get("digest") != _digest(header, tensors):
        raise ValueError("its contents do not match its digest")
    return header, tensors


def _digest(header: str, tensors: Mapping[str, Tensor]) -> str:
    return hashlib.sha256((header + hash_tensors(tensors)).encode()).hexdigest()


def touch(path: Path) -> None:
    """Mark a file as used now."""
    with suppress(OSError):
        os.utime(path)


def drop_oldest(folder: Path, limit_bytes: int, keep: Path) -> None:
    """Delete what was used longest ago until a folder's files fit, but never `keep`."""
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


def hash_tensors(tensors: Mapping[str, Tensor], on_part: OnPass = carry_on) -> str:
    """SHA-256 over names, types, shapes and bytes. on_part: called before each part of the work;
    what it raises (an interrupt) ends it."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        data = tensor.reshape(-1).view(torch.uint8).numpy().data
        for start in range(0, len(data), HASHED):
            on_part()
            digest.update(data[start : start + HASHED])
    return digest.hexdigest()
