"""Tunings on disk: a safetensors file of what was trained, and a header that says on which model.

A file is untrusted: it is read without code, and checked against the digest in its own header.
"""

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from ..common import tensor_file, untrusted_json
from ..common.errors import EvenframeError, in_short
from ..common.whole_file import Numbered
from ..models.delta import Delta
from .one_shot import KEPT_DTYPE
from .settings import NORMS

FORMAT = "evenframe-tuning-1"
CHANGES, ADDED = "changes:", "added:"
MAX_FRAMES = 100_000
MAX_NAME = 200


def save(delta: Delta, path: Path | Numbered, key: str = "", *, new: bool = False) -> Path:
    """Write a tuning; the file appears whole or not at all. Returns its path.

    key: what it is the tuning of (cache.py). new: never in the place of another file.
    Raises EvenframeError where it cannot be written, such as on a full disk.
    """
    tensors = {CHANGES + name: each for name, each in delta.changes.items()}
    tensors |= {ADDED + name: each for name, each in delta.added.items()}
    header = {
        "key": key,
        "name": delta.name[:MAX_NAME],
        "base": delta.base,
        "norm": delta.norm,
        "frames": delta.frames,
    }
    return tensor_file.write(path, FORMAT, json.dumps(header), tensors, "tuning", new=new)


def load(path: Path, key: str | None = None) -> Delta:
    """Read a tuning; with `key`, only if it is the tuning of that.

    Raises EvenframeError where the file is not a whole, unaltered one.
    """
    if path.suffix.lower() in (".bin", ".pt", ".pth", ".ckpt"):
        raise EvenframeError(
            f"'{path.name}' is a pickle, which can run code: choose a file that Save Tuning wrote. "
            "A folder of Tune-A-Video's or FateZero's is a model, for Load Model, once its weights "
            "are safetensors."
        )
    try:
        text, tensors = tensor_file.read(path, FORMAT)
        header = untrusted_json.parse(text)
        if key is not None and header["key"] != key:
            raise ValueError("it is the tuning of something else")
        return _delta(header, tensors)
    except FileNotFoundError as error:
        raise EvenframeError(f"There is no tuning at '{path}': choose another file.") from error
    except Exception as error:
        reason = (
            "its header is none" if isinstance(error, KeyError | TypeError) else in_short(error)
        )
        raise EvenframeError(
            f"'{path.name}' is not a usable tuning ({reason}): tune on the clip again."
        ) from error


def _delta(header: dict[str, Any], tensors: dict[str, Tensor]) -> Delta:
    """Build the value from a file's parts. Raises ValueError for what is none."""
    frames, norm = header["frames"], header["norm"]
    if type(frames) is not int or not 0 <= frames <= MAX_FRAMES:
        raise ValueError(f"its frames are {frames!r:.60}")
    if norm not in NORMS:
        raise ValueError(f"its norm is {norm!r:.60}")
    parts: dict[str, dict[str, Tensor]] = {CHANGES: {}, ADDED: {}}
    for name, tensor in tensors.items():
        start = next((each for each in parts if name.startswith(each)), None)
        if start is None or tensor.dtype != KEPT_DTYPE:
            raise ValueError(f"it holds {name!r:.60} as {tensor.dtype}, which a tuning does not")
        parts[start][name.removeprefix(start)] = tensor
    base, name = str(header["base"])[:MAX_NAME], str(header["name"])[:MAX_NAME]
    if not base:
        raise ValueError("it does not say on which model it was made")
    return Delta(name, parts[CHANGES], parts[ADDED], norm, base, frames)
