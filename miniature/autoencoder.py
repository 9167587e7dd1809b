"""The autoencoder: the linear latent map written exactly into AutoencoderKL, and its decoder.

The encoder's networks compute nothing but the map of ``latents.py``: residual branches are zero,
the strided convolutions average and take the gradient, and the last normalisation is made linear.
Any code that loads an AutoencoderKL gets the right latents; only the decoder is learned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .latents import LatentMap

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

_ANCHOR = 300.0
"""Constant pair (+, -) in each used group: its variance then hardly depends on the signal."""
_SHIFT = 16.0
"""Added before the last SiLU, which is the identity up to 2e-6 there, and taken off after it."""
_LOG_VARIANCE = -12.0


@torch.no_grad()
def write_linear_encoder(autoencoder: AutoencoderKL, latent_map: LatentMap) -> None:
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
                _identity(resnet.conv_shortcut.weight)
        if block.downsamplers:
            taps = _halving(level)
            convolution = block.downsamplers[0].conv
            if level < 2:
                convolution.weight[:4, :4, :2, :2] = taps
            else:
                _write_signed(convolution, taps, latent_map)
    _write_output(encoder)
    for channel in range(8):
        autoencoder.quant_conv.weight[channel, channel, 0, 0] = 1


def _identity(weight: Tensor) -> None:
    for channel in range(4):
        weight[channel, channel, 0, 0] = 1


def _halving(level: int) -> Tensor:
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


def _positions() -> list[int]:
    """Channel of each latent before the last normalisation: two per group, each with its negative
    beside it, so that the group's mean is zero."""
    return [(q // 2) * 8 + (q % 2) * 2 for q in range(4)]


def _write_signed(convolution: Any, taps: Tensor, latent_map: LatentMap) -> None:
    weight = torch.from_numpy(latent_map.weight)
    mixed = torch.einsum("oi,icyx->ocyx", weight, taps)
    for q, position in enumerate(_positions()):
        for sign, channel in ((1, position), (-1, position + 1)):
            convolution.weight[channel, :4, :2, :2] = sign * mixed[q]
            convolution.bias[channel] = sign * float(latent_map.bias[q])
    for group in (0, 8):
        convolution.bias[group + 4] = _ANCHOR
        convolution.bias[group + 5] = -_ANCHOR


def _write_output(encoder: Any) -> None:
    """Undo the normalisation (a group of 8 with a +- anchor pair has deviation anchor / 2)."""
    for q, position in enumerate(_positions()):
        encoder.conv_norm_out.weight[position] = _ANCHOR / 2
        encoder.conv_norm_out.bias[position] = _SHIFT
        encoder.conv_out.weight[q, position, 1, 1] = 1
        encoder.conv_out.bias[q] = -_SHIFT
        encoder.conv_out.bias[4 + q] = _LOG_VARIANCE
