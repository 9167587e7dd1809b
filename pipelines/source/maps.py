"""Cross-attention maps of words, and the masks that they make: where words are looked at, there an
edit is free. Of the attention to all tokens only these few columns are computed.

Source: FateZero (ICCV 2023), Eq. 5, for the mask of the source's words; the local blend of
"Prompt-to-Prompt" (ICLR 2023) for that of the target's.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..attention.processor import EarlyExit
from ..attention.sites import Site
from ..attention.terms import Call, Terms, attention_to, probabilities
from ..common.grids import nearest
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
    """How much each place looks at some tokens: (layers*heads, t, h, w), summed over the tokens.

    sites: cross-attention sites of one stride. frame_size: (height, width) of a frame in pixels.
    """
    layers = []
    for site in sites:
        each = _by_frame(source.queries[site.name], source.keys[site.name], tokens)
        columns = torch.cat(list(each))  # t heads (h w)
        layers.append(columns.transpose(0, 1).unflatten(-1, site.grid(frame_size)))
    return torch.cat(layers)  # (layers heads) t h w


def group_maps(
    source: SourceAttention,
    sites: Sequence[Site],
    groups: Sequence[Sequence[int]],
    frame_size: tuple[int, int],
) -> Tensor:
    """How much each place looks at groups of tokens: (t, groups, h, w) float32, the mean over
    layers and heads, summed over a group's tokens.

    sites, frame_size: as for `word_maps`.
    """
    layers = []
    for site in sites:
        q, k = source.queries[site.name], source.keys[site.name]
        pairs = zip(
            q, k.expand(len(q), -1, -1, -1), strict=True
        )  # of a long clip one frame at a time, in float32
        each = [attention_to(one[None], keys[None], groups)[0].mean(0) for one, keys in pairs]
        layers.append(torch.stack(each).mT.unflatten(-1, site.grid(frame_size)))  # t groups h w
    return torch.stack(layers).mean(0)


def _by_frame(q: Tensor, k: Tensor, tokens: Sequence[int]) -> Iterator[Tensor]:
    """Attention to some tokens of a prompt, their sum, (1, heads, n), one frame after the other: of
    a long clip only one frame is in memory in float32."""
    for queries, keys in zip(q, k.expand(len(q), -1, -1, -1), strict=True):
        yield attention_to(queries[None], keys[None], [tokens])[..., 0]


def blend_mask(
    word_maps: Tensor, sizes: Iterable[tuple[int, int]], threshold: float
) -> dict[tuple[int, int], Tensor]:
    """M_t: where the blend words look, 1 for the edit and 0 for the source (FateZero, Eq. 5).

    word_maps: (layers*heads, t, h, w) attention, summed over the words' tokens. sizes: grids to
    give the mask on. threshold: of the attention relative to its maximum in each frame.
    Returns (t, h, w) masks of 0 and 1 by grid, in the dtype of the maps.
    """
    mean = word_maps.mean(0)  # f h w
    spread = F.max_pool2d(mean[:, None], kernel_size=3, stride=1, padding=1)
    masks = {}
    for size in sizes:
        resized = nearest(spread, size)[:, 0]  # f h w
        peak = resized.amax(dim=(1, 2), keepdim=True)
        masks[size] = (resized > threshold * peak).to(word_maps.dtype)
    return masks


class TargetWords:
    """Where an edit has looked at words of its own prompt, summed over the steps so far.

    It sees the edit's own attention, before anything else is put in its place, at the sites that
    masks are read from. A step that is taken again counts as it was taken last.
    """

    def __init__(self, sites: Collection[Site], tokens: Sequence[int]):
        self._sites, self._tokens = sites, list(tokens)
        self._step = -1
        self._before: Tensor | None = None
        self._now: Tensor | None = None

    def start(self, step: int) -> None:
        """Begin a denoising step, or begin it again."""
        if step != self._step:
            self._before = self.total()
        self._step, self._now = step, None

    def see(self, call: Call) -> None:
        """Take the maps of an attention call of the target branch."""
        if call.site in self._sites:
            each = _by_frame(call.q, call.k, self._tokens)  # 1 heads (h w)
            maps = torch.cat([frame.sum(1) for frame in each])  # t (h w)
            self._now = _sum(self._now, maps.unflatten(1, call.grid))  # t h w

    def total(self) -> Tensor | None:
        """(f, h, w), summed over tokens, heads, layers and steps; None where nothing was seen."""
        return _sum(self._before, self._now)


def _sum(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other


class MapCollector:
    """Keeps the attention maps of some cross-attention sites, and leaves after the last.

    words: the tokens of each, whose sums are all that is kept, (f, h, w, words); None for each
    token's own map, (f, h, w, L).
    """

    def __init__(self, sites: Sequence[Site], words: Sequence[Sequence[int]] | None = None):
        self._names, self._words = {site.name for site in sites}, words
        self._last = max(site.order for site in sites)
        self.maps: dict[str, Tensor] = {}

    def attend(self, call: Call, terms: Terms) -> Terms:
        if call.site.name in self._names:
            pair, words = (call.q, call.k), self._words
            maps = probabilities(*pair) if words is None else attention_to(*pair, words)
            self.maps[call.site.name] = maps.mean(1).unflatten(1, call.grid)  # f h w L, or words
        if call.site.order >= self._last:
            raise EarlyExit
        return terms
