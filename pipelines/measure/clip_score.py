"""CLIP-F and CLIP-T, each in both of the forms that papers print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from . import image_text
from .asked import NotMeasured

if TYPE_CHECKING:
    from .asked import Asked, Values

ALL, ADJACENT = "CLIP-F, all pairs", "CLIP-F, adjacent"
TEXT, CLIPPED, SOURCE = "CLIP-T", "CLIP-T, clipped", "CLIP-T of the source"
FORMULAS = {
    ALL: "mean cosine of image embeddings over all pairs of frames, 0..1 (TGVE, ReAtCo)",
    ADJACENT: "100 x mean cosine over adjacent frames (FAME, VideoGrain)",
    TEXT: "mean over frames of 100 cos(frame, target prompt)",
    CLIPPED: "mean over frames of max(0, 100 cos(frame, target prompt)) (FiVE)",
    SOURCE: "mean over the source's frames of 100 cos(frame, source prompt)",
}


def measure(asked: Asked) -> Values:
    """NotMeasured without CLIP."""
    judge = image_text.load("clip", asked)
    frames = judge.frames(asked.result)
    found: dict[str, float | str] = {ALL: "the clip has one frame"}
    if len(frames) > 1:
        found |= {ALL: all_pairs(frames), ADJACENT: adjacent_pairs(frames)}
    try:
        words = judge.text(asked.need_prompt())
        found |= {TEXT: to_text(frames, words), CLIPPED: to_text(frames, words, clipped=True)}
    except NotMeasured as why:
        found |= {TEXT: str(why), CLIPPED: str(why)}
    if asked.source_prompt.strip():
        words = judge.text(asked.source_prompt)
        found[SOURCE] = to_text(judge.frames(asked.source), words)
    return found


def all_pairs(frames: Tensor) -> float:
    """The mean cosine of any two different frames, from unit vectors (f, d) with f > 1."""
    count = len(frames)
    cosines = frames @ frames.T
    return float((cosines.sum() - cosines.diagonal().sum()) / (count * (count - 1)))


def adjacent_pairs(frames: Tensor) -> float:
    """100 x the mean cosine of neighbours, from unit vectors (f, d) with f > 1."""
    return 100 * float((frames[1:] * frames[:-1]).sum(-1).mean())


def to_text(frames: Tensor, words: Tensor, clipped: bool = False) -> float:
    """The mean of 100 x cosine of frames (f, d) and words (d,), each of unit length."""
    each = 100 * frames @ words
    return float((each.clamp(min=0) if clipped else each).mean())
