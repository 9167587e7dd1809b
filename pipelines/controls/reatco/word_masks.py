"""Where on a layer's grid the words of regions belong."""

import torch
from torch import Tensor

from ...common.errors import EvenframeError
from ...regions.regions import Regions
from ...text.tokens import Place
from ..base import Edit
from ..region_words import region_places, tell_places

WordMask = tuple[tuple[int, ...], Tensor]
"""Tokens of a phrase, and the mask (t, rows, columns) of 0 and 1 of where it belongs."""


OVERLAPS = ("top", "both")


def word_masks(
    regions: Regions, edit: Edit, grid: tuple[int, int], warn: bool = True, overlap: str = "top"
) -> list[WordMask]:
    """Of each phrase that the latent frames at work show, the mask of its region, or of all regions
    that name the same.

    warn: tell of small regions and of words that occur twice. overlap: whose a place is that two
    regions have, that of the one on "top" or of "both". Raises EvenframeError for words that the
    prompt does not have, and for a region that others hide on all frames.
    """
    regions, warn = regions.on_latents(edit.clip), warn and edit.first_window
    cells = (regions.cells if overlap == "top" else regions.alone)(grid, warn=warn)
    for region, mask in zip(regions.items, cells, strict=True):
        if not mask.any():
            raise EvenframeError(
                f"Region '{region.name}' lies under later regions on all frames: "
                "move it, or put it after them."
            )
    here = cells[:, edit.latent_frames.start : edit.latent_frames.stop]
    places = region_places(edit.prompt.tokens, regions.items)
    if warn:
        tell_places(edit, regions.items, places)
    masks: dict[Place, Tensor] = {}
    for theirs, mask in zip(places, here, strict=True):
        for place in theirs:
            masks[place] = torch.maximum(mask, masks.get(place, mask))
    return [
        (edit.prompt.tokens.at(place), mask.to(edit.model.device))
        for place, mask in masks.items()
        if mask.any()
    ]
