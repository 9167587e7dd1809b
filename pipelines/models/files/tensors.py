"""The tensors of a checkpoint file, read without running anything in it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ...common.errors import EvenframeError, in_short
from ...common.tensor_header import Unreadable
from .folder_files import AGAIN, WANTED, header_of
from .pickle_scan import scan


def read_safetensors(path: Path, name: str = "") -> dict[str, Tensor]:
    """Tensors of a safetensors file. name: of it in an error, where not its own.

    Raises EvenframeError for a damaged one, and one that promises more than it holds.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    header_of(path, name)
    try:
        return load_file(path)
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError) as error:
        raise EvenframeError(
            f"'{name or path.name}' is damaged ({in_short(error)}): {AGAIN}."
        ) from error


def read_pickle(path: Path, wanted: str = WANTED) -> dict[str, Tensor]:
    """Tensors of a pickle, without running anything in it. Raises EvenframeError for any other.

    wanted: what an error says to choose instead.
    """
    try:
        is_archive = scan(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=is_archive)
        tensors = _tensors(loaded)
        if tensors is not None:
            _require_held(tensors, path.stat().st_size)
    except Unreadable as error:
        raise EvenframeError(
            f"'{path.name}' {error}: convert it to .safetensors or download that version."
        ) from error
    except Exception as error:  # a damaged pickle raises whatever its opcodes happen to
        raise EvenframeError(
            f"'{path.name}' is a pickle that cannot be read safely, or is damaged: pickles can run "
            "code, so convert it to .safetensors or download that version."
        ) from error
    if tensors is None:
        raise EvenframeError(
            f"'{path.name}' is a pickle of something else than a checkpoint: choose {wanted}."
        )
    return tensors


def _tensors(loaded: object) -> dict[str, Tensor] | None:
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict):
        return None
    named = {key: value for key, value in loaded.items() if isinstance(key, str)}
    return {key: value for key, value in named.items() if isinstance(value, Tensor)}


def _require_held(tensors: dict[str, Tensor], size: int) -> None:
    """Tensors may be views that repeat what they view: a copy would take more than the file."""
    views = {
        (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()): tensor.nbytes
        for tensor in tensors.values()
    }
    promised = sum(views.values())
    if promised > size:
        raise Unreadable(f"promises {promised} bytes of weights in a file of {size}")
