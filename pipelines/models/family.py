"""A kind of model that can be run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

    from .model import Model

Source = str | Path
Prediction = Literal["auto", "epsilon", "v_prediction"]
PRECISIONS = {"fp16": "float16", "bf16": "bfloat16", "fp32": "float32"}
"""Of a model's weights: what people call them, and what torch does."""


@dataclass(frozen=True)
class Family:
    """What is asked of a kind of model before there is one.

    name: for people. recognise: whether a file, a folder or a name is one of its models; it answers
    quickly and raises nothing. load: that model, on the CPU in this precision; `prediction` as of
    `families.load`.
    """

    name: str
    recognise: Callable[[Source], bool]
    load: Callable[[Source, torch.dtype, Prediction], Model]
