"""Frames to a size that the model takes."""

import torch
from torch import Tensor
from torch.nn import functional

from ..common.errors import EvenframeError
from ..common.memory import FreeMemory, free_memory
from .budget import Budget
from .sizes import USUAL, Fit, Fitting, Size

BAND = 32
"""Rows that are in memory at once as floats while a frame is resized."""


def fit(
    frames: Tensor, fitting: Fitting = USUAL, *, free: FreeMemory = free_memory
) -> tuple[Tensor, Fit]:
    """Frames of the size asked for, and how they were made.

    Frames (f, h, w, c) that already fit are returned as they are. Others are resized bicubically
    with antialiasing; a border repeats the frame's edge, which disturbs a model less than black
    bars do. free: frames that would need more are refused.
    """
    if frames.ndim != 4 or 0 in frames.shape:
        raise EvenframeError(
            f"frames have the shape {tuple(frames.shape)}: give (frames, height, width, 3)."
        )
    how = fitting.plan((frames.shape[2], frames.shape[1]))
    if how.untouched:
        return frames, how
    Budget.of("The images", free).require(how, len(frames))
    fitted = torch.empty(len(frames), how.size[1], how.size[0], frames.shape[3])
    for frame, out in zip(frames.split(1), fitted.split(1), strict=True):
        out[:] = apply(frame, how)  # one at a time: the working copies stay small
    return fitted, how


def apply(frames: Tensor, how: Fit) -> Tensor:
    """Make frames of the size `how.source` into frames of the size `how.size`."""
    frames = resize(frames, how.scaled)
    wide, high = how.size
    if how.mode == "crop":
        return frames[:, how.top : how.top + high, how.left : how.left + wide].contiguous()
    if how.mode == "pad":  # the border repeats the edge
        rows = (torch.arange(high) - how.top).clamp(0, how.scaled[1] - 1)
        columns = (torch.arange(wide) - how.left).clamp(0, how.scaled[0] - 1)
        return frames[:, rows][:, :, columns]
    return frames


def resize(frames: Tensor, size: Size) -> Tensor:
    """(f, h, w, c) frames, floats or as decoded, of another size: bicubic with antialiasing,
    float32 within 0..1. Frames of that size are returned as they are.

    Not by `resample.Resampler`, whose kernel gives other pixels: those here decide what is edited.
    """
    wide, high = size
    if (frames.shape[2], frames.shape[1]) == size:
        return frames
    out = torch.empty(frames.shape[0], high, wide, frames.shape[3])
    for frame, resized in zip(frames, out, strict=True):
        for channel in range(frames.shape[3]):
            resized[..., channel] = _resized(frame[..., channel], size)
    return out


def _resized(plane: Tensor, size: Size) -> Tensor:
    """One channel (h, w), first its rows and then its columns: what is floats stays small."""
    wide, high = size
    narrow = torch.empty(len(plane), wide)
    for band, resized in zip(plane.split(BAND), narrow.split(BAND), strict=True):
        resized[:] = _bicubic(as_floats(band), (len(band), wide))
    return _bicubic(narrow, (high, wide)).clamp_(0, 1)


def _bicubic(plane: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(
        plane[None, None], size=size, mode="bicubic", align_corners=False, antialias=True
    )[0, 0]


def as_floats(pixels: Tensor) -> Tensor:
    """Pixels as decoded, of 8 or 16 bits, as float32 in 0..1; floats stay as they are."""
    if pixels.is_floating_point():
        return pixels
    return pixels.float().div_(2 ** (8 * pixels.itemsize) - 1)
