"""Clips as latents of Wan's layout, by an exact linear map: no autoencoder is needed to train.

A latent frame of 16 channels holds the still world's 4 channels of four frames side by side; the
first frame, which Wan's causal autoencoder gives a latent frame of its own, is there four times.

Most clips are drawn in latent space at once. A still background of the world is even inside a cell
of 8 pixels, so a cell is a linear function of the share of each part in it, and of that share's
diagonal gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..latents import CELL, RAMP, LatentMap
from ..vocabulary import SIZE
from .motions import CLIP
from .world import Clip, background, parts_at, render

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float32]
COPIES = 4
"""Video frames in a latent frame, and copies of the first."""
CELLS = SIZE // CELL


def clip_latents(clip: Clip, latent_map: LatentMap, frames: int = CLIP) -> Array:
    """(16, t, 16, 16) of the first `frames` frames, 4n + 1, with t = n + 1."""
    return pack(frame_latents(clip, latent_map, frames))


def frame_latents(clip: Clip, latent_map: LatentMap, frames: int = CLIP) -> Array:
    """(frames, 4, 16, 16) of the first `frames` frames."""
    if clip.scene.kind == "crossing" or (clip.pan and not _is_even(background(clip, 0))):
        # Things that share a cell, and a texture that moves against the cells.
        return latent_map.encode(np.stack([render(clip, frame)[0] for frame in range(frames)]))
    times = np.arange(frames, dtype=np.float32)[:, None, None]
    behind = background(clip, 0)[::CELL, ::CELL]  # rows columns 3
    mean = np.repeat(behind[None], frames, 0)
    gradient = np.zeros((frames, CELLS, CELLS), np.float32)
    for index in range(len(clip.movers)):
        _draw(clip, index, times, mean, gradient)
    features = np.concatenate([mean * 2 - 1, gradient[..., None]], -1)
    return latent_map.of_features(features).astype(np.float32)


def _draw(clip: Clip, index: int, times: Array, mean: Array, gradient: Array) -> None:
    """Put a thing before its background; mean (f, rows, columns, 3), gradient the same less 3."""
    mover, pose = clip.movers[index], clip.pose(index, times)
    reaches = [mover.reach(float(time)) for time in times.flat]
    reach_x, reach_y = (max(reach[axis] for reach in reaches) for axis in (0, 1))
    x0, x1 = _cells(pose.x.min() - reach_x - 2, pose.x.max() + reach_x + 2)
    y0, y1 = _cells(pose.y.min() - reach_y - 2, pose.y.max() + reach_y + 2)
    grid_x = np.arange(CELL * x0, CELL * x1, dtype=np.float32)[None, None] + np.float32(0.5)
    grid_y = np.arange(CELL * y0, CELL * y1, dtype=np.float32)[None, :, None] + np.float32(0.5)
    behind = background(clip, 0)[CELL * y0 : CELL * y1 : CELL, CELL * x0 : CELL * x1 : CELL]
    free: Array | None = None  # what no part in front covers
    for distance, colour in reversed(parts_at(mover.item, pose)):
        alpha = np.clip(np.float32(0.5) - distance(grid_x, grid_y), 0, 1)  # f h w
        seen = alpha if free is None else alpha * free
        free = 1 - alpha if free is None else free * (1 - alpha)
        cells = seen.reshape(len(times), y1 - y0, CELL, x1 - x0, CELL)
        delta = np.asarray(colour, np.float32) - behind
        mean[:, y0:y1, x0:x1] += cells.mean((2, 4))[..., None] * delta
        gradient[:, y0:y1, x0:x1] += np.einsum("nyixj,ij->nyx", cells, RAMP) * delta.mean(-1) * 2


def _cells(low: float, high: float) -> tuple[int, int]:
    return max(0, int(low) // CELL), min(CELLS, int(high) // CELL + 1)


def _is_even(image: Array) -> bool:
    return bool((image == image[0, 0]).all())


def pack(frames: Array) -> Array:
    """(4n + 1, 4, h, w) -> (16, n + 1, h, w): the first frame four times, then four at a time."""
    whole = np.concatenate([np.repeat(frames[:1], COPIES - 1, 0), frames])  # 4 (n + 1) frames
    by_four = whole.reshape(-1, COPIES * frames.shape[1], *frames.shape[2:])  # t (copies c) h w
    return by_four.transpose(1, 0, 2, 3)


def frames_of(latents: Tensor) -> Tensor:
    """(b, 16, t, h, w) -> (b, 4 t, 4, h, w): the first frame four times, and all the others."""
    batch, channels, _, height, width = latents.shape
    return latents.transpose(1, 2).reshape(batch, -1, channels // COPIES, height, width)
