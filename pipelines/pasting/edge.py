"""The edge at which an edit gives way to its source, and pixels of both mixed along it."""

from bisect import bisect_left
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..common.settings import check, setting
from ..regions.edges import MAX_EDGE, feather, grown

WHOLE = 0.999
"""From here on a place is the edit's alone: a feathered 1 is not exact."""


@dataclass(frozen=True)
class Edge:
    """How an edit's regions end; they grow as far as the edit shows something.

    Raises EvenframeError for settings out of range.
    """

    grow: int = setting(0, "By how many pixels each region spreads first.", whole=(0, MAX_EDGE))
    feather: int = setting(
        8, "Width in pixels of the soft edge, inside the regions.", whole=(0, MAX_EDGE)
    )
    linear_light: bool = setting(
        False, "Mix light instead of pixel values at the edge: bright edges stay bright."
    )
    rim_match: bool = setting(
        False,
        "Bring the edit's colours nearer to the source's, by what both are around the regions: a "
        "colour drift of the editor then shows no seam.",
    )

    def __post_init__(self) -> None:
        check(self)

    def scaled(self, factor: float) -> "Edge":
        """The same where each pixel is so many; no wider than an edge may be."""
        grow, feather = (min(round(each * factor), MAX_EDGE) for each in (self.grow, self.feather))
        return replace(self, grow=grow, feather=feather)

    @property
    def reach(self) -> int:
        """Pixels around a region that its edge depends on."""
        return self.grow + self.feather + 2

    def inside(self, masks: Tensor, visible: Tensor | None = None) -> Tensor:
        """(f, h, w) in 0..1, the share of the edit: the union of masks (n, f, h, w).

        visible: (h, w) of 0 and 1, what the edit shows; None for all. Its border is one of the
        regions, too.

        Where an edge is so wide that a region would lose its middle, the region has a narrower one.
        """
        masks = torch.stack([grown(single, self.grow) for single in masks])
        if visible is not None:
            masks *= visible
        shapes = _shapes(masks)
        union = feather(masks.amax(0), self.feather)
        hard = torch.equal(masks, shapes)
        reached = union if hard else feather(shapes.amax(0), self.feather)
        lost = ((reached * shapes).amax((2, 3)) < WHOLE) & (shapes.amax((2, 3)) > 0)  # n f
        for region, frame in lost.nonzero().tolist():
            narrow = softened(masks[region, frame : frame + 1], self.feather)
            union[frame] = torch.maximum(union[frame], narrow[0])
        return union

    def mixed(self, source: Tensor, edited: Tensor, inside: Tensor) -> Tensor:
        """The source where `inside` is 0, bit for bit, the edit where it is 1.

        source, edited: (..., h, w, 3) in 0..1. inside: (..., h, w).
        """
        share = inside[..., None].to(edited)
        if not self.linear_light:
            return torch.lerp(source, edited, share)  # exact at both ends
        mixed = _encoded(torch.lerp(_light(source), _light(edited), share))
        return torch.where(share == 0, source, mixed)


def softened(mask: Tensor, pixels: int) -> Tensor:
    """A mask (1, h, w) with a soft edge inside its border, or a narrower one that leaves its
    middle."""
    shape = _shapes(mask)

    def is_lost(width: int) -> bool:
        return bool(feather(shape, width).max() < WHOLE)

    if pixels > 0 and shape.any() and is_lost(pixels):
        pixels = bisect_left(range(1, pixels + 1), True, key=is_lost)
    return feather(mask, pixels)


def _shapes(masks: Tensor) -> Tensor:
    """Masks (..., h, w) as hard ones: 1 from half of what each reaches."""
    return ((masks >= masks.amax((-2, -1), keepdim=True) / 2) & (masks > 0)).to(masks)


def _light(pixels: Tensor) -> Tensor:
    """sRGB values as light (IEC 61966-2-1)."""
    return torch.where(pixels <= 0.04045, pixels / 12.92, ((pixels + 0.055) / 1.055) ** 2.4)


def _encoded(light: Tensor) -> Tensor:
    """Light as sRGB values (IEC 61966-2-1)."""
    bright = 1.055 * light.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(light <= 0.0031308, 12.92 * light, bright)
