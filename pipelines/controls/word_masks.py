"""Masks from words: where a prompt's words are looked at, there an edit is free.

Source: FateZero (ICCV 2023), Eq. 5.
"""

from collections.abc import Iterable

import torch.nn.functional as F
from torch import Tensor

from ..grids import nearest


def blend_mask(
    word_maps: Tensor, sizes: Iterable[tuple[int, int]], threshold: float
) -> dict[tuple[int, int], Tensor]:
    """M_t: where the blend words look, 1 for the edit and 0 for the source (FateZero, Eq. 5).

    word_maps: (layers*heads, f, h, w) attention, summed over the words' tokens. sizes: grids to
    give the mask on. threshold: of the attention relative to its maximum in each frame.
    Returns (f, h, w) masks of 0 and 1 by grid, in the dtype of the maps.
    """
    mean = word_maps.mean(0)  # f h w
    spread = F.max_pool2d(mean[:, None], kernel_size=3, stride=1, padding=1)
    masks = {}
    for size in sizes:
        resized = nearest(spread, size)[:, 0]  # f h w
        peak = resized.amax(dim=(1, 2), keepdim=True)
        masks[size] = (resized > threshold * peak).to(word_maps.dtype)
    return masks
