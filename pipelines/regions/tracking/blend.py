"""One place out of two: masks by the distance to their outlines, boxes edge by edge."""

import torch
from torch import Tensor

SEEN, HIDDEN = 1, 2
"""Of a pixel: it shows the object, or what lies before the object."""


def mixed_mask(one: Tensor, other: Tensor, share: float) -> Tensor:
    """The mask between two, (h, w) of `SEEN`, `HIDDEN` and 0 each. share: of the first, 0..1.

    Signed distances to the two outlines are averaged, so that it lies between them; a mean of the
    masks themselves, cut at one half, would be one of the two, their union or what they share.
    Where one of them lost the object behind something, the other alone is asked.
    """
    depths, distances = zip(*(_distances(mask == SEEN) for mask in (one, other)), strict=True)
    deep = max(*depths, 1.0)  # farther out, an empty mask would outweigh any other
    first, second = (each.clamp(-deep, deep) for each in distances)
    mean = share * first + (1 - share) * second
    mean = torch.where((one == HIDDEN) & (other != HIDDEN), second, mean)
    mean = torch.where((other == HIDDEN) & (one != HIDDEN), first, mean)
    return torch.where(mean > 0, SEEN, 0).to(torch.uint8)


def _distances(mask: Tensor) -> tuple[float, Tensor]:
    """The depth of a mask (h, w) of bool, and pixels to its outline (h, w), less than 0 outside."""
    import cv2
    import numpy as np

    def to_edge(plane: Tensor) -> Tensor:
        if plane.all():
            return torch.full(plane.shape, float(max(plane.shape)))
        bytes_ = plane.numpy().astype(np.uint8)
        return torch.from_numpy(cv2.distanceTransform(bytes_, cv2.DIST_L2, 3))

    inside = to_edge(mask)
    return float(inside.max()), torch.where(mask, inside - 0.5, 0.5 - to_edge(~mask))


def mixed_box(one: Tensor, other: Tensor, share: float) -> Tensor:
    """The box (4,) between two. share: of the first, 0..1."""
    return share * one + (1 - share) * other


def mask_overlap(one: Tensor, other: Tensor) -> float:
    """Intersection over union of what is seen of two masks (h, w); 1 where both are empty."""
    one, other = one == SEEN, other == SEEN
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 1.0


def box_overlap(one: Tensor, other: Tensor) -> float:
    """Intersection over union of two boxes (4,)."""
    low, high = torch.maximum(one[:2], other[:2]), torch.minimum(one[2:], other[2:])
    both = float((high - low).clamp(min=0).prod())
    union = sum(float((box[2:] - box[:2]).prod()) for box in (one, other)) - both
    return both / union if union > 0 else 0.0
