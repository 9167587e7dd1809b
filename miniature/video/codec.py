"""The autoencoder: Wan's, with the linear latent map written exactly into its encoder, and where
its decoder starts.

As in ``miniature/autoencoder.py``, the encoder computes nothing but the map: residual branches are
zero, the strided convolutions average and take the gradient, and those over time put frames side by
side. The decoder starts as the inverse map and nearest upsampling, and learns the edges in a cell.
It looks at one latent frame at a time: the layers' taps into the past stay zero.

The last normalisation, by the length of all channels, is made linear by a channel that is constant
and long; the SiLU by a pair (+x, -x), for silu(x) - silu(-x) = x.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..autoencoder import halving
from ..latents import LatentMap
from .latents import COPIES

WIDTHS = {"base_dim": 16, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 2}
"""ComfyUI knows Wan's layout by the multipliers and the number of blocks."""
_ENCODER_ANCHOR = 2048.0
"""So long that the signal does not count; a power of two, which halves hold exactly."""
_DECODER_ANCHOR = 8.0
"""Short enough to learn with; the error of a few percent is learned away."""
_LOG_VARIANCE = -12.0
_FEATURES = 4
_COLOURS = 3


def make_codec() -> Any:
    """An AutoencoderKLWan whose latents have Wan's own mean and deviation, as its users expect."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

    return AutoencoderKLWan(**WIDTHS)


def normalised(codec: Any, latents: Tensor) -> Tensor:
    """What the transformer sees of the autoencoder's own latents (n, 16, t, h, w)."""
    mean, deviation = _statistics(codec)
    return (latents - mean) / deviation


def wans_own(codec: Any, latents: Tensor) -> Tensor:
    """The inverse of `normalised`."""
    mean, deviation = _statistics(codec)
    return latents * deviation + mean


def _statistics(codec: Any) -> tuple[Tensor, Tensor]:
    """(16, 1, 1, 1) each."""
    device = codec.post_quant_conv.weight.device
    mean, deviation = (
        torch.tensor(codec.config[name], device=device)[:, None, None, None]
        for name in ("latents_mean", "latents_std")
    )
    return mean, deviation


@torch.no_grad()
def write_linear_encoder(codec: Any, latent_map: LatentMap) -> None:
    """Overwrite encoder and quant_conv, so that the mode of the posterior is the latent map."""
    encoder: Any = codec.encoder
    for part in (encoder, codec.quant_conv):
        for parameter in part.parameters():
            parameter.zero_()
    _copy(encoder.conv_in, range(_COLOURS))
    level = 0
    for block in encoder.down_blocks:
        if hasattr(block, "resample"):
            _write_halving(block, level, latent_map)
            level += 1
        elif block.in_dim != block.out_dim:
            _copy(block.conv_shortcut, range(_FEATURES * COPIES))
    signals = _FEATURES * COPIES
    encoder.norm_out.gamma[: 2 * signals] = _ENCODER_ANCHOR / encoder.norm_out.scale
    mean, deviation = (each.flatten() for each in _statistics(codec))
    for q in range(signals):
        tap = encoder.conv_out.weight[q, :, -1, 1, 1]
        tap[q], tap[signals + q] = deviation[q], -deviation[q]
        encoder.conv_out.bias[q] = mean[q]
        encoder.conv_out.bias[signals + q] = _LOG_VARIANCE
    _copy(codec.quant_conv, range(2 * signals))


def _write_halving(block: Any, level: int, latent_map: LatentMap) -> None:
    """Half the size, and from the second on half the frames, two side by side.

    A clip's first frame passes no convolution over time: it is there twice already.
    """
    convolution, sets = block.resample[1], 2 ** max(0, level - 1)  # frames side by side so far
    taps = [torch.block_diag(*[tap] * sets) for tap in halving(level).flatten(2).unbind(-1)]
    weight, size = torch.stack(taps, -1).unflatten(-1, (2, 2)), _FEATURES * sets  # o i y x
    starts = {0: [(0, 1)], 1: [(0, 1), (size, 1)]}.get(level, [])
    if level == 2:
        latents = torch.block_diag(*[torch.from_numpy(latent_map.weight)] * sets)
        weight = torch.einsum("oi,icyx->ocyx", latents, weight)
        starts = [(0, 1), (size, 1), (2 * size, -1), (3 * size, -1)]
        for start, sign in starts:
            bias = torch.from_numpy(latent_map.bias).repeat(sets)
            convolution.bias[start : start + size] = sign * bias
        convolution.bias[4 * size] = _ENCODER_ANCHOR
        block.time_conv.weight[4 * size, 4 * size, -1] = 1
    for start, sign in starts:
        convolution.weight[start : start + size, :size, :2, :2] = sign * weight
    for start, _ in starts[::2] if level else []:
        _put_side_by_side(block.time_conv, start, size)


