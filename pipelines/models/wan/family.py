"""Wan among the families; nothing heavy is imported before it is used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...common.errors import EvenframeError
from ..family import Family, Prediction, Source

if TYPE_CHECKING:
    import torch

    from ..model import Model

PIPELINES = ("WanPipeline", "WanImageToVideoPipeline", "WanVACEPipeline", "WanVideoToVideoPipeline")
"""What a folder of Wan may call itself; the loader says which of them it takes."""


def recognise(source: Source) -> bool:
    """Whether a folder says so."""
    from ..files.folder_files import read_settings

    try:
        index = Path(source) / "model_index.json"
        return index.is_file() and read_settings(index).get("_class_name") in PIPELINES
    except (EvenframeError, OSError, ValueError, TypeError):  # such as a name that is too long
        return False


def load(source: Source, dtype: torch.dtype, prediction: Prediction) -> Model:
    """A folder in the diffusers layout. prediction: means nothing, Wan predicts a flow."""
    from .folder import load_folder

    return load_folder(Path(source), dtype)


WAN = Family("Wan 2.1 and 2.2", recognise, load)
