"""The miniature: a very small latent diffusion model and the procedural world it was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..pipelines.models.family import Family, Prediction, Source

if TYPE_CHECKING:
    import torch

    from ..pipelines.models.model import Model
    from ..pipelines.models.stable_diffusion.components import Components

NAME = "miniature"


def weights_dir() -> Path:
    """Folder of the shipped weights, in diffusers layout. Nothing is loaded or downloaded."""
    return Path(__file__).resolve().parent / "weights"


def load_components(dtype: torch.dtype, folder: Path | None = None) -> Components:
    """The shipped model, or another export of it, with the words that it was trained on.

    Raises EvenframeError where a file of weights is missing or altered, with its hash.
    """
    from dataclasses import replace

    from ..pipelines.models.stable_diffusion.folder import load_folder
    from .integrity import check_weights
    from .vocabulary import vocabulary

    folder = folder or weights_dir()
    check_weights(folder)
    components = load_folder(folder, dtype, NAME)
    return replace(components, vocabulary=vocabulary())


def _load(_: Source, dtype: torch.dtype, prediction: Prediction) -> Model:
    from ..pipelines.models.stable_diffusion.family import from_components

    return from_components(load_components(dtype))


FAMILY = Family(NAME, lambda source: str(source) == NAME, _load)
