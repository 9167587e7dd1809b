"""The edges of masks: grown, shrunk and softened by pixels."""

import torch
import torch.nn.functional as F
from torch import Tensor

MAX_EDGE = 1024
"""Pixels by which an edge may grow, and that it may be wide."""


def grown(masks: Tensor, pixels: int) -> Tensor:
    """Spread masks (f, h, w) by so many pixels in every direction."""
    if pixels == 0:
        return masks
    return _largest(_largest(masks, pixels, 1), pixels, 2)


def shrunk(masks: Tensor, pixels: int) -> Tensor:
    """Take so many pixels from masks (f, h, w) along their border; the frame's edge is none."""
    return masks if pixels == 0 else 1 - grown(1 - masks, pixels)


def feather(masks: Tensor, pixels: int) -> Tensor:
    """Soft edges: masks (f, h, w) that rise from 0 at their border to 1 so many pixels inside.

    What is 0 stays 0; the edge of the frame is no border.
    """
    if pixels <= 0:
        return masks
    radius = (pixels + 1) // 2
    return _mean(_mean(shrunk(masks, radius), radius, 1), radius, 2)


def _mean(masks: Tensor, pixels: int, axis: int) -> Tensor:
    """The mean within so many pixels along an axis, of those that are in the frame."""
    line = torch.ones_like(masks[:1].narrow(3 - axis, 0, 1))  # the same across the other axis
    return _sum(masks, pixels, axis) / _sum(line, pixels, axis)


def _sum(masks: Tensor, pixels: int, axis: int) -> Tensor:
    """The sum within so many pixels along an axis, of pieces of 1, 2, 4 and more; as `_largest`."""
    width, length, size, start = 2 * pixels + 1, masks.shape[axis], 1, 0
    piece, total = _padded(masks, pixels, axis), torch.zeros_like(masks)
    while True:
        if width & size:
            total += piece.narrow(axis, start, length)
            start += size
        if 2 * size > width:
            return total
        count = piece.shape[axis] - size
        piece = piece.narrow(axis, 0, count) + piece.narrow(axis, size, count)
        size *= 2


def _largest(masks: Tensor, pixels: int, axis: int) -> Tensor:
    """The largest value within so many pixels along an axis.

    By windows of twice the width, and twice again: a pooling looks at every pixel of every window.
    """
    width, size = 2 * pixels + 1, 1
    largest = _padded(masks, pixels, axis)  # of windows of `size`
    while size < width:
        step = min(size, width - size)
        count = largest.shape[axis] - step
        largest = torch.maximum(largest.narrow(axis, 0, count), largest.narrow(axis, step, count))
        size += step
    return largest


def _padded(masks: Tensor, pixels: int, axis: int) -> Tensor:
    return F.pad(masks, [pixels, pixels] if axis == 2 else [0, 0, pixels, pixels])
