"""What an object and its surroundings look like: how much rather a colour is the object's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .around import box_around

BINS = 16
"""Along each of the three channels."""
FAINT = 1e-4
"""The share of pixels below which a colour says nothing."""
STRONGEST = 2.0
REACH = 0.75
"""The surroundings reach so far, in the larger side of the object."""


@dataclass(frozen=True, eq=False)
class Looks:
    """table: (BINS, BINS, BINS), log of how much more frequent a colour is in the object."""

    table: Tensor

    def of(self, frame: Tensor) -> Tensor:
        """(h, w) from -STRONGEST, surroundings, to STRONGEST, object, of a frame (h, w, 3)."""
        return self.table.flatten()[_bins(frame)]


def looks(mask: Tensor, frame: Tensor) -> Looks:
    """Of the object of a mask (h, w) on its frame (h, w, 3), against what is around it."""
    near = box_around(mask, REACH)
    index = _bins(frame)
    inside = _shares(index[mask > 0.5])
    outside = _shares(index[(mask <= 0.5) & near])
    return Looks(((inside + FAINT) / (outside + FAINT)).log().clamp(-STRONGEST, STRONGEST))


def _bins(frame: Tensor) -> Tensor:
    a, b, c = (frame.clamp(0, 1) * (BINS - 1e-3)).long().unbind(-1)
    return (a * BINS + b) * BINS + c


def _shares(index: Tensor) -> Tensor:
    counts = torch.bincount(index, minlength=BINS**3).float().view(1, 1, BINS, BINS, BINS)
    smooth = F.avg_pool3d(counts, 3, 1, 1, count_include_pad=True)[0, 0]
    return smooth / smooth.sum().clamp(min=1e-6)
