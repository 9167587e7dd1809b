"""Structural similarity (Wang et al., 2004) over the windows that hold no masked pixel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE, SIGMA, C1, C2 = 11, 1.5, 0.01**2, 0.03**2


def ssim_map(frames: Tensor, reference: Tensor) -> Tensor:
    """(f, h - 10, w - 10), the mean over the channels: one value for each window of 11 pixels.

    frames, reference: (f, h, w, 3) in 0..1, at least 11 pixels a side.
    """
    x, y = (each.double().permute(0, 3, 1, 2) for each in (frames, reference))  # f 3 h w
    mean_x, mean_y, xx, yy, xy = (_blurred(each) for each in (x, y, x * x, y * y, x * y))
    squares = mean_x**2 + mean_y**2
    spread = xx - mean_x**2 + yy - mean_y**2
    together = (2 * mean_x * mean_y + C1) * (2 * (xy - mean_x * mean_y) + C2)
    return (together / ((squares + C1) * (spread + C2))).mean(1)


def windows_outside(mask: Tensor) -> Tensor:
    """(f, h - 10, w - 10): whether a window holds nothing of a mask (f, h, w)."""
    return F.max_pool2d((mask > 0).float()[:, None], SIDE, stride=1)[:, 0] == 0


def _blurred(x: Tensor) -> Tensor:
    """Of (f, 3, h, w), along both axes, where the whole window lies in the frame."""
    places = torch.arange(SIDE, dtype=x.dtype) - SIDE // 2
    weights = torch.exp(-(places**2) / (2 * SIGMA**2))
    weights = (weights / weights.sum()).expand(3, 1, 1, SIDE)
    return F.conv2d(F.conv2d(x, weights, groups=3), weights.transpose(2, 3), groups=3)
