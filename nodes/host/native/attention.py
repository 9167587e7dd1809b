"""The attention override that one prediction brings along."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from ....pipelines.attention.terms import Call, Terms, as_it_is, evaluate
from ....pipelines.common.errors import EvenframeError
from .sites import Calls, Place, Seen

if TYPE_CHECKING:
    from torch import Tensor

    from ....pipelines.attention.processor import Attend
    from ....pipelines.attention.sites import Site

SLOT = "optimized_attention_override"
Kernel = Callable[..., Any]


def chained(options: dict[str, Any], override: Override | Probe) -> dict[str, Any]:
    """A copy of model options whose attention passes through this override, and then through the
    one that was there."""
    inner = dict(options.get("transformer_options", {}))
    override.earlier = inner.get(SLOT)
    inner[SLOT] = override
    return {**options, "transformer_options": inner}


def _kernel(func: Kernel, earlier: Kernel | None) -> Kernel:
    return func if earlier is None else partial(earlier, func)


@dataclass
class Probe:
    """Notes every call, and leaves it as it is."""

    earlier: Kernel | None = None
    seen: list[Seen] = field(default_factory=list)
    calls: Calls = field(default_factory=Calls)

    def __call__(
        self,
        func: Kernel,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        heads: int,
        mask: Any = None,
        **more: Any,
    ) -> Tensor:
        place, number = self.calls.number(more.get("transformer_options") or {})
        self.seen.append(Seen(place, number, q.shape[-2], k.shape[-2], mask is not None))
        return _kernel(func, self.earlier)(q, k, v, heads, mask=mask, **more)


@dataclass
class Override:
    """Lets controls rewrite the attention of some branches.

    names: of the branches, by the host's number for them. sites: by their place. rows: frames of a
    branch that are rows of the model's batch; `joined` frames lie in each row one behind the other.
    keyframes: who looks at whom, or None. keyframe_stride: on layers from this stride on.
    frame_size: (height, width) of a frame in pixels.
    """

    names: Sequence[str]
    sites: Mapping[tuple[Place, int], Site]
    calls: Calls
    frame_size: tuple[int, int]
    joined: int = 1
    keyframes: Tensor | None = None
    keyframe_stride: int = 0
    attend: Attend = as_it_is
    earlier: Kernel | None = None

    def __call__(
        self,
        func: Kernel,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        heads: int,
        mask: Any = None,
        **more: Any,
    ) -> Tensor:
        options = more.get("transformer_options") or {}
        kernel = _kernel(func, self.earlier)
        site = self.sites.get(self.calls.number(options))
        entries = options.get("cond_or_uncond", ())
        if site is None or not entries:
            return kernel(q, k, v, heads, mask=mask, **more)
        split = bool(more.get("skip_reshape"))
        rows = len(q) // len(entries)
        outputs: list[Tensor | None] = []
        for index, entry in enumerate(entries):
            own = [tensor[index * rows : (index + 1) * rows] for tensor in (q, k, v)]
            call = self._call(site, self.names[entry], *(_heads(t, heads, split) for t in own))
            plain = call.plain()
            terms = self.attend(call, plain)
            if mask is not None and terms is not plain:
                raise EvenframeError(
                    "Another node has put a mask on the model's attention, which controls cannot "
                    "go together with: leave one of them out."
                )
            outputs.append(self._changed(call, plain, terms))
        if all(output is None for output in outputs):
            return kernel(q, k, v, heads, mask=mask, **more)
        return self._mixed(kernel, (q, k, v), heads, mask, more, outputs)

    def _call(self, site: Site, branch: str, q: Tensor, k: Tensor, v: Tensor) -> Call:
        own, keyframes = site.kind == "self", None
        if self.joined > 1:
            q = _unjoined(q, self.joined)
            k, v = (
                _unjoined(t, self.joined) if own else t.expand(len(q), -1, -1, -1) for t in (k, v)
            )
            keyframes = torch.arange(self.joined, device=q.device)[None] if own else None
        elif own and self.keyframes is not None and site.stride >= self.keyframe_stride:
            keyframes = self.keyframes.to(q.device)
        return Call(site, branch, site.grid(self.frame_size), q, k, v, keyframes)

    def _changed(self, call: Call, plain: Terms, terms: Terms) -> Tensor | None:
        """(rows, heads, n, d), or None where the model's own attention is to stay."""
        if terms is plain and (call.keyframes is None or self.joined > 1):
            return None
        out = evaluate(terms)  # f heads n d
        return out if self.joined == 1 else out.transpose(0, 1).flatten(1, 2)[None]

    def _mixed(
        self,
        kernel: Kernel,
        tensors: tuple[Tensor, ...],
        heads: int,
        mask: Any,
        more: dict[str, Any],
        outputs: Sequence[Tensor | None],
    ) -> Tensor:
        """The branches' outputs one behind the other, in the form that the model asked for."""
        rows = len(tensors[0]) // len(outputs)
        parts = []
        for index, output in enumerate(outputs):
            if output is None:
                own = (tensor[index * rows : (index + 1) * rows] for tensor in tensors)
                parts.append(kernel(*own, heads, mask=mask, **more))
            elif more.get("skip_output_reshape"):
                parts.append(output)
            else:
                parts.append(output.transpose(1, 2).flatten(2))  # b n (heads d)
        return torch.cat(parts) if len(parts) > 1 else parts[0]


def _heads(tokens: Tensor, heads: int, split: bool) -> Tensor:
    """b n (heads d) -> b heads n d, unless the heads are split already."""
    return tokens if split else tokens.unflatten(-1, (heads, -1)).transpose(1, 2)


def _unjoined(tokens: Tensor, frames: int) -> Tensor:
    """1 heads (f n) d -> f heads n d."""
    return tokens[0].unflatten(1, (frames, -1)).transpose(0, 1)
