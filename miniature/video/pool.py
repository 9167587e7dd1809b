"""Training data of the video miniature: clips drawn once, as latents, token ids and slots."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np

from ..latents import load_latent_map
from ..shards import Shard, fill, token_slots
from ..tokenizer import LENGTH
from .latents import CELLS, clip_latents
from .motions import CLIP, OBJECT_MOTIONS, TOLD_SHARE
from .sample_clips import KINDS, sample_clip
from .text import word_encoder
from .transformer import CHANNELS

SIZE = 1000
TIMES = (CLIP - 1) // 4 + 1


def make_shard(
    seed: int,
    index: int,
    size: int = SIZE,
    kind: str | None = None,
    told: float = TOLD_SHARE,
    motion: str | None = None,
) -> Shard:
    """Draw shard `index` of a seed's pool; the same arguments give the same bytes.

    kind, told, motion: as `sample_clip` has them. Returns latents (n, 16, 5, 16, 16) float16, ids
    (n, 77) int16 and slots (n, 77) int8.
    """
    rng, encoder = np.random.default_rng([seed, index]), word_encoder()
    latent_map = load_latent_map()
    latents = np.empty((size, CHANNELS, TIMES, CELLS, CELLS), np.float16)
    ids, slots = np.empty((size, LENGTH), np.int16), np.empty((size, LENGTH), np.int8)
    for i in range(size):
        clip = sample_clip(rng, kind, told=told, motion=motion)
        latents[i] = clip_latents(clip, latent_map)
        ids[i], slots[i] = token_slots(encoder, clip.words)
    return {"latents": latents, "ids": ids, "slots": slots}


def main() -> None:
    """``python -m evenframe.miniature.video.pool FOLDER --shards N [--kind KIND] ...``."""
    parser = argparse.ArgumentParser(description="Draw training clips.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--step", type=int, default=1, help="for several processes: 2 from 0 and 1")
    parser.add_argument("--shards", type=int, default=60, help=f"of {SIZE} clips each")
    parser.add_argument("--kind", choices=KINDS, help="clips of one kind, to practise it")
    parser.add_argument(
        "--told", type=float, default=TOLD_SHARE, help="share of told motions, 0..1"
    )
    motions = [motion.words for motion in OBJECT_MOTIONS]
    parser.add_argument("--motion", choices=motions, help="the one that objects are told")
    args = parser.parse_args()
    indices = range(args.first, args.shards, args.step)
    draw = partial(make_shard, args.seed, kind=args.kind, told=args.told, motion=args.motion)
    # What a shard is drawn with is in its name, so that another pool's is not taken for it.
    parts = (f"{args.seed}", args.kind, args.motion, f"told{args.told:g}")
    name = "-".join(part.replace(" ", "-") for part in parts if part)
    fill(args.folder, indices, draw, name)


if __name__ == "__main__":
    main()
