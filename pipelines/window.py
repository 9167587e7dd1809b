"""Windows over long clips: what no memory holds at once is denoised in overlapping parts.

Source: the resource-friendly mode of "Re-Attentional Controllable Video Diffusion Editing" (AAAI
2025), as in "MultiDiffusion" (ICML 2023): where windows overlap, their predictions are averaged.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import EvenframeError

WEIGHTS = ("uniform", "triangular")


@dataclass(frozen=True)
class Windowing:
    """How a clip is cut. size: frames at once. stride: frames from one window to the next, at most
    the size. weights: "uniform", or "triangular" where the middle of a window counts most."""

    size: int
    stride: int
    weights: str = "triangular"


def windows(frames: int, size: int, stride: int) -> list[range]:
    """The windows of a clip: every frame is in one at least, the last ends with the clip.

    size: 1 or more; larger than the clip means the whole clip. stride: 1..size.
    Raises EvenframeError for others.
    """
    if frames < 1:
        raise EvenframeError(f"The clip has {frames} frames: give at least one.")
    if size < 1:
        raise EvenframeError(f"The window has {size} frames: choose 1 or more.")
    if not 1 <= stride <= size:
        raise EvenframeError(
            f"The stride of the windows is {stride}: choose 1 to {size}, their size; a larger one "
            "would leave out frames."
        )
    size = min(size, frames)
    starts = list(range(0, frames - size + 1, stride))
    if starts[-1] + size < frames:
        starts.append(frames - size)
    return [range(start, start + size) for start in starts]


def shares(parts: Sequence[range], weights: str = "uniform") -> list[Tensor]:
    """What each window counts for its frames, (len(window),) float64; they sum to 1 at every frame.

    parts: windows that cover a clip. A frame of a single window counts exactly 1 there.
    """
    if weights not in WEIGHTS:
        raise EvenframeError(f"window weights '{weights}' are unknown: use {', '.join(WEIGHTS)}.")
    profiles = [_profile(len(part), weights) for part in parts]
    total = torch.zeros(parts[-1].stop, dtype=torch.float64)
    for part, profile in zip(parts, profiles, strict=True):
        total[part.start : part.stop] += profile
    return [
        profile / total[part.start : part.stop]
        for part, profile in zip(parts, profiles, strict=True)
    ]


def _profile(size: int, weights: str) -> Tensor:
    if weights == "uniform":
        return torch.ones(size, dtype=torch.float64)
    ramp = torch.arange(1, size + 1, dtype=torch.float64)
    return torch.minimum(ramp, ramp.flip(0))
