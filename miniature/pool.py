"""Training data: scenes rendered once, kept as latents, token ids and coarse masks.

A pool is a folder of numbered shards. It may be filled by a worker while training already reads
it, so that drawing never starves the training.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .latents import LatentMap, load_latent_map
from .scenes import FRAMES, KINDS, Scene, render, sample_scene
from .tokenizer import LENGTH, WordEncoder

SHARD = 4096
SLOTS = 3
"""Two items (or one group) and the background."""


@dataclass(frozen=True)
class Pool:
    """Scenes as the training reads them.

    Attributes:
        latents: (n, 4, 16, 16) float16.
        ids: (n, 77) int16 token ids.
        slots: (n, 77) int8, the slot that each token stands for, -1 for none.
        masks: (n, 3, 16, 16) uint8, share of each cell that the slot covers, 0..255.
    """

    latents: NDArray[np.float16]
    ids: NDArray[np.int16]
    slots: NDArray[np.int8]
    masks: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.latents)


def make_shard(
    seed: int, index: int, latent_map: LatentMap, size: int = SHARD, kind: str | None = None
) -> Pool:
    """Render shard ``index`` of the pool of a seed; the same arguments give the same bytes.

    kind: one of ``KINDS``, for scenes of that kind alone.
    """
    rng = np.random.default_rng([seed, index])
    encoder = WordEncoder()
    latents = np.empty((size, 4, 16, 16), np.float16)
    ids = np.empty((size, LENGTH), np.int16)
    slots = np.full((size, LENGTH), -1, np.int8)
    masks = np.empty((size, SLOTS, 16, 16), np.uint8)
    for i in range(size):
        scene = sample_scene(rng, kind)
        image, visible = render(scene, _training_frame(rng, scene))
        latents[i] = latent_map.encode(image[None])[0]
        ids[i] = encoder([word for word, _ in scene.words])
        for position, (_, slot) in enumerate(scene.words):
            slots[i, position + 1] = SLOTS - 1 if slot == -2 else slot
        masks[i] = _coarse_masks(scene, visible)
    return Pool(latents, ids, slots, masks)


def _training_frame(rng: np.random.Generator, scene: Scene) -> int:
    if scene.kind != "crossing":
        return int(rng.integers(FRAMES))
    return int(rng.choice([0, 1, 2, FRAMES - 3, FRAMES - 2, FRAMES - 1]))


def _coarse_masks(scene: Scene, visible: NDArray[np.float32]) -> NDArray[np.uint8]:
    result = np.zeros((SLOTS, 16, 16), np.float32)
    cells = visible.reshape(len(visible), 16, 8, 16, 8).mean((2, 4))
    for slot, items in enumerate(scene.slot_items):
        result[slot] = cells[list(items)].sum(0)
    result[SLOTS - 1] = 1 - cells.sum(0)
    return (np.clip(result, 0, 1) * 255).astype(np.uint8)


def fill(folder: Path, seed: int, shards: int, kind: str | None = None) -> None:
    """Write the shards that are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    latent_map = load_latent_map()
    for index in range(shards):
        path = folder / f"shard-{kind + '-' if kind else ''}{index:03d}.npz"
        if path.exists():
            continue
        pool = make_shard(seed, index, latent_map, kind=kind)
        partial = path.with_suffix(".part.npz")
        np.savez(partial, **vars(pool))
        partial.rename(path)


def load(paths: list[Path]) -> Pool:
    """Join shards into one pool in memory."""
    parts: list[dict[str, NDArray]] = []
    for path in paths:
        with np.load(path) as stored:
            parts.append({name: stored[name] for name in stored.files})
    return Pool(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def main() -> None:
    """``python -m evenframe.miniature.pool FOLDER --shards N [--kind KIND]``."""
    parser = argparse.ArgumentParser(description="Render training scenes.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--shards", type=int, default=32)
    parser.add_argument("--kind", choices=KINDS, help="scenes of one kind, to practise it")
    args = parser.parse_args()
    fill(args.folder, args.seed, args.shards, args.kind)


if __name__ == "__main__":
    main()
