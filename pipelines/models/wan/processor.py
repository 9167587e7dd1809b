"""The attention of a video transformer, shown to controls frame by frame.

The clip is one row of tokens, and all of them attend to each other. A control sees it as attention
of t frames with the tokens of all as keys, which is the same; `evaluate` makes one row of it again.
In cross-attention each token attends to the prompt alone, so there every frame has the prompt.
"""

from typing import Any

import torch
from torch import Tensor

from ...attention.processor import ForwardPass, Passing
from ...attention.sites import Site
from ...attention.terms import Call, evaluate


class ClipProcessor:
    """A diffusers attention processor for one site of a WanTransformer3DModel."""

    _attention_backend = None
    _parallel_config = None

    def __init__(self, site: Site, passing: Passing):
        self.site, self._passing = site, passing

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        q = _split_heads(attn.norm_q(attn.to_q(hidden_states)), attn.heads)
        k = _split_heads(attn.norm_k(attn.to_k(context)), attn.heads)
        v = _split_heads(attn.to_v(context), attn.heads)
        if rotary_emb is not None:
            q, k = rotated(q, *rotary_emb), rotated(k, *rotary_emb)
        forward = self._passing.now()
        assert forward is not None, "the denoiser alone runs this module"
        branches = zip(forward.branches, q, k, v, strict=True)
        outputs = [self._attend(forward, *branch) for branch in branches]
        out = torch.stack(outputs).flatten(2)  # b (t n) (heads d)
        return attn.to_out[1](attn.to_out[0](out))

    def _attend(self, forward: ForwardPass, branch: str, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """What one branch's attention gives, (t n) heads d, once it has been rewritten."""
        frames, own = forward.frames, self.site.kind == "self"
        q, keyed = _frames(q, frames), _frames if own else _for_all
        k, v = keyed(k, frames), keyed(v, frames)
        grid, seen = self.site.grid(forward.frame_size), forward.keyframes if own else None
        call = Call(self.site, branch, grid, q, k, v, seen)
        return evaluate(forward.attend(call, call.plain())).transpose(1, 2).flatten(0, 1)


def rotated(tokens: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Tokens (b, n, heads, d), each pair of features turned by an angle that tells its place.

    cos, sin: (1, n, 1, d), each angle twice. Source: "RoFormer" (arXiv 2104.09864).
    """
    one, other = tokens.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = cos[..., 0::2], sin[..., 1::2]
    turned = torch.stack([one * cos - other * sin, one * sin + other * cos], dim=-1)
    return turned.flatten(-2).type_as(tokens)


def _split_heads(tokens: Tensor, heads: int) -> Tensor:
    """b (t n) (heads d) -> b (t n) heads d."""
    return tokens.unflatten(2, (heads, -1))


def _frames(tokens: Tensor, frames: int) -> Tensor:
    """(t n) heads d -> t heads n d."""
    return tokens.unflatten(0, (frames, -1)).transpose(1, 2)


def _for_all(tokens: Tensor, frames: int) -> Tensor:
    """The prompt's: m heads d -> t heads m d, without a copy."""
    return tokens.transpose(0, 1).expand(frames, -1, -1, -1)
