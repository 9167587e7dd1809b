"""The miniature's latents: an exact linear map of 8x8 pixel cells, not a learned encoder.

A cell is described by its mean RGB, whitened over the world's scenes, and by one diagonal
luminance gradient of unit variance: 4 channels at stride 8 as in Stable Diffusion 1.x. Because
the map is fixed, the UNet can be trained before and beside the decoder.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
CELL = 8
_STEPS = np.arange(CELL, dtype=np.float32)
RAMP = (_STEPS[:, None] + _STEPS[None, :] - (CELL - 1)) / CELL**2
"""(8, 8) the diagonal gradient of a cell."""


@dataclass(frozen=True)
class LatentMap:
    """z = weight @ features + bias with features (mean R, G, B, gradient) of pixels in -1..1.

    Attributes:
        weight: (4, 4) float32.
        bias: (4,) float32.
    """

    weight: Array
    bias: Array

    def encode(self, images: Array) -> Array:
        """Latents (n, 4, h / 8, w / 8) of images (n, h, w, 3) in 0..1."""
        return self.of_features(features_of(images))

    def of_features(self, features: Array) -> Array:
        """Latents (n, 4, h, w) of features (n, h, w, 4)."""
        return np.moveaxis(features @ self.weight.T + self.bias, -1, 1)


def features_of(images: Array) -> Array:
    """Features (n, h / 8, w / 8, 4) of images (n, h, w, 3) in 0..1."""
    n, h, w, _ = images.shape
    cells = (images * 2 - 1).reshape(n, h // CELL, CELL, w // CELL, CELL, 3)
    mean = cells.mean((2, 4))
    gradient = np.einsum("nyixjc,ij->nyx", cells, RAMP / 3)[..., None]
    return np.concatenate([mean, gradient], -1).astype(np.float32)


def load_latent_map() -> LatentMap:
    """The map of the shipped weights, kept beside this file: fitting again after a change of the
    world would give another one, and every trained weight would be lost. A test fits it again."""
    stored = json.loads(Path(__file__).with_name("latent_map.json").read_text(encoding="utf-8"))
    return LatentMap(*(np.asarray(stored[key], np.float32) for key in ("weight", "bias")))
