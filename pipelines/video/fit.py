"""Frames to a size that the model takes, and back."""

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import EvenframeError
from ..memory import FreeMemory, free_memory
from .budget import Budget
from .sizes import USUAL, Fit, Fitting, Size

if TYPE_CHECKING:
    from .clip import Clip

BAND = 32
"""Rows that are in memory at once as floats while a frame is resized."""


def fit(
    frames: Tensor, fitting: Fitting = USUAL, *, free: FreeMemory = free_memory
) -> tuple[Tensor, Fit]:
    """Frames of the size asked for, and how they were made.

    Frames (f, h, w, c) that already fit are returned as they are, bit for bit. Others are resized
    bicubically with antialiasing; a border repeats the frame's edge, which disturbs a model less
    than black bars do. free: free bytes of a device; frames that would need more are refused.
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


def fit_clip(clip: "Clip", fitting: Fitting = USUAL, *, free: FreeMemory = free_memory) -> "Clip":
    """The clip with frames that fit, which remembers how to undo it. See `fit`."""
    frames, how = fit(clip.frames, fitting, free=free)
    return replace(clip, frames=frames, fit=how, original=clip.frames if how.cuts else None)


def apply(frames: Tensor, how: Fit) -> Tensor:
    """Make frames of the size `how.source` into frames of the size `how.size`."""
    if how.untouched:
        return frames
    frames = resize(frames, how.scaled)
    wide, high = how.size
    if how.mode == "crop":
        return frames[:, how.top : how.top + high, how.left : how.left + wide].contiguous()
    if how.mode == "pad":
        rows = _repeated_edge(how.top, how.scaled[1], high)
        columns = _repeated_edge(how.left, how.scaled[0], wide)
        return frames[:, rows][:, :, columns]
    return frames


def _repeated_edge(before: int, length: int, total: int) -> Tensor:
    """Which row each of `total` rows shows when `length` rows begin after `before`."""
    return (torch.arange(total) - before).clamp(0, length - 1)


def resize(frames: Tensor, size: Size) -> Tensor:
    """(f, h, w, c) frames, floats or as decoded, of another size: bicubic with antialiasing,
    float32 within 0..1. Frames of that size are returned as they are."""
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


def unfit(
    frames: Tensor, how: Fit, around: Tensor | None = None, *, free: FreeMemory = free_memory
) -> tuple[Tensor, str]:
    """Undo a fit on frames of the fitted size, and say in one line what was done.

    stretch: resized back. pad: the border is removed, then resized back. crop: pasted into
    `around`, (f, h, w, 3) frames of the source's size (floats or as decoded), where they were cut
    out; without it the frames stay cropped.
    Raises EvenframeError when the frames are not of the fitted size, or find no room in memory at
    the source's.
    """
    size = (frames.shape[2], frames.shape[1]) if frames.ndim == 4 else (0, 0)
    if size != how.size:
        raise EvenframeError(
            f"The frames are {size[0]}x{size[1]}, but the clip was fitted to "
            f"{how.size[0]}x{how.size[1]}: give frames of that size, or save without the clip."
        )
    wide, high = how.source
    if how.untouched:
        return frames, f"{wide}x{high}: as in the source"
    back = Fit("stretch", how.source, how.source, how.source)
    if Budget.of("The frames", free).most(back) < len(frames):
        raise EvenframeError(
            f"{len(frames)} frames of {wide}x{high} find no room in memory: save fewer at once, or "
            "free some of it."
        )
    if how.cuts:
        return _pasted(frames, how, around)
    if how.mode == "pad":
        frames = frames[
            :, how.top : how.top + how.scaled[1], how.left : how.left + how.scaled[0]
        ].contiguous()
    done = "border removed" if how.mode == "pad" else "resized back"
    return resize(frames, how.source), f"{size[0]}x{size[1]} -> {wide}x{high}: {done}"


def unfit_clip(frames: Tensor, clip: "Clip") -> tuple[Tensor, str]:
    """Undo a clip's fit on edited frames, and say in one line what was done.

    Nothing is refused, so that no edit is lost: frames that are of another size or number than the
    clip's stay as they are, or stay cropped.
    """
    if clip.fit is None:
        return frames, "the clip was not fitted"
    original = clip.original
    if original is not None and len(original) != len(frames):
        original = None
    try:
        return unfit(frames, clip.fit, original)
    except EvenframeError as error:
        return frames, f"not undone. {error}"


def _pasted(frames: Tensor, how: Fit, around: Tensor | None) -> tuple[Tensor, str]:
    wide, high = how.source
    if around is None:
        return frames, (
            f"{how.size[0]}x{how.size[1]}: stays cropped, since the source's {wide}x{high} frames "
            "are not given"
        )
    if around.ndim != 4 or around.shape[1:] != (high, wide, frames.shape[3]):
        raise EvenframeError(
            f"The source frames have the shape {tuple(around.shape)}: "
            f"give (frames, {high}, {wide}, {frames.shape[3]})."
        )
    if around.shape[0] != frames.shape[0]:
        raise EvenframeError(
            f"There are {frames.shape[0]} frames and {around.shape[0]} source frames: "
            "give as many of one as of the other."
        )
    left, top, right, bottom = how.box()
    # Frame by frame, so that the source's are not held as floats twice.
    whole = torch.empty(around.shape)
    for out, frame, source in zip(whole, frames, around, strict=True):
        out[:] = as_floats(source)
        out[top:bottom, left:right] = resize(frame[None], (right - left, bottom - top))[0]
    return whole, (
        f"{how.size[0]}x{how.size[1]} -> {wide}x{high}: pasted back into the source frames, whose "
        f"{how.unedited()} are unedited"
    )
