"""Training data: clips drawn once, kept as latents, token ids and slots.

A pool is a folder of numbered shards, each a few arrays that are read from the disk as they are
needed, so that it may be larger than the memory, shared by several processes, and still be filled
while the training already reads it.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..latents import load_latent_map
from ..pool import SLOTS
from ..tokenizer import LENGTH
from .latents import CELLS, clip_latents
from .motions import CLIP
from .text import word_encoder
from .transformer import CHANNELS
from .world import sample_clip

SHARD = 1000
TIMES = (CLIP - 1) // 4 + 1


@dataclass(frozen=True)
class Pool:
    """Clips as the training reads them, by shard.

    latents: (n, 16, 5, 16, 16) float16. ids: (n, 77) int16. slots: (n, 77) int8, the slot that each
    token stands for, -1 for none.
    """

    latents: tuple[NDArray[np.float16], ...]
    ids: tuple[NDArray[np.int16], ...]
    slots: tuple[NDArray[np.int8], ...]

    def __len__(self) -> int:
        return sum(len(part) for part in self.ids)

    def take(self, index: NDArray[np.int64]) -> tuple[NDArray, NDArray, NDArray]:
        """Latents, ids and slots of some clips."""
        where = [divmod(int(i), SHARD) for i in index]
        return (
            np.stack([self.latents[shard][place] for shard, place in where]),
            np.stack([self.ids[shard][place] for shard, place in where]),
            np.stack([self.slots[shard][place] for shard, place in where]),
        )


def make_shard(seed: int, index: int, size: int = SHARD, kind: str | None = None) -> Pool:
    """Draw shard `index` of a seed's pool; the same arguments give the same bytes."""
    rng, encoder, latent_map = (
        np.random.default_rng([seed, index]),
        word_encoder(),
        load_latent_map(),
    )
    latents = np.empty((size, CHANNELS, TIMES, CELLS, CELLS), np.float16)
    ids = np.empty((size, LENGTH), np.int16)
    slots = np.full((size, LENGTH), -1, np.int8)
    for i in range(size):
        clip = sample_clip(rng, kind)
        latents[i] = clip_latents(clip, latent_map)
        ids[i] = encoder([word for word, _ in clip.words])
        for position, (_, slot) in enumerate(clip.words):
            slots[i, position + 1] = SLOTS - 1 if slot == -2 else slot
    return Pool((latents,), (ids,), (slots,))


def fill(folder: Path, seed: int, first: int, shards: int, step: int = 1) -> None:
    """Write those of the shards that are missing, each at once."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(first, shards, step):
        target = folder / f"{index:04d}"
        if target.exists():
            continue
        pool, partial = make_shard(seed, index), folder / f"{index:04d}.part"
        partial.mkdir(exist_ok=True)
        for name, (array,) in vars(pool).items():
            np.save(partial / f"{name}.npy", array)
        os.replace(partial, target)
        print(f"shard {index}", flush=True)


def shards_of(folder: Path) -> list[Path]:
    """The shards that are whole."""
    return sorted(path for path in folder.glob("[0-9]" * 4) if path.is_dir())


def load(shards: list[Path]) -> Pool:
    """Shards as one pool, which stays on the disk."""

    def arrays(name: str) -> tuple[NDArray, ...]:
        return tuple(np.load(shard / f"{name}.npy", mmap_mode="r") for shard in shards)

    return Pool(arrays("latents"), arrays("ids"), arrays("slots"))


def main() -> None:
    """``python -m evenframe.miniature.video.pool FOLDER --shards N``."""
    parser = argparse.ArgumentParser(description="Draw training clips.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--step", type=int, default=1, help="for several processes: 2 from 0 and 1")
    parser.add_argument("--shards", type=int, default=60, help=f"of {SHARD} clips each")
    args = parser.parse_args()
    fill(args.folder, args.seed, args.first, args.shards, args.step)


if __name__ == "__main__":
    main()
