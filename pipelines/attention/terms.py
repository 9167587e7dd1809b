"""Attention as a list of terms, each evaluated by a fused kernel.

Every control in this package is linear in attention maps, so none needs a map: a blend of two maps
times V is two attention calls, a change of columns is a change of V (both exact).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from .sites import Site

Rewrite = Callable[[Tensor, int, slice], Tensor]
"""(logits (heads, rows, m), frame, rows) -> logits: changes some rows of one frame's attention."""

ROWS_ELEMENTS = {"cpu": 2**18}
OTHER_ELEMENTS = 2**22
"""Logits that are in memory at once where rows are rewritten: 16 MB in float32, and on a CPU what
its cache holds, which is three times as fast."""


@dataclass(frozen=True)
class Term:
    """gate * softmax(q k^T scale + bias) v.

    q: (f, heads, n, d); k: (f, heads, m, d); v: (f, heads, m, d), or narrower than q and k.
    gate: weight of each query row, broadcastable to (f, heads, n, 1), or None for 1.
    bias: added to the logits, of at least two dimensions that broadcast to (f, heads, n, m),
        or None for 0.
    source: whether q and k are the source's. The rows are the same pixels, and in self-attention
        the columns too; in cross-attention the columns are tokens of the source prompt.
    scale: of the logits, or None for 1 / sqrt(d).
    rewrite: changes the logits after the bias, for what no bias can say; such a term is evaluated
        some rows at a time, in twice the time or more, unless it has its `OwnWay`. None leaves
        them.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    gate: Tensor | None = None
    bias: Tensor | None = None
    source: bool = False
    scale: float | None = None
    rewrite: Rewrite | None = None

    def __post_init__(self) -> None:
        # torch's attention on the CPU does not look, and reads what lies behind the values.
        if self.k.shape[-2] != self.v.shape[-2]:
            raise ValueError(f"{self.k.shape[-2]} keys cannot have {self.v.shape[-2]} values")


Terms = tuple[Term, ...]


class OwnWay:
    """A `Rewrite` with a faster way of its own, as long as nobody rewrites further."""

    def __call__(self, logits: Tensor, frame: int, rows: slice) -> Tensor:
        """As any other."""
        raise NotImplementedError

    def evaluated(self, term: Term) -> Tensor:
        """What softmax of the term's logits sums once it has rewritten them, (f, heads, n, d)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Call:
    """One attention call of one branch, as a control sees it.

    branch: which part of the batch: "source", "negative" or "target".
    grid: tokens (rows, columns) of a frame at this site.
    q: (f, heads, n, d) of every frame; k, v: (f, heads, m, d) of every frame's own tokens (self) or
        of the prompt (cross), before key frames are gathered.
    keyframes: (f, j) indices of the frames whose tokens each frame attends to, (1, j) where they
        are the same for all, or None for its own.

    In a temporal layer the tokens of a pixel are its frames: q, k and v are (h*w, heads, f, d).

    f are the frames of the latents. A video transformer, whose tokens attend to those of the whole
    clip, shows its one long row so, too: with all of the frames as key frames of each.
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

    def looking_at(self, frame: int) -> "Call":
        """The same where each frame looks at this one as well, behind those that it looks at."""
        own = torch.arange(len(self.k), device=self.k.device)[:, None]
        rows = own if self.keyframes is None else self.keyframes  # f j, or 1 j
        return replace(
            self, keyframes=torch.cat([rows, torch.full_like(rows[:, :1], frame)], dim=1)
        )

    @cached_property
    def values(self) -> Tensor:
        """`v` of the key frames, (f, heads, j*m, d): what every term of self-attention sums."""
        return self.gather(self.v)

    def plain(self) -> Terms:
        """The attention of the unmodified model."""
        return (Term(self.q, self.gather(self.k), self.values),)


def as_it_is(call: Call, terms: Terms) -> Terms:
    """Attend as the model does."""
    return terms


def gather_keyframes(tokens: Tensor, keyframes: Tensor | None) -> Tensor:
    """Tokens of each frame's key frames, concatenated: (f, heads, m, d) -> (f, heads, j*m, d).

    Where all frames have the same ones, the result is one copy that all frames share.
    """
    if keyframes is None:
        return tokens
    # Not by brackets: on the CPU their gradient is summed in an order that threads decide.
    picked = tokens.index_select(0, keyframes.flatten())  # (f j) heads m d, or j heads m d
    picked = picked.unflatten(0, keyframes.shape)  # f j heads m d, or 1 j heads m d
    joined = picked.transpose(1, 2).flatten(2, 3)  # f heads (j m) d
    return joined.expand(len(tokens), -1, -1, -1)


def evaluate(terms: Terms) -> Tensor:
    """Sum of the terms: (f, heads, n, d)."""
    total: Tensor | None = None
    for term in terms:
        out = _summed(term, term.rewrite)
        gate = None if term.gate is None else term.gate.to(out.dtype)
        if total is None:
            total = out if gate is None else out * gate
        else:
            total = total + out if gate is None else torch.addcmul(total, out, gate)
    if total is None:
        raise ValueError("an attention call needs at least one term")
    return total


def _summed(term: Term, rewrite: Rewrite | None) -> Tensor:
    if rewrite is None:
        return _fused(term)
    return rewrite.evaluated(term) if isinstance(rewrite, OwnWay) else by_rows(term, rewrite)


def extended(term: Term, rows: Tensor, columns: Tensor) -> Term:
    """The term with sum_r rows[i, r] columns[j, r] added to its logits, without a matrix of them.

    rows: (f, heads, n, r), columns: (f, heads, m, r), or what broadcasts to them. Exact: they
    become more dimensions of the queries and the keys. Keys that all frames share stay shared where
    the columns are the same for all.
    """
    scale = scale_of(term)

    def joined(tokens: Tensor, more: Tensor) -> Tensor:
        if more.ndim < 4 or len(more) == 1:
            return each_once(tokens, lambda part: _beside(part, more))
        return _beside(tokens, more)

    q, k = joined(term.q, rows), joined(term.k, columns / scale)
    return replace(term, q=q, k=k, scale=scale)


def _beside(tokens: Tensor, more: Tensor) -> Tensor:
    more = more.to(tokens).expand(*tokens.shape[:-1], -1)
    return torch.cat([tokens, more], dim=-1)


def each_once(tokens: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """`change` of tokens (f, ...); where all frames share theirs, of one copy, which they share."""
    if not shared(tokens):
        return change(tokens)
    return change(tokens[:1]).expand(len(tokens), -1, -1, -1)


def shared(tokens: Tensor) -> bool:
    """Whether the tokens of all frames are the same memory."""
    return len(tokens) > 1 and tokens.stride(0) == 0


def logits_of(term: Term) -> Tensor:
    """q k^T scale + bias, (f, heads, n, m), in float32 or better, before any `rewrite`.

    For few keys, such as a prompt's: with the keys of a frame this is what nobody may build.
    """
    dtype = torch.promote_types(term.q.dtype, torch.float32)
    logits = term.q.to(dtype) @ term.k.to(dtype).transpose(-1, -2) * scale_of(term)
    return logits if term.bias is None else logits + term.bias


def scale_of(term: Term) -> float:
    """Of its logits."""
    return term.q.shape[-1] ** -0.5 if term.scale is None else term.scale


def _fused(term: Term) -> Tensor:
    if not (shared(term.k) and shared(term.v)):
        return _attention(term)
    out = _attention(as_one_row(term))  # 1 heads (f n) d
    return apart(out, len(term.q))


def as_one_row(term: Term) -> Term:
    """Of frames that share their keys and values the attention as that of one long frame."""
    frames, _, rows, _ = term.q.shape
    bias = term.bias
    if bias is not None:
        bias = bias[(None,) * (4 - bias.ndim)]  # f heads n m, or 1 where it broadcasts
        if bias.shape[0] > 1 or bias.shape[2] > 1:
            bias = one_row(bias.expand(frames, -1, rows, -1))
    return replace(term, q=one_row(term.q), k=term.k[:1], v=term.v[:1], bias=bias)


def one_row(tokens: Tensor) -> Tensor:
    """The tokens of all frames one behind the other: f heads n d -> 1 heads (f n) d."""
    return tokens.transpose(0, 1).flatten(1, 2)[None]


def apart(tokens: Tensor, frames: int) -> Tensor:
    """The inverse of `one_row`: 1 heads (f n) d -> f heads n d."""
    return tokens[0].unflatten(1, (frames, -1)).transpose(0, 1)


def _attention(term: Term) -> Tensor:
    q, k, v = term.q, term.k, term.v
    width = v.shape[-1]
    if width < q.shape[-1]:  # values of another width would fall off the fast path
        v = F.pad(v, (0, q.shape[-1] - width))
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=term.bias, scale=term.scale)
    return out[..., :width]


def row_blocks(term: Term) -> Iterator[tuple[int, slice, Tensor]]:
    """(frame, rows, logits (heads, rows, m)) of some rows of one frame at a time, before any
    `rewrite`, in float32 or better: memory grows with the keys, never with queries x keys."""
    frames, heads, n, _ = term.q.shape
    m, count = term.k.shape[2], at_once(term)
    dtype = torch.promote_types(term.q.dtype, torch.float32)
    bias = None if term.bias is None else term.bias.expand(frames, heads, n, m)
    for frame in range(frames):
        keys = (term.k[frame].to(dtype) * scale_of(term)).transpose(-1, -2)  # heads d m
        for start in range(0, n, count):
            rows = slice(start, min(start + count, n))
            logits = term.q[frame, :, rows].to(dtype) @ keys  # heads rows m
            yield frame, rows, logits if bias is None else logits + bias[frame, :, rows]


def at_once(term: Term) -> int:
    """Rows of one frame whose logits may be in memory at once."""
    elements = ROWS_ELEMENTS.get(term.q.device.type, OTHER_ELEMENTS)
    # At most half of them: the whole of a small map would be a map.
    return max(1, min(-(-term.q.shape[2] // 2), elements // (term.q.shape[1] * term.k.shape[2])))


def by_rows(term: Term, rewrite: Rewrite) -> Tensor:
    """The sum of what some rows at a time look at, after a rewrite."""
    frames, _, n, _ = term.q.shape
    outputs = [
        torch.softmax(rewrite(logits, frame, rows), dim=-1) @ term.v[frame].to(logits)
        for frame, rows, logits in row_blocks(term)
    ]
    out = torch.cat(outputs, dim=1).unflatten(1, (frames, n))  # heads f n d
    return out.transpose(0, 1).to(term.v.dtype)


def attention_to(q: Tensor, k: Tensor, words: Sequence[Sequence[int]]) -> Tensor:
    """How much each row looks at some words: `probabilities` summed over the tokens of each, one
    that is named twice counting twice. (f, heads, n, words), float32, differentiable.

    No map is built: it is attention whose values say which tokens are a word's.
    """
    values = torch.zeros(k.shape[2], len(words))
    for column, tokens in enumerate(words):
        for token in tokens:
            values[token, column] += 1
    values = values.to(q.device).expand(*k.shape[:2], -1, -1)
    out = evaluate((Term(q.float(), each_once(k, Tensor.float), values),))
    return out.contiguous()  # not a view of values as wide as the queries


def probabilities(q: Tensor, k: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(d)) for few keys, such as a prompt's: (f, heads, n, m), float32.

    For cross-attention only: with the keys of a frame this would be the map nobody may build.
    """
    logits = q.float() @ k.float().transpose(-1, -2)
    return torch.softmax(logits * q.shape[-1] ** -0.5, dim=-1)
