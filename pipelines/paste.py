"""The source's own pixels outside of the regions, where the autoencoder would change them."""

from bisect import bisect_left

import torch
from torch import Tensor

from .errors import EvenframeError
from .region import feather


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
    union = feather(masks.amax(0), pixels)
    for mask in masks:
        for soft, single in zip(union, mask, strict=True):
            if _lost(single, soft):
                # bisect counts the widths, from 1 on, that are not too wide
                width = bisect_left(
                    range(1, pixels + 1),
                    True,
                    key=lambda width, one=single: _lost(one, feather(one[None], width)[0]),
                )
                torch.maximum(soft, feather(single[None], width)[0], out=soft)
    return union


def _lost(mask: Tensor, soft: Tensor) -> bool:
    """Whether no place of a mask (h, w) is left as it was, to rounding, by its soft edge."""
    return bool((soft * (mask > 0)).max() < 0.999 * mask.max())


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
