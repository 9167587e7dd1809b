"""Cross-attention maps of words: a few columns of 77, the only maps that are ever built."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from ..attention.sites import Site
from ..attention.terms import probabilities
from .store import SourceAttention


def mask_sites(sites: Iterable[Site], stride: int) -> tuple[Site, ...]:
    """The cross-attention sites that masks are read from."""
    return tuple(site for site in sites if site.kind == "cross" and site.stride == stride)


def word_maps(
    source: SourceAttention,
    sites: Sequence[Site],
    tokens: Sequence[int],
    frame_size: tuple[int, int],
) -> Tensor:
    """How much each place looks at some tokens: (layers*heads, f, h, w), summed over the tokens.

    sites: cross-attention sites of one stride. frame_size: (height, width) of a frame in pixels.
    """
    layers = []
    for site in sites:
        maps = probabilities(source.queries[site.name], source.keys[site.name])
        columns = maps[..., list(tokens)].sum(-1)  # f heads (h w)
        layers.append(columns.transpose(0, 1).unflatten(-1, site.grid(frame_size)))
    return torch.cat(layers)  # (layers heads) f h w
