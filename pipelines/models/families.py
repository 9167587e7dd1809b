"""Where to get a model: every kind that can be run, asked in turn.

A new kind is a folder beside this file and a line in `FAMILIES`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .family import Family, Prediction, Source
from .stable_diffusion.family import STABLE_DIFFUSION
from .wan.family import WAN

if TYPE_CHECKING:
    import torch

    from .model import Model

FAMILIES: list[Family] = [STABLE_DIFFUSION, WAN]


def register(family: Family) -> None:
    """Add a kind of model that comes from outside of this package, when the program starts."""
    FAMILIES.append(family)


def load(
    source: Source,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    prediction: Prediction = "auto",
) -> Model:
    """Load a model: "miniature" (built in), a diffusers folder, or a single-file checkpoint.

    Works offline; reads safetensors (or what torch.load(weights_only=True) reads).
    dtype: of the weights; None is float32. prediction: "auto", "epsilon" or "v_prediction", for
    single files that cannot tell.
    Raises EvenframeError naming what the source is where no family knows it.
    """
    import torch

    # The last first: what came from outside goes by a name, which no folder of that name may take.
    # Stable Diffusion's loader says of any other file what it is.
    asked = reversed(FAMILIES)
    family = next((each for each in asked if each.recognise(source)), STABLE_DIFFUSION)
    model = family.load(source, dtype or torch.float32, prediction)
    for module in model.modules:
        module.to(device)
    return model
