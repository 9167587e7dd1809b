"""What an evaluation is given, and what it says: one row for each published measure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..common.progress import OnPass, carry_on


class NotMeasured(Exception):
    """Why there is no number: what is missing, and what to do for it to be there."""


Values = Mapping[str, float | str]
"""By the names of a technique's `FORMULAS`: a number, or why there is none."""


@dataclass(frozen=True, eq=False)
class Asked:
    """An edit to evaluate.

    source, result: (f, h, w, 3) in 0..1, of one shape. source_prompt, prompt: what they show; ""
    where it is not known. mask: (f, h, w), 1 where the edit was meant to be; None where nobody
    says. judges: the user's folder of models. questions: those of a benchmark's file, with answers.
    device: on which models judge. on_pass: called before each measure, and before each of a
    model's passes.
    """

    source: Tensor
    result: Tensor
    source_prompt: str = ""
    prompt: str = ""
    mask: Tensor | None = None
    judges: Path | None = None
    questions: tuple[Mapping[str, Any], ...] = ()
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    on_pass: OnPass = carry_on

    def need_prompt(self) -> str:
        """The target prompt."""
        if not self.prompt.strip():
            raise NotMeasured("no target prompt is given")
        return self.prompt


@dataclass(frozen=True)
class Measured:
    """A row: the measure's name, its formula, and its value, or why there is none."""

    name: str
    formula: str
    value: float | None
    why: str = ""


Measure = Callable[[Asked], Values]
