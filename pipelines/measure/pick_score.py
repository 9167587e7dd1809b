"""PickScore (Kirstain et al., NeurIPS 2023): how well people would like a frame for a prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import image_text

if TYPE_CHECKING:
    from torch import Tensor

    from .asked import Asked, Values

NAME = "PickScore"
FORMULAS = {NAME: "mean over frames of exp(logit scale) cos(frame, target prompt) (TGVE)"}


def measure(asked: Asked) -> Values:
    """NotMeasured without PickScore, or a prompt."""
    prompt = asked.need_prompt()
    judge = image_text.load("pickscore", asked)
    return {NAME: pick_score(judge.frames(asked.result), judge.text(prompt), judge.scale)}


def pick_score(frames: Tensor, words: Tensor, scale: float) -> float:
    """From frames (f, d) and words (d,) of unit length."""
    return scale * float((frames @ words).mean())
