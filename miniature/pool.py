"""Training data of the image miniature: scenes rendered once, as latents, token ids and masks."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .latents import LatentMap, load_latent_map
from .sample_scenes import KINDS, sample_scene
from .scenes import Scene, render
from .shards import SLOTS, Shard, fill, token_slots
from .tokenizer import LENGTH, WordEncoder
from .vocabulary import FRAMES

SIZE = 4096


def make_shard(
    seed: int, index: int, latent_map: LatentMap, size: int = SIZE, kind: str | None = None
) -> Shard:
    """Render shard `index` of the pool of a seed; the same arguments give the same bytes.

    kind: one of `KINDS`, for scenes of that kind alone.
    Returns latents (n, 4, 16, 16) float16; ids (n, 77) int16; slots (n, 77) int8; masks
    (n, 3, 16, 16) uint8, the share of each cell that the slot covers, 0..255.
    """
    rng, encoder = np.random.default_rng([seed, index]), WordEncoder()
    latents = np.empty((size, 4, 16, 16), np.float16)
    ids, slots = np.empty((size, LENGTH), np.int16), np.empty((size, LENGTH), np.int8)
    masks = np.empty((size, SLOTS, 16, 16), np.uint8)
    for i in range(size):
        scene = sample_scene(rng, kind)
        image, visible = render(scene, _training_frame(rng, scene))
        latents[i] = latent_map.encode(image[None])[0]
        ids[i], slots[i] = token_slots(encoder, scene.words)
        masks[i] = _coarse_masks(scene, visible)
    return {"latents": latents, "ids": ids, "slots": slots, "masks": masks}


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


def main() -> None:
    """``python -m evenframe.miniature.pool FOLDER --shards N [--kind KIND]``."""
    parser = argparse.ArgumentParser(description="Render training scenes.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--shards", type=int, default=32, help=f"of {SIZE} scenes each")
    parser.add_argument("--kind", choices=KINDS, help="scenes of one kind, to practise it")
    args = parser.parse_args()
    latent_map = load_latent_map()

    def draw(index: int) -> Shard:
        return make_shard(args.seed, index, latent_map, kind=args.kind)

    fill(args.folder, range(args.shards), draw, args.kind or "")


if __name__ == "__main__":
    main()
