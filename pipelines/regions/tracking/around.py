"""What lies around each pixel, and around a mask; by OpenCV, many times as fast as pooling."""

import torch
from torch import Tensor


def mean(plane: Tensor, radius: int) -> Tensor:
    """(h, w): the mean within so many pixels in every direction; 0 beyond the frame."""
    import cv2

    side = 2 * radius + 1
    made = cv2.blur(plane.float().contiguous().numpy(), (side, side), borderType=cv2.BORDER_REFLECT)
    return torch.from_numpy(made)


def largest(plane: Tensor, radius: int) -> Tensor:
    """(h, w): the largest value within so many pixels in every direction."""
    import cv2
    import numpy as np

    side = 2 * radius + 1
    kernel = np.ones((side, side), np.uint8)
    return torch.from_numpy(cv2.dilate(plane.float().contiguous().numpy(), kernel))


def box_around(mask: Tensor, share: float) -> Tensor:
    """(h, w) bool: the box around a mask, larger by this share of its longer side."""
    inside = torch.zeros_like(mask, dtype=torch.bool)
    rows, columns = mask.nonzero().T
    if len(rows):
        top, bottom = int(rows.min()), int(rows.max()) + 1
        left, right = int(columns.min()), int(columns.max()) + 1
        reach = int(share * max(bottom - top, right - left)) + 2
        inside[max(top - reach, 0) : bottom + reach, max(left - reach, 0) : right + reach] = True
    return inside
