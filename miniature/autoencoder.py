"""The autoencoder: the linear latent map written exactly into AutoencoderKL, and where its decoder
starts.

The encoder computes nothing but the map of ``latents.py``: residual branches are zero and the
strided convolutions average and take the gradient. Any code that loads an AutoencoderKL gets the
right latents; only the decoder is learned. It starts as the inverse map followed by nearest
upsampling, so that training has nothing to find but the edges inside a cell.

Both end in a group normalisation and a SiLU, which are made linear in the same way: a signal is
carried as a pair (+x, -x), whose mean is zero and for which silu(x) - silu(-x) = x; a constant pair
(+k, -k) in the same group sets the group's deviation.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .latents import LatentMap

_ENCODER_ANCHOR = 300.0
"""So large that the deviation does not depend on the signal."""
_DECODER_ANCHOR = 4.0
"""Small enough to learn with; the error of a few percent is learned away."""
_LOG_VARIANCE = -12.0


@torch.no_grad()
def write_linear_encoder(autoencoder: Any, latent_map: LatentMap) -> None:
    """Overwrite encoder and quant_conv, so that the mode of the posterior is the latent map."""
    encoder: Any = autoencoder.encoder
    for part in (encoder, autoencoder.quant_conv):
        for parameter in part.parameters():
            parameter.zero_()
    for channel in range(3):
        encoder.conv_in.weight[channel, channel, 1, 1] = 1
    for level, block in enumerate(encoder.down_blocks):
        for resnet in block.resnets:
            if resnet.conv_shortcut is not None:
                _copy(resnet.conv_shortcut.weight, range(4))
        if block.downsamplers:
            taps = halving(level)
            convolution = block.downsamplers[0].conv
            if level < 2:
                convolution.weight[:4, :4, :2, :2] = taps
            else:
                _write_signed(convolution, taps, latent_map, encoder.conv_norm_out)
    _write_latents_out(encoder)
    _copy(autoencoder.quant_conv.weight, range(8))


@torch.no_grad()
def write_simple_decoder(autoencoder: Any, latent_map: LatentMap) -> None:
    """Overwrite the decoder's trunk: mean colour of each cell, nearest upsampling. Everything
    else keeps its random start and is learned."""
    decoder: Any = autoencoder.decoder
    inverse = np.linalg.inv(latent_map.weight.astype(np.float64))
    convolution = autoencoder.post_quant_conv
    convolution.weight.copy_(torch.from_numpy(inverse)[:, :, None, None])
    convolution.bias.copy_(torch.from_numpy(-inverse @ latent_map.bias))
    trunk = [channel for colour in range(3) for channel in (4 * colour, 4 * colour + 1)]
    anchors = [channel + 2 for channel in trunk]
    _clear(decoder.conv_in, trunk)
    for colour in range(3):
        decoder.conv_in.weight[4 * colour, colour, 1, 1] = 1
        decoder.conv_in.weight[4 * colour + 1, colour, 1, 1] = -1
    blocks = [decoder.mid_block, *decoder.up_blocks]
    for block in blocks:
        for resnet in block.resnets:
            _clear(resnet.conv2, trunk)
            if resnet.conv_shortcut is not None:
                _clear(resnet.conv_shortcut, trunk)
                _copy(resnet.conv_shortcut.weight, trunk)
        for upsampler in getattr(block, "upsamplers", None) or []:
            _clear(upsampler.conv, trunk)
            _copy(upsampler.conv.weight, trunk)
    _write_colours_out(decoder, trunk, anchors)


def _write_colours_out(decoder: Any, trunk: list[int], anchors: list[int]) -> None:
    last = decoder.up_blocks[-1].resnets
    for resnet in last:
        _clear(resnet.conv2, anchors)
    _clear(last[0].conv_shortcut, anchors)
    decoder.conv_out.weight.zero_()
    decoder.conv_out.bias.zero_()
    for colour in range(3):
        plus = 4 * colour
        last[0].conv_shortcut.bias[plus + 2] = _DECODER_ANCHOR
        last[0].conv_shortcut.bias[plus + 3] = -_DECODER_ANCHOR
        decoder.conv_out.weight[colour, plus, 1, 1] = 1
        decoder.conv_out.weight[colour, plus + 1, 1, 1] = -1
    deviation = _DECODER_ANCHOR * sqrt(2 / _group_size(decoder.conv_norm_out))
    decoder.conv_norm_out.weight[trunk] = deviation


def _copy(weight: Tensor, channels: Any) -> None:
    """Let channels through unchanged: 1 at the centre tap."""
    middle = weight.shape[-1] // 2
    for channel in channels:
        weight[channel, channel, middle, middle] = 1


def _clear(convolution: Any, rows: list[int]) -> None:
    convolution.weight[rows] = 0
    convolution.bias[rows] = 0


def halving(level: int) -> Tensor:
    """Taps (4, 4, 2, 2) that halve the size: mean RGB, and the gradient gathered so far.

    The ramp of a cell is the sum of the ramps of its levels, so each level adds its own part of
    the gradient, ``2 ** level`` times as wide as the first, from the means it sees.
    """
    taps = torch.zeros(4, 4, 2, 2)
    for y in (0, 1):
        for x in (0, 1):
            for channel in range(4):
                taps[channel, channel, y, x] = 0.25
            taps[3, :3, y, x] = 0.25 / 3 * (x + y - 1) * 2**level
    return taps


def _group_size(norm: Any) -> int:
    return norm.num_channels // norm.num_groups


def _positions(norm: Any) -> list[int]:
    """Channel of each of the four latents before the normalisation, spread over its groups."""
    size, per_group = _group_size(norm), 4 // min(4, norm.num_groups)
    return [(q // per_group) * size + (q % per_group) * 4 for q in range(4)]


def _write_signed(convolution: Any, taps: Tensor, latent_map: LatentMap, norm: Any) -> None:
    mixed = torch.einsum("oi,icyx->ocyx", torch.from_numpy(latent_map.weight), taps)
    for q, position in enumerate(_positions(norm)):
        for sign in (1, -1):
            channel = position if sign == 1 else position + 1
            convolution.weight[channel, :4, :2, :2] = sign * mixed[q]
            convolution.bias[channel] = sign * float(latent_map.bias[q])
            convolution.bias[channel + 2] = sign * _ENCODER_ANCHOR


def _write_latents_out(encoder: Any) -> None:
    norm = encoder.conv_norm_out
    pairs = 4 // min(4, norm.num_groups)
    deviation = _ENCODER_ANCHOR * sqrt(2 * pairs / _group_size(norm))
    for q, position in enumerate(_positions(norm)):
        norm.weight[position] = norm.weight[position + 1] = deviation
        encoder.conv_out.weight[q, position, 1, 1] = 1
        encoder.conv_out.weight[q, position + 1, 1, 1] = -1
        encoder.conv_out.bias[4 + q] = _LOG_VARIANCE
