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

from .sample_scenes import sample_scene
from .scenes import render

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
        return self.of_features(_features(images))

    def of_features(self, features: Array) -> Array:
        """Latents (n, 4, h, w) of features (n, h, w, 4)."""
        return np.moveaxis(features @ self.weight.T + self.bias, -1, 1)


def _features(images: Array) -> Array:
    n, h, w, _ = images.shape
    cells = (images * 2 - 1).reshape(n, h // CELL, CELL, w // CELL, CELL, 3)
    mean = cells.mean((2, 4))
    gradient = np.einsum("nyixjc,ij->nyx", cells, RAMP / 3)[..., None]
    return np.concatenate([mean, gradient], -1).astype(np.float32)


def load_latent_map() -> LatentMap:
    """The map of the shipped weights, kept beside this file: fitting again after a change of the
    world would give another one, and every trained weight would be lost."""
    stored = json.loads(Path(__file__).with_name("latent_map.json").read_text(encoding="utf-8"))
    return LatentMap(*(np.asarray(stored[key], np.float32) for key in ("weight", "bias")))


def fit_latent_map(seed: int = 11, scenes: int = 2000) -> LatentMap:
    """Whiten the features over seeded scenes, so that each latent channel has unit variance."""
    rng = np.random.default_rng(seed)
    batches = [
        _features(np.stack([render(sample_scene(rng))[0] for _ in range(100)])).reshape(-1, 4)
        for _ in range(scenes // 100)
    ]
    features = np.concatenate(batches).astype(np.float64)
    values, vectors = np.linalg.eigh(np.cov(features[:, :3].T))
    # The sign of an eigenvector is arbitrary; fix it, so that every machine makes the same map.
    vectors = vectors * np.sign(vectors.sum(0))
    weight = np.zeros((4, 4))
    weight[:3, :3] = (vectors / np.sqrt(values)).T
    weight[3, 3] = 1 / features[:, 3].std()
    bias = -weight @ features.mean(0)
    return LatentMap(weight.astype(np.float32), bias.astype(np.float32))
