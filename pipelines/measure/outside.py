"""What an edit left alone: PSNR, SSIM and LPIPS over the pixels that no mask covers.

FiVE multiplies the masks in before it compares, which adds 10 log10(1 / area) dB to its PSNR: those
numbers and these are no pair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import lpips
from .asked import NotMeasured
from .psnr import psnr
from .ssim import SIDE, ssim_map, windows_outside

if TYPE_CHECKING:
    from torch import Tensor

    from .asked import Asked, Values

PSNR, SSIM = "outside PSNR", "outside SSIM"
MOST = 120.0
"""Decibels of what is equal, so that it counts in means."""
FORMULAS = {
    PSNR: "10 log10(1 / MSE) in dB, at most 120, over all pixels that the mask leaves out",
    SSIM: "Gaussian windows of 11 pixels, sigma 1.5, mean over those that hold no masked pixel",
    lpips.NAME: lpips.FORMULA,
}


def measure(asked: Asked) -> Values:
    """NotMeasured without a mask, or where it covers everything."""
    if asked.mask is None:
        raise NotMeasured("no mask says where the edit was meant to be: give --mask")
    outside = asked.mask == 0
    if not outside.any():
        raise NotMeasured("the mask covers every pixel of every frame")
    value = min(psnr(asked.result[outside], asked.source[outside]), MOST)
    found: dict[str, float | str] = {PSNR: value, SSIM: _ssim(asked, asked.mask)}
    try:
        found[lpips.NAME] = lpips.outside(asked, outside)
    except NotMeasured as why:
        found[lpips.NAME] = str(why)
    return found


def _ssim(asked: Asked, mask: Tensor) -> float | str:
    if min(mask.shape[1:]) < SIDE:
        return f"the frames are smaller than a window of {SIDE} pixels"
    total, count = 0.0, 0
    for result, source, where in zip(asked.result, asked.source, mask, strict=True):
        outside = windows_outside(where[None])
        total += float(ssim_map(result[None], source[None])[outside].sum())
        count += int(outside.sum())
    return total / count if count else f"no window of {SIDE} pixels lies outside of the mask"
