"""The source's own pixels outside of the regions, where the autoencoder would change them."""

from bisect import bisect_left

import torch
from torch import Tensor

from .errors import EvenframeError
from .region import feather

WHOLE = 0.999
"""From here on a place is the edit's alone: a feathered 1 is not exact."""


def paste_outside(
    edited: Tensor, source: Tensor, mask: Tensor, feathered: int = 8, linear: bool = False
) -> Tensor:
    """The edit inside the mask, the source outside, with a soft edge that lies inside.

    edited, source: (f, h, w, 3) in 0..1. mask: (f, h, w) in 0..1, or (n, f, h, w) of n regions,
    each of which keeps its middle. feathered: width of the edge in pixels, 0..1024.
    linear: mix light instead of sRGB values, which keeps bright edges bright.
    Where the mask is 0, pixels are equal to the source's. Raises EvenframeError.
    """
    masks = mask[None] if mask.ndim == 3 else mask
    if edited.shape != source.shape:
        raise EvenframeError(
            f"The edit has {_size(edited)}, the source {_size(source)}: "
            "paste the frames that were inverted."
        )
    if masks.shape[1:] != edited.shape[:3]:
        raise EvenframeError(
            f"The regions are for {_size(masks[0])}, but the clip has {_size(edited)}: "
            "draw them on the frames that were inverted."
        )
    if not edited.is_floating_point() or edited.dtype != source.dtype:
        raise EvenframeError(
            f"The edit's pixels are {_kind(edited)}, the source's {_kind(source)}: give both as "
            "floating-point numbers of one kind, 0 to 1 (divide bytes by 255)."
        )
    if not 0 <= feathered <= 1024:
        raise EvenframeError(f"feather is {feathered}: choose 0 to 1024 pixels.")
    inside = _feathered(masks, feathered)[..., None].to(edited)  # f h w 1
    if linear:
        mixed = _encoded(torch.lerp(_light(source), _light(edited), inside))
    else:
        mixed = torch.lerp(source, edited, inside)
    return torch.where(inside == 0, source, mixed)


def _feathered(masks: Tensor, pixels: int) -> Tensor:
    """(f, h, w): the union of masks (n, f, h, w), with a soft edge.

    Where an edge is so wide that a region would lose its middle, the region has a narrower one.
    """
    shapes = ((masks >= masks.amax((2, 3), keepdim=True) / 2) & (masks > 0)).to(masks)
    union, reached = feather(masks.amax(0), pixels), feather(shapes.amax(0), pixels)
    lost = ((reached * shapes).amax((2, 3)) < WHOLE) & (shapes.amax((2, 3)) > 0)  # n f
    for region, frame in lost.nonzero().tolist():
        single = masks[region, frame : frame + 1]
        narrow = feather(single, _widest(shapes[region, frame : frame + 1], pixels))
        union[frame] = torch.maximum(union[frame], narrow[0])
    return union


def _widest(shape: Tensor, pixels: int) -> int:
    """The widest edge below so many pixels that leaves a place of a shape (1, h, w) as it is."""
    widths = range(1, pixels + 1)
    return bisect_left(widths, True, key=lambda width: bool(feather(shape, width).max() < WHOLE))


def _light(pixels: Tensor) -> Tensor:
    """sRGB values as light (IEC 61966-2-1)."""
    return torch.where(pixels <= 0.04045, pixels / 12.92, ((pixels + 0.055) / 1.055) ** 2.4)


def _encoded(light: Tensor) -> Tensor:
    """Light as sRGB values (IEC 61966-2-1)."""
    bright = 1.055 * light.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(light <= 0.0031308, 12.92 * light, bright)


def _kind(frames: Tensor) -> str:
    return str(frames.dtype).removeprefix("torch.")


def _size(frames: Tensor) -> str:
    count, height, width = frames.shape[:3]
    return f"{count} frames of {width}x{height} pixels"