def _put_side_by_side(convolution: Any, start: int, size: int) -> None:
    """Of the frames under the last two taps: the channels of one, then those of the other."""
    for k in range(start, start + size):
        convolution.weight[k, k, -2] = 1
        convolution.weight[size + k, k, -1] = 1


@torch.no_grad()
def write_simple_decoder(codec: Any, latent_map: LatentMap) -> None:
    """Overwrite the decoder's trunk: mean colour of each cell, nearest upsampling. Everything else
    keeps its random start and is learned, but attention, for what is decoded is local."""
    decoder: Any = codec.decoder
    _write_inverse(codec, latent_map)
    trunk = list(range(COPIES * _COLOURS))
    _clear(decoder.conv_in, trunk)
    for slot in range(COPIES):
        for colour in range(_COLOURS):
            tap = decoder.conv_in.weight[slot * _COLOURS + colour, :, -1, 1, 1]
            tap[slot * _FEATURES + colour] = 1
    for parameter in decoder.mid_block.attentions[0].proj.parameters():
        parameter.zero_()
    for block in (decoder.mid_block, *decoder.up_blocks):
        for resnet in block.resnets:
            _clear(resnet.conv2, trunk)
            if resnet.in_dim != resnet.out_dim:
                _clear(resnet.conv_shortcut, trunk)
                _copy(resnet.conv_shortcut, trunk)
        for upsampler in getattr(block, "upsamplers", None) or []:
            if hasattr(upsampler, "time_conv"):
                _write_frames_apart(upsampler.time_conv, trunk)
                trunk = trunk[: len(trunk) // 2]
            _clear(upsampler.resample[1], trunk)
            _copy(upsampler.resample[1], trunk)
    _write_colours_out(decoder)
    for module in decoder.modules():
        if isinstance(module, torch.nn.Conv3d):
            module.weight[:, :, :-1] = 0


def _write_inverse(codec: Any, latent_map: LatentMap) -> None:
    """From Wan's latents to the features of four frames."""
    mean, deviation = (each.flatten().double() for each in _statistics(codec))
    inverse = torch.from_numpy(np.linalg.inv(latent_map.weight.astype(np.float64)))
    each = torch.block_diag(*[inverse] * COPIES)
    bias = torch.from_numpy(latent_map.bias).repeat(COPIES)
    convolution = codec.post_quant_conv
    convolution.weight.copy_((each / deviation)[:, :, None, None, None])
    convolution.bias.copy_(-each @ (bias + mean / deviation))


def _write_frames_apart(convolution: Any, trunk: list[int]) -> None:
    """Two frames for one: the first half of the trunk, then the second, where the first was."""
    half, width = len(trunk) // 2, convolution.in_channels
    for frame in (0, 1):
        _clear(convolution, [frame * width + k for k in trunk])
        for k in range(half):
            convolution.weight[frame * width + k, frame * half + k, -1] = 1


def _write_colours_out(decoder: Any) -> None:
    """Pairs and the anchor, from the last upsampling on."""
    signed, anchor = list(range(2 * _COLOURS)), 2 * _COLOURS
    convolution = decoder.up_blocks[-2].upsamplers[0].resample[1]
    _clear(convolution, [*signed, anchor])
    decoder.conv_out.weight.zero_()
    decoder.conv_out.bias.zero_()
    for colour in range(_COLOURS):
        for channel, sign in ((colour, 1), (_COLOURS + colour, -1)):
            convolution.weight[channel, colour, 1, 1] = sign
            decoder.conv_out.weight[colour, channel, -1, 1, 1] = sign
    convolution.bias[anchor] = _DECODER_ANCHOR
    for resnet in decoder.up_blocks[-1].resnets:
        _clear(resnet.conv2, [*signed, anchor])
    decoder.norm_out.gamma[signed] = _DECODER_ANCHOR / decoder.norm_out.scale


def _copy(convolution: Any, channels: Iterable[int]) -> None:
    """Let channels through unchanged: 1 at the centre tap, the last one in time."""
    weight = convolution.weight
    middle = weight.shape[-1] // 2
    for channel in channels:
        if channel < min(weight.shape[:2]):
            tap = weight[channel, channel]
            tap = tap if tap.ndim == 2 else tap[-1]
            tap[middle, middle] = 1


def _clear(convolution: Any, rows: list[int]) -> None:
    convolution.weight[rows] = 0
    convolution.bias[rows] = 0


def is_flat(codec: Any) -> bool:
    """Whether its decoder looks at one latent frame at a time, as `decode_each` does: no tap into
    the past, and no attention."""
    decoder = codec.decoder
    past = (m.weight[:, :, :-1] for m in decoder.modules() if isinstance(m, torch.nn.Conv3d))
    attention = decoder.mid_block.attentions[0].proj.parameters()
    return not any(each.any() for each in (*past, *attention))


@torch.no_grad()
def decode_clip(
    codec: Any, latents: Tensor, on_frame: Callable[[int], None] | None = None
) -> Tensor:
    """Pixels (f, 3, 8 h, 8 w) of about -1..1, of the autoencoder's own latents (16, t, h, w).

    Where `is_flat`; on_frame: called with the number of latents done.
    """
    parts = []
    for place, latent in enumerate(latents.unbind(1)):
        parts.append(decode_each(codec, latent[None], first=not place)[0])
        if on_frame is not None:
            on_frame(place + 1)
    return torch.cat(parts)


def decode_each(codec: Any, latents: Tensor, first: bool) -> Tensor:
    """What the decoder makes of single latent frames (n, 16, h, w): (n, f, 3, 8 h, 8 w) in -1..1.

    The same as the autoencoder's own, as long as no layer has a tap into the past, in a third of
    the time. first: of a clip, which is one frame; others are four.
    """
    decoder = codec.decoder
    x = _flat(codec.post_quant_conv, latents)
    x = _flat(decoder.conv_in, x)
    for resnet in decoder.mid_block.resnets:  # between them attention, which adds nothing
        x = _residual(resnet, x)
    for block in decoder.up_blocks:
        for resnet in block.resnets:
            x = _residual(resnet, x)
        for upsampler in block.upsamplers or []:
            if hasattr(upsampler, "time_conv") and not first:
                x = _flat(upsampler.time_conv, x).unflatten(1, (2, -1)).flatten(0, 1)  # (n f) c h w
            x = upsampler.resample(x)
    x = _flat(decoder.conv_out, F.silu(_normed(decoder.norm_out, x)))
    return x.unflatten(0, (len(latents), -1))


def _flat(convolution: Any, x: Tensor) -> Tensor:
    """A causal convolution of single frames: its last tap in time."""
    weight = convolution.weight[:, :, -1]
    return F.conv2d(x, weight, convolution.bias, padding=weight.shape[-1] // 2)


def _normed(norm: Any, x: Tensor) -> Tensor:
    # Several times as fast as the library's on a CPU, whose own way through the channels is slow.
    square = (x * x).sum(1, keepdim=True, dtype=torch.float32).clamp_min(1e-24)
    return x * square.rsqrt().to(x.dtype) * (norm.scale * norm.gamma[..., 0]).to(x.dtype)


def _residual(block: Any, x: Tensor) -> Tensor:
    inner = _flat(block.conv1, F.silu(_normed(block.norm1, x)))
    inner = _flat(block.conv2, F.silu(_normed(block.norm2, inner)))
    return inner + (x if block.in_dim == block.out_dim else _flat(block.conv_shortcut, x))
