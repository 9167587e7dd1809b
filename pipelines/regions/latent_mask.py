"""Regions as the mask of a clip's latents, for samplers that take one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from ..common.errors import EvenframeError
from ..models.lattice import Lattice

if TYPE_CHECKING:
    from .regions import Regions


def latent_mask(regions: "Regions", shape: Sequence[int], before: Tensor | None = None) -> Tensor:
    """(f, 1, rows, columns), or of video models (1, 1, t, rows, columns), in 0..1: where the clip
    may change, the union of all regions.

    shape: of the latents, (f, c, rows, columns) or (1, c, t, rows, columns). A latent frame is free
    where any frame is that it holds. before: a mask that is there already, of any size, of the
    clip's frames or of latent ones, which goes on holding: the smaller of both counts.
    Raises EvenframeError for latents of another clip.
    """
    lattice = lattice_under(regions, shape)
    mask = regions.on_latents(lattice).coverage(lattice.latent_size)
    laid = mask[None, None] if len(shape) == 5 else mask[:, None]
    return laid if before is None else torch.minimum(laid, _fitted(before.float(), laid, lattice))


def lattice_under(regions: "Regions", shape: Sequence[int]) -> Lattice:
    """How the frames of the regions lie under latents of a shape, whatever their model."""
    frames, (height, width) = regions.frames, regions.frame_size
    latents = shape[0] if len(shape) == 4 else shape[2] if len(shape) == 5 else 0
    rows, columns = shape[-2:]
    stride = height // rows if rows else 0
    time = (frames - 1) // (latents - 1) if latents > 1 else 1
    whole = (rows * stride, columns * stride) == (height, width)
    if not latents or not stride or not whole or 1 + (latents - 1) * time != frames:
        raise EvenframeError(
            f"The latent has the shape {tuple(shape)}, which is not of {frames} frames of "
            f"{width}x{height} pixels, those of the regions: draw them on the clip that was "
            "encoded."
        )
    return Lattice(frames, (height, width), time, stride, stride)


def _fitted(mask: Tensor, like: Tensor, lattice: Lattice) -> Tensor:
    """A mask (.., rows, columns) of any size, over space and time, on that of another."""
    if like.ndim == 5:
        mask = mask if mask.ndim == 5 else mask.reshape(1, 1, -1, *mask.shape[-2:])
        mask = mask[:, :1]
        if mask.shape[2] == lattice.frames:
            held = [lattice.held(latent) for latent in range(lattice.latent_frames)]
            mask = torch.stack([mask[:, :, at.start : at.stop].amax(2) for at in held], dim=2)
        return F.interpolate(mask, size=like.shape[2:], mode="trilinear")
    flat = mask.reshape(-1, 1, *mask.shape[-2:])
    small = F.interpolate(flat, size=like.shape[2:], mode="bilinear")
    times = -(-len(like) // len(small))
    return small.repeat(times, 1, 1, 1)[: len(like)]
