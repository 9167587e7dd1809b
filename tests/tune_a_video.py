"""Tune-A-Video's UNet and FateZero's convolutions written out plainly: clips (b, c, f, h, w), maps
that are built, one frame and one pixel after the other. Slow, and nothing of the package in it.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


class PlainUNet:
    """A diffusers UNet2DConditionModel of the Stable Diffusion layout, over the frames of a clip.

    added: weights of the layers over frames, by their full names.
    """

    def __init__(self, unet: Any, added: Mapping[str, Tensor], clip_norm: bool = True):
        self.unet, self.added, self.clip_norm = unet, added, clip_norm

    def __call__(self, clip: Tensor, time: float, states: Tensor) -> Tensor:
        """(b, c, f, h, w), a timestep, (b, L, d) -> (b, c, f, h, w)."""
        unet = self.unet
        emb = unet.time_embedding(unet.time_proj(torch.full((len(clip),), time)).to(clip))
        x = self.convolved("conv_in", unet.conv_in, clip)
        kept = [x]
        for i, block in enumerate(unet.down_blocks):
            for j, resnet in enumerate(block.resnets):
                x = self.resnet(f"down_blocks.{i}.resnets.{j}", resnet, x, emb)
                if hasattr(block, "attentions"):
                    name = f"down_blocks.{i}.attentions.{j}"
                    x = self.transformer(name, block.attentions[j], x, states)
                kept.append(x)
            if block.downsamplers is not None:
                name = f"down_blocks.{i}.downsamplers.0.conv"
                x = self.convolved(name, block.downsamplers[0].conv, x)
                kept.append(x)
        middle = unet.mid_block
        x = self.resnet("mid_block.resnets.0", middle.resnets[0], x, emb)
        x = self.transformer("mid_block.attentions.0", middle.attentions[0], x, states)
        x = self.resnet("mid_block.resnets.1", middle.resnets[1], x, emb)
        for i, block in enumerate(unet.up_blocks):
            for j, resnet in enumerate(block.resnets):
                x = torch.cat([x, kept.pop()], dim=1)
                x = self.resnet(f"up_blocks.{i}.resnets.{j}", resnet, x, emb)
                if hasattr(block, "attentions"):
                    name = f"up_blocks.{i}.attentions.{j}"
                    x = self.transformer(name, block.attentions[j], x, states)
            if block.upsamplers is not None:
                x = x.repeat_interleave(2, dim=3).repeat_interleave(2, dim=4)
                x = self.convolved(f"up_blocks.{i}.upsamplers.0.conv", block.upsamplers[0].conv, x)
        return self.convolved("conv_out", unet.conv_out, F.silu(self.normed(unet.conv_norm_out, x)))

    def normed(self, norm: Any, x: Tensor) -> Tensor:
        args = norm.num_groups, norm.weight, norm.bias, norm.eps
        if self.clip_norm:
            return F.group_norm(x, *args)
        return torch.stack([F.group_norm(x[:, :, i], *args) for i in range(x.shape[2])], dim=2)

    def convolved(self, name: str, conv: Any, x: Tensor) -> Tensor:
        frames = [
            F.conv2d(x[:, :, i], conv.weight, conv.bias, conv.stride, conv.padding)
            for i in range(x.shape[2])
        ]
        x, start = torch.stack(frames, dim=2), f"{name}.conv_temporal."
        if f"{start}weight" in self.added:
            return _along(x, self.added[f"{start}weight"], self.added[f"{start}bias"])
        if f"{start}up.weight" in self.added:
            low = _along(x, self.added[f"{start}down.weight"])
            return x + _along(low, self.added[f"{start}up.weight"])
        return x

    def resnet(self, name: str, resnet: Any, x: Tensor, emb: Tensor) -> Tensor:
        h = self.convolved(f"{name}.conv1", resnet.conv1, F.silu(self.normed(resnet.norm1, x)))
        h = h + resnet.time_emb_proj(F.silu(emb))[:, :, None, None, None]
        h = self.convolved(f"{name}.conv2", resnet.conv2, F.silu(self.normed(resnet.norm2, h)))
        if resnet.conv_shortcut is not None:
            x = self.convolved("", resnet.conv_shortcut, x)
        return x + h

    def transformer(self, name: str, module: Any, x: Tensor, states: Tensor) -> Tensor:
        rows, columns = x.shape[-2:]
        tokens = []
        for i in range(x.shape[2]):
            frame = module.proj_in(module.norm(x[:, :, i]))
            tokens.append(frame.flatten(2).transpose(1, 2))
        h = torch.stack(tokens, dim=1)  # b f n c
        h = self.block(f"{name}.transformer_blocks.0", module.transformer_blocks[0], h, states)
        frames = [
            module.proj_out(h[:, i].transpose(1, 2).unflatten(2, (rows, columns)))
            for i in range(h.shape[1])
        ]
        return x + torch.stack(frames, dim=2)

    def block(self, name: str, block: Any, h: Tensor, states: Tensor) -> Tensor:
        """Tokens (b, f, n, c)."""
        normed, frames = block.norm1(h), h.shape[1]
        own = [
            _attention(
                block.attn1,
                normed[:, i],
                torch.cat([normed[:, 0], normed[:, max(i - 1, 0)]], dim=1),
            )
            for i in range(frames)
        ]
        h = h + torch.stack(own, dim=1)
        normed = block.norm2(h)
        words = [_attention(block.attn2, normed[:, i], states) for i in range(frames)]
        h = h + torch.stack(words, dim=1)
        h = h + block.ff(block.norm3(h))
        if f"{name}.attn_temp.to_q.weight" not in self.added:
            return h
        pixels = [h[:, :, n] + self.over_frames(name, block, h[:, :, n]) for n in range(h.shape[2])]
        return torch.stack(pixels, dim=2)

    def over_frames(self, name: str, block: Any, pixel: Tensor) -> Tensor:
        """A pixel of all frames (b, f, c)."""
        scale, shift = (self.added.get(f"{name}.norm_temp.{each}") for each in ("weight", "bias"))
        normed = F.layer_norm(pixel, pixel.shape[-1:], scale, shift)
        q, k, v = (
            normed @ self.added[f"{name}.attn_temp.{each}.weight"].T
            for each in ("to_q", "to_k", "to_v")
        )
        out = _heads_attend(q, k, v, block.attn1.heads)
        to_out = self.added[f"{name}.attn_temp.to_out.0.weight"]
        return out @ to_out.T + self.added[f"{name}.attn_temp.to_out.0.bias"]


def _along(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A convolution over the frames of (b, c, f, h, w), frame by frame, zeros beyond the ends."""
    reach = weight.shape[-1] // 2
    padded = F.pad(x, (0, 0, 0, 0, reach, reach))
    frames = []
    for i in range(x.shape[2]):
        near = padded[:, :, i : i + weight.shape[-1]]
        frames.append(torch.einsum("bcfhw,ocf->bohw", near, weight))
    out = torch.stack(frames, dim=2)
    return out if bias is None else out + bias[:, None, None, None]


def _attention(attn: Any, x: Tensor, context: Tensor) -> Tensor:
    q, k, v = attn.to_q(x), attn.to_k(context), attn.to_v(context)
    return attn.to_out[0](_heads_attend(q, k, v, attn.heads))


def _heads_attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    parts = []
    for own in zip(*(tensor.chunk(heads, dim=-1) for tensor in (q, k, v)), strict=True):
        logits = own[0] @ own[1].transpose(1, 2) / own[0].shape[-1] ** 0.5
        parts.append(logits.softmax(-1) @ own[2])
    return torch.cat(parts, dim=-1)
