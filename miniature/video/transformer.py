"""The video miniature's denoiser: diffusers' Wan transformer, very small, with a start that copies.

The flow's target, noise less the clean latents, asks for the input's own noise. Through a narrow
stream a random start needs many steps to learn that copy, so the patch embedding begins as an
orthonormal map and the head as its transpose: the network begins at v = x and learns the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

HEAD_WIDTH = 128
"""ComfyUI knows Wan's layout by it."""
PATCH = (1, 2, 2)
CHANNELS = 16


@dataclass(frozen=True)
class Width:
    """How large the transformer is; the defaults are those of the shipped weights."""

    heads: int = 2
    layers: int = 6
    text: int = 96

    @property
    def dim(self) -> int:
        return self.heads * HEAD_WIDTH


def make_transformer(width: Width, seed: int = 0) -> Any:
    """A WanTransformer3DModel: latents (n, 16, t, h, w), times 0..1000, states (n, l, text)."""
    from diffusers.models.transformers.transformer_wan import WanTransformer3DModel

    torch.manual_seed(seed)
    model: Any = WanTransformer3DModel(
        patch_size=PATCH,
        num_attention_heads=width.heads,
        attention_head_dim=HEAD_WIDTH,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        text_dim=width.text,
        freq_dim=256,
        ffn_dim=2 * width.dim,
        num_layers=width.layers,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=64,
    )
    _begin_as_copy(model, width.dim)
    return model


@torch.no_grad()
def _begin_as_copy(model: Any, dim: int) -> None:
    """Branches begin at zero, gates at one, embedding and head as one another's inverse."""
    for block in model.blocks:
        for layer in (block.attn1.to_out[0], block.attn2.to_out[0], block.ffn.net[2]):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        block.scale_shift_table.zero_()
        block.scale_shift_table[:, 2] = 1  # the gates of attention and of the feed-forward part
        block.scale_shift_table[:, 5] = 1
    times = model.condition_embedder
    nn.init.normal_(times.time_proj.weight, std=1e-3)
    nn.init.zeros_(times.time_proj.bias)
    # The head adds the time embedding itself: it begins near zero.
    times.time_embedder.linear_2.weight.mul_(0.1)
    nn.init.zeros_(times.time_embedder.linear_2.bias)
    model.scale_shift_table.zero_()
    patch = CHANNELS * PATCH[1] * PATCH[2]
    columns = torch.empty(dim, patch)
    nn.init.orthogonal_(columns)  # columns: channel, row, column of a patch
    model.patch_embedding.weight.copy_(columns.view(dim, CHANNELS, *PATCH))
    nn.init.zeros_(model.patch_embedding.bias)
    # The last layer norm brings a token of norm 8, 64 unit values, to sqrt(dim).
    back = columns.t().view(CHANNELS, *PATCH[1:], dim).permute(1, 2, 0, 3).reshape(patch, dim)
    model.proj_out.weight.copy_(back * (patch**0.5 / dim**0.5))
    nn.init.zeros_(model.proj_out.bias)


def is_inner(name: str, parameter: Tensor) -> bool:
    """Whether a parameter, also one of the text encoder, is a matrix for Muon."""
    return parameter.ndim == 2 and ("blocks." in name or "layers." in name)


class PlainAttention:
    """Wan's attention as matrix products: on a CPU and for few tokens several times faster to
    differentiate than the fused kernel, and the same numbers."""

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: Any = None,
    ) -> Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        q = _rms_norm(attn.to_q(hidden_states), attn.norm_q)
        k = _rms_norm(attn.to_k(context), attn.norm_k)
        q, k, v = (
            tokens.unflatten(2, (attn.heads, -1)).transpose(1, 2)  # n heads l d
            for tokens in (q, k, attn.to_v(context))
        )
        if rotary_emb is not None:
            cosine, sine = rotary_emb[0][:, :, 0, 0::2], rotary_emb[1][:, :, 0, 1::2]
            q, k = _turned(q, cosine, sine), _turned(k, cosine, sine)
        logits = (q @ k.transpose(-1, -2)).float() * q.shape[-1] ** -0.5
        out = torch.softmax(logits, -1).to(v.dtype) @ v
        return attn.to_out[0](out.transpose(1, 2).flatten(2))


def _rms_norm(tokens: Tensor, norm: Any) -> Tensor:
    wide = tokens.float()
    wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + norm.eps) * norm.weight
    return wide.to(tokens.dtype)


def _turned(tokens: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary positions: pairs of channels as points of a plane, turned."""
    a, b = tokens.float().unflatten(-1, (-1, 2)).unbind(-1)
    pairs = torch.stack((a * cosine - b * sine, a * sine + b * cosine), -1)
    return pairs.flatten(-2).to(tokens.dtype)


def flow_times(count: int, shift: float, even_share: float, random: torch.Generator) -> Tensor:
    """Noise shares (count,) in 0..1 to train at: logit-normal and shifted, some of them even.

    shift: above 1 more noise. Each scene stands many times in a latent, and noise that differs in
    every copy averages out: where things stand is decided near 1. The even ones are not shifted:
    outlines are drawn near 0.
    """
    drawn = torch.sigmoid(torch.randn(count, generator=random))
    shifted = shift * drawn / (1 + (shift - 1) * drawn)
    even = torch.rand(count, generator=random)
    return torch.where(torch.rand(count, generator=random) < even_share, even, shifted)
