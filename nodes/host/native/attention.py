"""The attention override that one prediction brings along."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from ....pipelines.attention.terms import Call, apart, as_it_is, evaluate, one_row
from ....pipelines.common.errors import EvenframeError
from .sites import Calls, Place, Seen

if TYPE_CHECKING:
    from torch import Tensor

    from ....pipelines.attention.processor import Attend
    from ....pipelines.attention.sites import Site

SLOT = "optimized_attention_override"
Kernel = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Asked:
    """An attention call as the host makes it.

    q, k, v: (b, n, heads d), or (b, heads, n, d) where `more` says "skip_reshape". more: all that
    goes on to the host's own attention as it is.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    heads: int
    mask: Any
    more: dict[str, Any]

    @property
    def options(self) -> Mapping[str, Any]:
        """The model's options of this pass."""
        return self.more.get("transformer_options") or {}

    def plain(self, kernel: Kernel) -> Tensor:
        """What the host's attention gives."""
        return kernel(self.q, self.k, self.v, self.heads, mask=self.mask, **self.more)

    def part(self, index: int, parts: int) -> Asked:
        """One of so many equal parts of the batch."""
        q, k, v = (tensor.chunk(parts)[index] for tensor in (self.q, self.k, self.v))
        return replace(self, q=q, k=k, v=v)

    def heads_apart(self) -> list[Tensor]:
        """q, k and v with their heads apart: (b, heads, n, d)."""
        tensors = [self.q, self.k, self.v]
        if self.more.get("skip_reshape"):
            return tensors
        return [tensor.unflatten(-1, (self.heads, -1)).transpose(1, 2) for tensor in tensors]

    def formed(self, output: Tensor) -> Tensor:
        """An output (b, heads, n, d) in the form that the model asked for."""
        if self.more.get("skip_output_reshape"):
            return output
        return output.transpose(1, 2).flatten(2)  # b n (heads d)


@dataclass
class Layer:
    """An override in the host's one slot for it; what was there before is asked in its place.

    calls: tells the model's layers apart.
    """

    calls: Calls = field(default_factory=Calls)
    earlier: Kernel | None = None

    def __call__(
        self, func: Kernel, q: Any, k: Any, v: Any, heads: int, mask: Any = None, **more: Any
    ) -> Tensor:
        kernel = func if self.earlier is None else partial(self.earlier, func)
        return self.attention(Asked(q, k, v, heads, mask, more), kernel)

    def attention(self, asked: Asked, kernel: Kernel) -> Tensor:
        """The output, in the form that the model asked for."""
        return asked.plain(kernel)


def chained(options: dict[str, Any], layer: Layer) -> dict[str, Any]:
    """A copy of model options whose attention passes through this override."""
    inner = dict(options.get("transformer_options", {}))
    layer.earlier = inner.get(SLOT)
    inner[SLOT] = layer
    return {**options, "transformer_options": inner}


@dataclass
class Probe(Layer):
    """Notes every call, and leaves it as it is."""

    seen: list[Seen] = field(default_factory=list)

    def attention(self, asked: Asked, kernel: Kernel) -> Tensor:
        place, number = self.calls.number(asked.options)
        tokens = asked.q.shape[-2], asked.k.shape[-2]
        self.seen.append(Seen(place, number, *tokens, asked.mask is not None))
        return asked.plain(kernel)


@dataclass
class Controlled(Layer):
    """Lets controls rewrite the attention of some branches.

    names: of the branches, by the host's number for them. main: the entries that controls act on,
    by their uuids. tokens: of each branch's prompt. sites: by their place. frame_size: (height,
    width) of a frame in pixels. joined: frames that lie in a row of the batch one behind
    the other, 1 where each is a row. keyframes: who looks at whom, or None; on layers of
    `keyframe_stride` and coarser.
    """

    names: Sequence[str] = ()
    main: Collection[Any] = ()
    tokens: Mapping[str, int] = field(default_factory=dict)
    sites: Mapping[tuple[Place, int], Site] = field(default_factory=dict)
    frame_size: tuple[int, int] = (0, 0)
    joined: int = 1
    keyframes: Tensor | None = None
    keyframe_stride: int = 0
    attend: Attend = as_it_is

    def attention(self, asked: Asked, kernel: Kernel) -> Tensor:
        site = self.sites.get(self.calls.number(asked.options))
        entries: Sequence[int] = asked.options.get("cond_or_uncond", ())
        uuids: Sequence[Any] = asked.options.get("uuids", ())
        idle = self.attend is as_it_is and self.keyframes is None
        if site is None or idle or not entries:
            return asked.plain(kernel)
        parts = [asked.part(index, len(entries)) for index in range(len(entries))]
        # Of a prompt in several entries, controls act on the one with its words.
        outputs = [
            self._changed(site, self.names[entry], part, uuid in self.main)
            for entry, uuid, part in zip(entries, uuids, parts, strict=True)
        ]
        if all(output is None for output in outputs):
            return asked.plain(kernel)
        # A branch that no control changes is computed by the host, to the bit as without us.
        return torch.cat(
            [
                part.plain(kernel) if output is None else part.formed(output)
                for part, output in zip(parts, outputs, strict=True)
            ]
        )

    def _changed(self, site: Site, branch: str, part: Asked, main: bool) -> Tensor | None:
        """(b, heads, n, d), or None where the model's own attention is to stay."""
        if not main and (self.keyframes is None or self.joined > 1):
            return None
        call = self._call(site, branch, *part.heads_apart())
        plain = call.plain()
        terms = self.attend(call, plain) if main else plain
        if terms is plain and (call.keyframes is None or self.joined > 1):
            return None
        if part.mask is not None:
            raise EvenframeError(
                "Another node has put a mask on the model's attention, which does not go together "
                "with controls and key frames: leave it out."
            )
        out = evaluate(terms)  # f heads n d
        return out if self.joined == 1 else one_row(out)

    def _call(self, site: Site, branch: str, q: Tensor, k: Tensor, v: Tensor) -> Call:
        own, keyframes = site.kind == "self", None
        grid = site.grid(self.frame_size)
        if q.shape[2] != self.joined * grid[0] * grid[1]:
            raise EvenframeError(
                f"The model attends to {q.shape[2]} tokens where {self.joined} x {grid[0]}x"
                f"{grid[1]} are of the clip: a node before Adopt Model changes their number "
                "(HyperTile, Deep Shrink), or the conditioning has areas or adds pictures to look "
                "at. Leave it out, or the controls and key frames."
            )
        if self.joined > 1:
            q, count = apart(q, self.joined), self.joined
            k, v = (apart(t, count) if own else t.expand(count, -1, -1, -1) for t in (k, v))
            keyframes = torch.arange(self.joined, device=q.device)[None] if own else None
        elif own and self.keyframes is not None and site.stride >= self.keyframe_stride:
            keyframes = self.keyframes.to(q.device)
        if not own:  # beside a longer prompt, the host repeats the tokens of a shorter one
            k, v = (tensor[:, :, : self.tokens.get(branch)] for tensor in (k, v))
        return Call(site, branch, grid, q, k, v, keyframes)
