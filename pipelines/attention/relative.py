"""Logits changed by how far they are from their row's largest and smallest.

What needs a row's extremes is no bias: they are known only when all of its logits are. So one
streamed pass finds them (`row_range`), and then they are a few more dimensions of the queries and
the keys, and attention stays fused.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from .terms import (
    OwnWay,
    Rewrite,
    Term,
    as_one_row,
    at_once,
    by_rows,
    each_once,
    extended,
    row_blocks,
    scale_of,
    shared,
)


def row_range(term: Term) -> tuple[Tensor, Tensor]:
    """The smallest and the largest logit of each row before any `rewrite`, (f, heads, n, 1), in
    float32 or better: one pass over q k^T, half of an attention's products, without a map."""
    frames = len(term.q)
    # Rows of all frames together where these share their keys: larger products are faster.
    joined = as_one_row(term) if shared(term.k) and term.bias is None else term
    found = [
        (logits.amin(-1, keepdim=True), logits.amax(-1, keepdim=True))
        for _, _, logits in row_blocks(joined)
    ]
    low, high = (
        torch.cat(each, dim=1).unflatten(1, (frames, -1)).transpose(0, 1)  # f heads n 1
        for each in zip(*found, strict=True)
    )
    return low, high


def pulled_together(term: Term, share: Tensor, rows: Tensor, columns: Tensor) -> Term:
    """The term with s + c (max - s) in the place of its logits s where rows and columns meet, and
    s - c (s - min) elsewhere.

    share: c in 0..1 of each row, (f, 1, n, 1). rows: (f, 1, n, r), columns: (m, r) or (f, 1, m, r),
    whose products are 1 where they meet, else 0. Exact: but for c min, which is the same for all of
    a row and so nothing to a softmax, it is (1 - c) s + c (max - min) m.
    """
    share, rows, columns = (each.to(term.q.device) for each in (share, rows, columns))
    if term.rewrite is not None:
        return replace(term, rewrite=_rewritten(term.rewrite, share, rows, columns))
    low, high = row_range(term)
    bias = None if term.bias is None else term.bias * (1 - share)
    kept = replace(term, q=term.q * (1 - share).to(term.q), bias=bias)
    return extended(kept, share * (high - low) * rows, columns)


def _rewritten(earlier: Rewrite, share: Tensor, rows: Tensor, columns: Tensor) -> Rewrite:
    """The same of logits that somebody has rewritten."""
    if columns.ndim == 2:
        columns = columns[None, None]

    def rewrite(logits: Tensor, frame: int, chosen: slice) -> Tensor:
        logits = earlier(logits, frame, chosen)
        c, mine = (each[frame, :, chosen].to(logits) for each in (share, rows))
        theirs = columns[frame if len(columns) > 1 else 0].to(logits)
        far = logits.amax(-1, keepdim=True) - logits.amin(-1, keepdim=True)
        return (1 - c) * logits + c * far * (mine @ theirs.transpose(-1, -2))

    return rewrite


@dataclass(frozen=True, eq=False)
class Groups:
    """Which rows of each frame go the same way.

    ids: (f, n) the number of each row's group, from 0. order: (f, n) the rows by their groups.
    spans: for each frame (group, first, end) in that order.
    """

    ids: Tensor
    order: Tensor
    spans: Sequence[Sequence[tuple[int, int, int]]]

    @classmethod
    def of(cls, ids: Tensor, device: torch.device) -> "Groups":
        """ids: on the CPU, so that no device is waited for."""
        spans = []
        for counts in (row.bincount().tolist() for row in ids):
            ends = list(accumulate(counts))
            each = zip(range(len(counts)), [0, *ends], ends, strict=False)
            spans.append([span for span in each if span[1] < span[2]])
        return cls(ids.to(device), ids.argsort(dim=1, stable=True).to(device), spans)


@dataclass(frozen=True, eq=False)
class Relative(OwnWay):
    """s + up (max - s) - down (s - min), with one `up` and one `down` a key for a group of rows.

    up, down: (f, G, m), by group.
    """

    groups: Groups
    up: Tensor
    down: Tensor

    def __call__(self, logits: Tensor, frame: int, rows: slice) -> Tensor:
        """Some rows of a frame."""
        mine = self.groups.ids[frame, rows]
        return pulled(logits, self.up[frame][mine], self.down[frame][mine])

    def evaluated(self, term: Term) -> Tensor:
        """Some rows of one group at a time, in place: s (1 - up - down), and the rest is a product
        of two numbers of each row, its max and min, with two of each key. Ones among the values sum
        up what the softmax divides by."""
        if term.bias is not None:
            return by_rows(term, self)
        exact = torch.promote_types(term.q.dtype, torch.float32)
        heads, width = term.q.shape[1], term.v.shape[-1]
        order = self.groups.order[:, None, :, None]  # f 1 n 1
        q = term.q.to(exact).gather(2, order.expand_as(term.q))
        # In units of log 2, for 2^x is quicker than e^x; all that follows is linear in the logits.
        scale = scale_of(term) / math.log(2)
        keys = each_once(term.k, lambda k: (k.to(exact) * scale).mT.contiguous())
        # Products are fastest with as many columns as registers hold.
        ones = 1 + -(width + 1) % 8
        values = each_once(term.v, lambda v: F.pad(v.to(exact), (0, ones), value=1.0))
        kept = (1 - self.up - self.down).to(exact)  # f G m
        factors = torch.stack([self.up, self.down], dim=2).to(exact)  # f G 2 m
        factors = factors[:, :, None].expand(-1, -1, heads, -1, -1)  # f G heads 2 m
        summed = q.new_empty(*q.shape[:3], width + ones)
        for frame, group, rows in self._blocks(at_once(term)):
            logits = q[frame, :, rows] @ keys[frame]  # heads rows m
            ends = torch.stack([logits.amax(-1), logits.amin(-1)], dim=-1)  # heads rows 2
            logits.mul_(kept[frame, group]).baddbmm_(ends, factors[frame, group])
            # Not the max of before: where all keys are pushed away, nothing would be left of it.
            logits.sub_(logits.amax(-1, keepdim=True)).exp2_()
            summed[frame, :, rows] = logits @ values[frame]
        out = summed[..., :width] / summed[..., width : width + 1]
        placed = order.expand_as(out)
        return torch.empty_like(out).scatter_(2, placed, out).to(term.v.dtype)

    def _blocks(self, most: int) -> Iterator[tuple[int, int, slice]]:
        """(frame, group, rows in the groups' order), about so many rows at a time."""
        for frame, spans in enumerate(self.groups.spans):
            for group, first, end in spans:
                pieces = max(1, round((end - first) / most))  # equal ones: small products are slow
                ends = [first + (end - first) * at // pieces for at in range(pieces + 1)]
                for start, stop in pairwise(ends):
                    yield frame, group, slice(start, stop)


def pulled(logits: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """s + up (max - s) - down (s - min), with the largest and the smallest of each row.

    up, down: (n, m), which broadcast to the logits (..., n, m).
    """
    kept = logits * (1 - up - down).to(logits)
    raised = kept.addcmul_(up.to(logits), logits.amax(-1, keepdim=True))
    return raised.addcmul_(down.to(logits), logits.amin(-1, keepdim=True))
