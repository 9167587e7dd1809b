"""The attention processor: projects, lets controls rewrite the terms, evaluates, projects back.

A processor holds only its site. What a forward pass wants of it travels with the pass, as the
denoiser's `cross_attention_kwargs`, so nothing is left behind in the model between two passes.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from .sites import Site
from .terms import Call, Terms, as_it_is, evaluate

Attend = Callable[[Call, Terms], Terms]
Norm = Literal["frame", "clip"]
"""What a group norm takes its statistics over: each frame, or all frames of a branch."""


@dataclass(frozen=True, eq=False)
class Carried:
    """One branch's self-attention of some frames, carried to all.

    frames: (k,) those that attend. keyframes: of those, as in `Call`: (k, j) or (1, j) by their
    place among them, or None where each attends to itself. spread: what the layer puts out for them
    (k, n, c) to what it puts out for all (f, n, c). attend: rewrites their terms.
    """

    frames: Tensor
    keyframes: Tensor | None
    spread: Callable[[Tensor], Tensor]
    attend: Attend = as_it_is


Carry = Callable[[Site, str, Tensor], Carried | None]
"""(site, branch, its tokens (f, n, c)) -> what a control makes of a layer before it projects them;
None leaves all frames to attend."""


@dataclass(frozen=True, eq=False)
class Carrying:
    """An `Attend` that carries, too."""

    attend: Attend
    carry: Carry

    def __call__(self, call: Call, terms: Terms) -> Terms:
        """As the `attend` in it."""
        return self.attend(call, terms)


class EarlyExit(Exception):
    """Raised by a control to leave the denoiser: everything it wanted has been computed."""


@dataclass(frozen=True)
class ForwardPass:
    """What one forward pass is made of.

    branches: names of the parts of the batch, in order; every part holds all frames.
    frame_size: (height, width) of a frame in pixels.
    keyframes: (f, j) or (1, j) frame indices for self-attention from `keyframe_stride` on, or None.
    attend: rewrites the terms of each call; runs once per branch. Where it is `Carrying`, it is
        asked before the tokens of self-attention are projected, too.
    frames: of the latents.
    added, norm: weights of layers over the frames that the denoiser has not, by the module that
        they stand behind, and over what its group norms take their statistics, see `Delta`.
    """

    branches: tuple[str, ...]
    frame_size: tuple[int, int]
    keyframes: Tensor | None
    keyframe_stride: int
    attend: Attend
    frames: int = 0
    added: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    norm: Norm = "frame"


class Passing:
    """The forward pass that is under way, for what a library's blocks hand nothing on to.

    Each thread has its own, and nothing is left when a pass has ended.
    """

    def __init__(self) -> None:
        self._now: ContextVar[ForwardPass | None] = ContextVar("pass", default=None)

    @contextmanager
    def through(self, forward: ForwardPass) -> Iterator[None]:
        """Inside, this is the pass."""
        token = self._now.set(forward)
        try:
            yield
        finally:
            self._now.reset(token)

    def now(self) -> ForwardPass | None:
        """The pass that is under way, if one is."""
        return self._now.get()


class SiteProcessor:
    """A diffusers attention processor for one site."""

    def __init__(self, site: Site):
        self.site = site

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        forward: ForwardPass | None = None,
    ) -> Tensor:
        own, attend = encoder_hidden_states is None, forward and forward.attend
        if own and forward and isinstance(attend, Carrying):
            parts = zip(forward.branches, hidden_states.chunk(len(forward.branches)), strict=True)
            outputs = [self._branch(attn, forward, attend.carry, *part) for part in parts]
            return torch.cat(outputs)
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        return _put_out(attn, self._attend(forward, *_projected(attn, hidden_states, context)))

    def _branch(
        self, attn: Any, forward: ForwardPass, carry: Carry, branch: str, tokens: Tensor
    ) -> Tensor:
        """Self-attention of one branch, which a control may carry."""
        carried = carry(self.site, branch, tokens)
        if carried is None:
            call = self._call(forward, branch, *_projected(attn, tokens, tokens))
            return _put_out(attn, self.output(forward, call))
        few = tokens[carried.frames]
        grid = self.site.grid(forward.frame_size)
        call = Call(self.site, branch, grid, *_projected(attn, few, few), carried.keyframes)
        return carried.spread(_put_out(attn, evaluate(carried.attend(call, call.plain()))))

    def _attend(self, forward: ForwardPass | None, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if forward is None:
            return evaluate(Call(self.site, "target", (0, 0), q, k, v).plain())
        # One call per branch, controlled or not: so what a control does to the target branch
        # cannot change a bit of the negative one.
        parts = zip(
            forward.branches,
            *(tensor.chunk(len(forward.branches)) for tensor in (q, k, v)),
            strict=True,
        )
        outputs = [self.output(forward, self._call(forward, *part)) for part in parts]
        return torch.cat(outputs) if len(outputs) > 1 else outputs[0]

    def output(self, forward: ForwardPass, call: Call) -> Tensor:
        """What one branch's attention gives, (f, heads, n, d), once it has been rewritten."""
        return evaluate(forward.attend(call, call.plain()))

    def _call(self, forward: ForwardPass, branch: str, q: Tensor, k: Tensor, v: Tensor) -> Call:
        looks = self.site.kind == "self" and self.site.stride >= forward.keyframe_stride
        return Call(
            site=self.site,
            branch=branch,
            grid=self.site.grid(forward.frame_size),
            q=q,
            k=k,
            v=v,
            keyframes=forward.keyframes if looks else None,
        )


def _projected(attn: Any, tokens: Tensor, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """q, k and v, (b f) heads n d each."""
    of = attn.to_q(tokens), attn.to_k(context), attn.to_v(context)
    q, k, v = (_split_heads(each, attn.heads) for each in of)
    return q, k, v


def _put_out(attn: Any, out: Tensor) -> Tensor:
    """(b f) heads n d -> (b f) n c."""
    out = out.transpose(1, 2).flatten(2)  # (b f) n (heads d)
    return attn.to_out[1](attn.to_out[0](out))


def _split_heads(tokens: Tensor, heads: int) -> Tensor:
    """(b f) n (heads d) -> (b f) heads n d."""
    return tokens.unflatten(-1, (heads, -1)).transpose(1, 2)
