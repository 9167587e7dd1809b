"""How far a track is trusted: the intersection over union with the truth that is to be expected.

Three signs tell it, without the truth. `agreement`: the overlap of what flow has carried, pixel by
pixel, with the first shape moved as a rigid one (affine) would be; the two err in other ways.
`seen`: the share of the object that is not hidden. `strain`: how little of it returned where it
came from, and in its colours, when flow was followed there and back, over all steps.

The weights are those of a logistic regression to the true overlaps, on 51 clips of
`benchmarks/tracking.py` with other seeds than the one that is reported there, among them some whose
shapes flow loses at once. Of frames with an overlap below .6, it puts 4 of 5 below .6, and 1 of 20
of the others. A body that bends is no rigid shape: its masks are better than they are said to be.
"""

import math
from collections.abc import Sequence

from .fields import pixels, sample
from .layer import Layer

MASK_WEIGHTS = (7.5, 3.4, -0.02, -7.3)
BOX_WEIGHTS = (5.6, 0.7, -0.05, -2.9)
"""Of agreement, seen, strain and 1."""
LEAST_ERROR = 0.02
"""An outline is never known better."""
MOST_WRONG = 10.0
"""Where a track meets the truth, its errors are taken to be so many times what it told, at most."""


def of(layer: Layer, weights: Sequence[float]) -> float:
    """0..1, of the mask of what is seen or of the box around all of it, as the weights are."""
    whole = layer.whole > 0
    rigid = layer.moved.origin(pixels(layer.shape))  # where the first shape would be
    moved = sample(layer.shape[..., None], rigid)[..., 0] > 0.5
    union = int((whole | moved).sum())
    agreement = int((whole & moved).sum()) / union if union else 1.0
    seen = float(layer.mask.sum()) / max(int(whole.sum()), 1)
    signs = (agreement, seen, layer.strain, 1.0)
    total = sum(weight * sign for weight, sign in zip(weights, signs, strict=True))
    return 1 / (1 + math.exp(-total))


def error_ratio(told: float, overlap: float) -> float:
    """By how many times a track's error is larger than it told, where its true overlap is known."""
    ratio = (1 - overlap + LEAST_ERROR) / (1 - told + LEAST_ERROR)
    return min(max(ratio, 1 / MOST_WRONG), MOST_WRONG)


def corrected(told: float, ratio: float) -> float:
    """A confidence told, with its error so many times larger."""
    return min(max(1 - (1 - told) * ratio, 0.0), 1.0)


def weight(one: float, other: float) -> float:
    """What the first of two tracks counts for, 0..1: the more, the smaller its error is thought."""
    first, second = ((1 - trust + LEAST_ERROR) ** -2 for trust in (one, other))
    return first / (first + second)


def together(one: float, other: float) -> float:
    """Of two tracks blended."""
    return weight(one, other) * one + weight(other, one) * other
