"""A loss that ties each word's cross-attention to the place of what it names.

Trained plainly, a model this small leaves most attention on padding. The miniature's localisation
is therefore supervised, with the scenes' own masks; its documentation says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class ExplicitProcessor:
    """Attention with explicit probabilities, which trains faster than a fused kernel on a CPU: the
    grids are small.

    Attributes:
        records: whether the head-averaged map is kept.
        probabilities: (n, queries, keys), differentiable, of the latest call.
    """

    def __init__(self, records: bool) -> None:
        self.records = records
        self.probabilities: Tensor | None = None

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query = attn.head_to_batch_dim(attn.to_q(hidden_states))  # (b h) q d
        key = attn.head_to_batch_dim(attn.to_k(context))
        value = attn.head_to_batch_dim(attn.to_v(context))
        weights = (query @ key.transpose(1, 2) * attn.scale).softmax(-1)  # (b h) q k
        if self.records:
            self.probabilities = weights.unflatten(0, (-1, attn.heads)).mean(1)  # b q k
        return attn.to_out[0](attn.batch_to_head_dim(weights @ value))


def make_explicit(unet: Any, *, cross_only: bool = False) -> list[ExplicitProcessor]:
    """Set explicit processors; returns those of the cross-attention, which record."""
    processors = {
        name: ExplicitProcessor(records=name.endswith("attn2.processor"))
        for name in unet.attn_processors
    }
    recorders = {name: one for name, one in processors.items() if one.records}
    unet.set_attn_processor({**unet.attn_processors, **(recorders if cross_only else processors)})
    return list(recorders.values())


def mean_map(recorders: Iterable[ExplicitProcessor], cells: int) -> Tensor:
    """(n, cells * cells, keys): the mean over the layers of this grid."""
    maps = [r.probabilities for r in recorders if r.probabilities is not None]
    return torch.stack([m.float() for m in maps if m.shape[1] == cells**2]).mean(0)


def localisation_loss(maps: Tensor, slots: Tensor, masks: Tensor) -> Tensor:
    """How much of each word's attention misses its object, and how little each cell gives it.

    maps: (n, q, 77) probabilities, averaged over heads and layers. slots: (n, 77) slot of each
    token, -1 for none. masks: (n, s, q) share of each cell that a slot covers, 0..1.
    Returns a scalar: the sum over slots of the mean of (1 - share of the token's mass inside its
    mask)^2 and of how far each masked cell's attention to each of the slot's k words is below
    0.5 / k, as a share of that. Asking every cell and every word matters: asking only their sum
    leaves the noun a few bright cells and the adjective the rest. The last slot, the background,
    counts half.
    """
    number = masks.shape[1]
    chosen = torch.stack([slots == k for k in range(number)], 1).to(maps.dtype)  # n s k
    inside = masks * (masks > 0.3)  # n s q
    share = (inside @ maps) / (maps.sum(1, keepdim=True) + 1e-6)  # n s k
    missed = ((1 - share).square() * chosen).sum((0, 2)) / chosen.sum((0, 2)).clamp(min=1)
    weight = torch.ones(number, dtype=maps.dtype, device=maps.device)
    weight[-1] = 0.5
    lacking = [_lacking(maps, chosen[:, slot], inside[:, slot]) for slot in range(number)]
    return ((missed + torch.stack(lacking)) * weight).sum()


def _lacking(maps: Tensor, chosen: Tensor, inside: Tensor) -> Tensor:
    """Mean over the cells of a slot and its words of the missing share of 0.5 / words."""
    words = chosen.sum(1).clamp(min=1)  # n
    short = (1 - maps * (2 * words)[:, None, None]).relu()  # n q k
    pairs = inside[:, :, None] * chosen[:, None, :]  # n q k
    return (short * pairs).sum() / pairs.sum().clamp(min=1e-6)
