"""The tensors of a checkpoint file, read without running anything in it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import torch
from torch import Tensor

from ..errors import EvenframeError
from .sniff import WANTED


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file. Raises EvenframeError for a damaged one."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise EvenframeError(f"'{path.name}' is damaged ({error}): download it again.") from error


def read_pickle(path: Path, wanted: str = WANTED) -> dict[str, Tensor]:
    """Tensors of a pickle, without running anything in it. Raises EvenframeError for any other.

    wanted: what an error says to choose instead.
    """
    try:
        mapped = zipfile.is_zipfile(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # a damaged pickle raises whatever its opcodes happen to
        raise EvenframeError(
            f"'{path.name}' is a pickle that cannot be read safely, or is damaged: pickles can run "
            "code, so convert it to .safetensors or download that version."
        ) from error
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict):
        raise EvenframeError(
            f"'{path.name}' is a pickle of something else than a checkpoint: choose {wanted}."
        )
    named = {key: value for key, value in loaded.items() if isinstance(key, str)}
    return {key: value for key, value in named.items() if isinstance(value, Tensor)}
