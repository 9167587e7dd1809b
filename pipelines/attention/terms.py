"""Attention as a list of terms, each evaluated by a fused kernel.

Every control in this package is linear in attention maps, so none needs a map: a blend of two maps
times V is two attention calls, a change of columns is a change of V (both exact).
"""

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from .sites import Site


@dataclass(frozen=True)
class Term:
    """gate * softmax(q k^T / sqrt(d) + bias) v.

    q: (f, heads, n, d); k: (f, heads, m, d); v: (f, heads, m, d).
    gate: weight of each query row, broadcastable to (f, heads, n, 1), or None for 1.
    bias: added to the logits, of at least two dimensions that broadcast to (f, heads, n, m),
        or None for 0.
    source: whether q and k are the source's. The rows are the same pixels, and in self-attention
        the columns too; in cross-attention the columns are tokens of the source prompt.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    gate: Tensor | None = None
    bias: Tensor | None = None
    source: bool = False


Terms = tuple[Term, ...]


@dataclass(frozen=True)
class Call:
    """One attention call of one branch, as a control sees it.

    branch: which part of the batch: "source", "negative" or "target".
    grid: tokens (rows, columns) of a frame at this site.
    q: (f, heads, n, d) of every frame; k, v: (f, heads, m, d) of every frame's own tokens (self) or
        of the prompt (cross), before key frames are gathered.
    keyframes: (f, j) indices of the frames whose tokens each frame attends to, or None for its own.
    """

    site: Site
    branch: str
    grid: tuple[int, int]
    q: Tensor
    k: Tensor
    v: Tensor
    keyframes: Tensor | None = None

    def gather(self, tokens: Tensor) -> Tensor:
        """Concatenate the key frames' tokens: (f, heads, m, d) -> (f, heads, j*m, d)."""
        return gather_keyframes(tokens, self.keyframes)

    @cached_property
    def values(self) -> Tensor:
        """`v` of the key frames, (f, heads, j*m, d): what every term of self-attention sums."""
        return self.gather(self.v)

    def plain(self) -> Terms:
        """The attention of the unmodified model."""
        return (Term(self.q, self.gather(self.k), self.values),)


def gather_keyframes(tokens: Tensor, keyframes: Tensor | None) -> Tensor:
    """Tokens of each frame's key frames, concatenated: (f, heads, m, d) -> (f, heads, j*m, d)."""
    if keyframes is None:
        return tokens
    picked = tokens[keyframes]  # f j heads m d
    return picked.transpose(1, 2).flatten(2, 3)  # f heads (j m) d


def evaluate(terms: Terms) -> Tensor:
    """Sum of the terms: (f, heads, n, d)."""
    total: Tensor | None = None
    for term in terms:
        out = F.scaled_dot_product_attention(term.q, term.k, term.v, attn_mask=term.bias)
        gate = None if term.gate is None else term.gate.to(out.dtype)
        if total is None:
            total = out if gate is None else out * gate
        else:
            total = total + out if gate is None else torch.addcmul(total, out, gate)
    if total is None:
        raise ValueError("an attention call needs at least one term")
    return total


def probabilities(q: Tensor, k: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(d)) for few keys, such as a prompt's: (f, heads, n, m), float32.

    For cross-attention only: with the keys of a frame this would be the map nobody may build.
    """
    logits = q.float() @ k.float().transpose(-1, -2)
    return torch.softmax(logits * q.shape[-1] ** -0.5, dim=-1)
