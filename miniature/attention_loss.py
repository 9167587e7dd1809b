"""A loss that ties each word's cross-attention to the place of what it names.

Trained plainly, a model this small leaves most attention on padding. The miniature's localisation
is therefore supervised, with the scenes' own masks; its documentation says so.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class RecordingProcessor:
    """Attention with explicit probabilities; the last head-averaged map is kept.

    Attributes:
        probabilities: (n, queries, keys), differentiable, of the latest call.
    """

    def __init__(self) -> None:
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
        self.probabilities = weights.unflatten(0, (-1, attn.heads)).mean(1)  # b q k
        return attn.to_out[0](attn.batch_to_head_dim(weights @ value))


def localisation_loss(maps: Tensor, slots: Tensor, masks: Tensor) -> Tensor:
    """How much of each word's attention misses its object, and how little the object gives it.

    Args:
        maps: (n, q, 77) attention probabilities, averaged over heads and layers.
        slots: (n, 77) slot of each token, -1 for none.
        masks: (n, s, q) share of each cell that a slot covers, 0..1.

    Returns:
        A scalar: sum over slots of the mean of (1 - share of the token's mass inside its mask)^2
        and of how far the attention that the masked cells pay to the slot's words is below 0.5.
        The last slot, the background, counts half.
    """
    number = masks.shape[1]
    chosen = torch.stack([slots == k for k in range(number)], 1).to(maps.dtype)  # n s k
    inside = masks * (masks > 0.3)  # n s q
    token_mass = inside @ maps  # n s k
    share = token_mass / (maps.sum(1, keepdim=True) + 1e-6)
    missed = ((1 - share).square() * chosen).sum((0, 2)) / chosen.sum((0, 2)).clamp(min=1)
    present = chosen.amax(2) * (inside.sum(2) > 0)  # n s
    paid = (token_mass * chosen).sum(2) / inside.sum(2).clamp(min=1e-6)
    lacking = ((0.5 - paid).relu() * present).sum(0) / present.sum(0).clamp(min=1)
    weight = torch.ones(number, dtype=maps.dtype, device=maps.device)
    weight[-1] = 0.5
    return ((missed + lacking) * weight).sum()
