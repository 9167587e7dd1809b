"""The colour drift of an editor, found around the regions and taken back inside them.

Editors that encode a clip and decode it again change all colours a little, some more from frame to
frame. Around the regions the source shows what the edit should look like there: a gain and an
offset per channel, robust against what the editor really changed there.
"""

import torch
from torch import Tensor
from torch.nn import functional

CELL = 8
"""Pixels: means of cells are compared, since an edit that was made smaller has softer details."""
FEWEST = 12
"""Cells without which nothing is known of the drift."""
ROUNDS = 20
"""Of weighing: cells that fit worse count less each time."""
LEAST_SPREAD = 0.25 / 255
"""Errors of cells are never taken to be smaller: bytes are rounded."""
USUAL_GAIN = 0.1
"""How far gains of editors lie from 1: where colours around a region are too alike to tell a gain
from an offset, it is an offset."""
SMALLEST = 0.5 / 255
"""A correction below this at all brightnesses is none."""
FARTHEST = 0.25
"""A gain further from 1, or an offset further from 0, is no drift: what lies around the regions was
edited, too."""


def drift(edited: Tensor, source: Tensor, rim: Tensor) -> tuple[Tensor, Tensor] | None:
    """Gain and offset (3,) with which the edit has the source's colours in the rim.

    edited, source: (h, w, 3) in 0..1. rim: (h, w), 1 where both should look alike. None where the
    rim is too small to tell, and where there is no drift, or something else altogether.
    """
    share = _means(rim[..., None])  # rows columns 1
    used = share[..., 0] > 0.5
    if int(used.sum()) < FEWEST:
        return None
    weights = rim[..., None]
    found, wanted = (_means(frame * weights)[used] / share[used] for frame in (edited, source))
    gain, offset = _fitted(found.double(), wanted.double())
    ends = torch.stack([offset, gain - 1 + offset])  # by how much black and white change
    if float(ends.abs().max()) < SMALLEST:
        return None
    if float(torch.stack([offset, gain - 1]).abs().max()) > FARTHEST:
        return None
    return gain.to(edited), offset.to(edited)


def _fitted(found: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Gain and offset per channel, from cells (n, 3): least squares, weighed anew each round.

    One weight a cell: what was changed was changed in all channels.
    """
    gain, offset = torch.ones(3).double(), (wanted - found).median(0).values
    for _ in range(ROUNDS):
        errors = (gain * found + offset - wanted).abs().amax(1)
        spread = float((1.4826 * errors.median()).clamp(min=LEAST_SPREAD))
        weights = 1 / (1 + (errors / (2 * spread)) ** 2) ** 2
        weights = weights[:, None]
        total = weights.sum()
        centre = (weights * found).sum(0) / total
        aim = (weights * wanted).sum(0) / total
        around = found - centre
        held = (spread / USUAL_GAIN) ** 2  # against gains that the errors alone could make
        both = (weights * around * (wanted - aim)).sum(0) + held
        gain = both / ((weights * around.square()).sum(0) + held)
        offset = aim - gain * centre
    return gain, offset


def _means(frame: Tensor) -> Tensor:
    """(h, w, c) -> (rows, columns, c): the mean of each cell; those at the end are cut off."""
    size = min(CELL, *frame.shape[:2])
    planes = frame.permute(2, 0, 1)[None]
    return functional.avg_pool2d(planes, size)[0].permute(1, 2, 0)
