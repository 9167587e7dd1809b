"""Windows over long clips: what no memory holds at once is denoised in overlapping parts.

Source: the resource-friendly mode of "Re-Attentional Controllable Video Diffusion Editing" (AAAI
2025), as in "MultiDiffusion" (ICML 2023): where windows overlap, their predictions are averaged.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .errors import EvenframeError
from .settings import check, setting


@dataclass(frozen=True)
class Windowing:
    """How a clip is cut. Raises EvenframeError for settings out of range."""

    size: int = setting(
        16, "Frames at once. A window larger than the clip is the clip.", whole=(1, None)
    )
    stride: int = setting(
        12,
        "Frames from one window to the next, at most the size. Smaller overlaps more: smoother, "
        "and slower.",
        whole=(1, None),
    )
    weights: str = setting(
        "triangular",
        "What a window counts where others overlap it: its middle more than its ends, or the same "
        "everywhere.",
        choices=("uniform", "triangular"),
        told="window weights",
    )

    def __post_init__(self) -> None:
        check(self)
        self.cut(frames=1)

    def in_latents(self, time_stride: int) -> "Windowing":
        """The same in latent frames, of which each but the first holds so many of the video: 33
        frames at once are 9 latents of 4."""
        size = 1 + (self.size - 1) // time_stride
        return replace(self, size=size, stride=min(max(1, self.stride // time_stride), size))

    def cut(self, frames: int) -> list[range]:
        """The windows of a clip of so many frames, 1 or more."""
        return windows(frames, self.size, self.stride)


def windows(frames: int, size: int, stride: int) -> list[range]:
    """The windows of a clip: every frame is in one at least, the last ends with the clip.

    size: 1 or more; larger than the clip means the whole clip. stride: 1..size.
    Raises EvenframeError for others.
    """
    counts = {"number of frames": frames, "window's size": size, "windows' stride": stride}
    for what, value in counts.items():
        if not isinstance(value, int) or isinstance(value, bool):
            raise EvenframeError(f"The {what} is {value!r}: give a whole number.")
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


WHOLE_CLIP = Windowing(size=1_000_000, stride=1)
"""A window larger than any clip: all frames at once."""


def shares(parts: Sequence[range], weights: str = "uniform") -> list[Tensor]:
    """What each window counts for its frames, (len(window),) float64; they sum to 1 at every frame.

    parts: windows that cover a clip. A frame of a single window counts exactly 1 there.
    """
    profiles = [_profile(len(part), weights) for part in parts]
    total = torch.zeros(parts[-1].stop, dtype=torch.float64)
    for part, profile in zip(parts, profiles, strict=True):
        total[part.start : part.stop] += profile
    return [
        profile / total[part.start : part.stop]
        for part, profile in zip(parts, profiles, strict=True)
    ]


def merged(
    parts: Sequence[range], weights: str, results: Iterable[Sequence[Tensor]]
) -> tuple[Tensor, ...]:
    """What windows gave, averaged where they overlap, each by what it counts.

    results: for each window tensors of its frames, (len(window), ...) each; of what is iterated
    lazily, one at a time is held. A single window's are given as they are, to the bit.
    """
    if len(parts) == 1:
        [alone] = results
        return tuple(alone)
    totals: list[Tensor] = []
    for part, share, result in zip(parts, shares(parts, weights), results, strict=True):
        if not totals:
            totals = [one.new_zeros(parts[-1].stop, *one.shape[1:]) for one in result]
        for total, one in zip(totals, result, strict=True):
            counted = share.to(one).view(-1, *[1] * (one.ndim - 1))
            total[part.start : part.stop] += counted * one
    return tuple(totals)


def _profile(size: int, weights: str) -> Tensor:
    if weights == "uniform":
        return torch.ones(size, dtype=torch.float64)
    ramp = torch.arange(1, size + 1, dtype=torch.float64)
    return torch.minimum(ramp, ramp.flip(0))
