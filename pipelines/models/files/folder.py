"""A model folder in the diffusers layout: what it says that it is, and the files of its parts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ...common.errors import EvenframeError
from .folder_files import header_of, part_name, read_settings
from .tensors import read_safetensors

if TYPE_CHECKING:
    from torch import Tensor


def check_index(
    path: Path, pipelines: Sequence[str], classes: Mapping[str, str | Sequence[str]], wanted: str
) -> dict[str, Any]:
    """The model_index.json of a folder; EvenframeError where it names another kind of model.

    pipelines: the names that it may have. classes: those of its parts, or several that one may
    have, the usual first. wanted: what to choose.
    """
    if not path.is_dir():
        raise EvenframeError(f"No such model folder: '{path}'. Check the name and the place.")
    if not (path / "model_index.json").is_file():
        raise EvenframeError(
            f"'{path.name}' is not a model folder, it has no model_index.json: {wanted}."
        )
    index = read_settings(path / "model_index.json")
    pipeline = index.get("_class_name")
    if pipeline not in pipelines:
        raise EvenframeError(
            f"'{path.name}' is a model for {pipeline!r:.60}, which is not supported: {wanted}."
        )
    for part, needed in classes.items():
        named = index.get(part)
        found = named[1] if isinstance(named, list) and len(named) == 2 else None
        may_be = [needed] if isinstance(needed, str) else needed
        if found not in may_be:
            raise EvenframeError(
                f"'{path.name}' has {found!r:.60} as its {part}, where '{may_be[0]}' is needed: "
                f"{wanted}."
            )
    return index


def weight_files(part: Path, stem: str, dtype: torch.dtype) -> list[Path]:
    """The safetensors files of one part: the fp16 variant for float16, shards in order."""
    every = sorted(part.glob(f"{stem}*.safetensors")) if part.is_dir() else []
    half = [file for file in every if ".fp16" in file.name]
    full = [file for file in every if file.name == f"{stem}.safetensors"]
    full = full or [file for file in every if file.name.startswith(f"{stem}-")]
    full = [file for file in full if ".fp16" not in file.name]
    chosen = (half or full) if dtype == torch.float16 else (full or half)
    if chosen:
        return chosen
    pickles = [file.name for suffix in ("*.bin", "*.ckpt", "*.pt") for file in part.glob(suffix)]
    if pickles:
        raise EvenframeError(
            f"The folder '{part.parent.name}' holds '{part.name}/{pickles[0]}' but no safetensors: "
            "pickles can run code, so download the safetensors version of the model, or write one: "
            "safetensors.torch.save_file(torch.load(FILE, weights_only=True), NEW_FILE)."
        )
    raise EvenframeError(
        f"The folder '{part.parent.name}' has no weights in '{part.name}' "
        f"('{stem}.safetensors'): download the complete model."
    )


def part_files(
    path: Path, stems: Mapping[str, str], types: Mapping[str, torch.dtype]
) -> dict[str, list[Path]]:
    """`weight_files` by part, each with a header that can be read: before modules are built."""
    files = {part: weight_files(path / part, stem, types[part]) for part, stem in stems.items()}
    for file in chain.from_iterable(files.values()):
        header_of(file, part_name(file))
    return files


def read_weights(files: Iterable[Path]) -> dict[str, Tensor]:
    """The tensors of a part."""
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors.update(read_safetensors(file, part_name(file)))
    return tensors


def as_fact(config: Mapping[str, Any]) -> str:
    """A configuration as a fact: the same however it is laid out and whichever version wrote it."""
    used = {key: value for key, value in config.items() if not key.startswith("_")}
    return json.dumps(used, sort_keys=True)
