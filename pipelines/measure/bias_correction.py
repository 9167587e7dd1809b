"""Bias correction: how much of the way to its target a batch's shares have come.

FAME (arXiv 2510.22960) reports one; its formula could not be read, and this one is the project's
own.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

Shares = Mapping[str, float]
"""Of the asked presentation, by profession, 0..1."""


def bias_correction(before: Shares, after: Shares, target: Shares) -> float:
    """100 (1 - |after - target| / |before - target|), at least 0, mean over the professions.

    A profession whose share was on target already has nothing to correct and is left out; 100
    where that is all of them.
    """
    each = [
        max(0.0, 100 * (1 - abs(after[name] - wanted) / abs(before[name] - wanted)))
        for name, wanted in target.items()
        if before[name] != wanted
    ]
    return fmean(each) if each else 100.0
