"""Warp-Err: how far a clip is from what the source's motion would make of it (FAME, VideoGrain).

Every clip has a floor of its own, so the source's value stands beside it. A frozen frame has a low
error on a still clip: see `motion_kept.py`.
"""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from .flow_pairs import FRAMES, SIDE, Pair, pairs, sized, warped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .asked import Asked, Values

HOW = (
    f"1000 MSE over visible pixels, first {FRAMES} frames, longer side {SIDE}, OpenCV DIS medium "
    "on the source, flow t+1 to t, bilinear, |b + f|² < .01 (|b|² + |f|²) + .5"
)
RESULT, SOURCE = "Warp-Err", "Warp-Err of the source"
FORMULAS = {RESULT: HOW, SOURCE: HOW}


def measure(asked: Asked) -> Values:
    """The result's error and the source's, both by the source's flow."""
    source, result = sized(asked.source), sized(asked.result)
    found = pairs(source)
    return {RESULT: warp_error(result, found), SOURCE: warp_error(source, found)}


def warp_error(pictures: NDArray[np.uint8], found: Sequence[Pair]) -> float:
    """x 1000, mean over the pairs in which anything is visible. pictures: (n, h, w, 3)."""
    floats = pictures.astype(np.float32) / 255
    errors = []
    for pair in found:
        apart = (warped(floats[pair.first], pair.back) - floats[pair.first + 1]) ** 2
        if pair.visible.any():
            errors.append(float(apart[pair.visible].mean()))
    return 1000 * fmean(errors) if errors else float("nan")
