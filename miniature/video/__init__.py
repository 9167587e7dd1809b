"""The video miniature: a very small video transformer in Wan's layout, and its world in motion."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...pipelines.models.family import Family, Prediction, Source

if TYPE_CHECKING:
    import torch

    from ...pipelines.models.model import Model

NAME = "video miniature"


def weights_dir() -> Path:
    """Folder of the shipped weights, in diffusers layout. Nothing is loaded or downloaded."""
    return Path(__file__).resolve().parent / "weights"


def is_there(folder: Path | None = None) -> bool:
    """Whether there are weights: until they are trained, the pack comes without."""
    from ..integrity import HASHES

    return ((folder or weights_dir()) / HASHES).is_file()


def _load(_: Source, dtype: torch.dtype, prediction: Prediction) -> Model:
    from .model import load_model

    return load_model(dtype)


FAMILY = Family(NAME, lambda source: str(source) == NAME, _load)
