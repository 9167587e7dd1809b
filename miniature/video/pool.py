"""Training data of the video miniature: clips drawn once, as latents, token ids and slots."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Part:
    """Clips of one kind in a pool; kind, told, motion: as `sample_clip` has them."""

    kind: str | None = None
    told: float = TOLD_SHARE
    motion: str | None = None

    def name(self, seed: int) -> str:
        """Before the numbers of its shards: all that they are drawn with."""
        parts = (str(seed), self.kind, self.motion, f"told{self.told:g}")
        return "-".join(part.replace(" ", "-") for part in parts if part)


PARTS = {
    Part(): 0.39,
    Part("one", 1.0): 0.17,
    Part("one", 1.0, "turning"): 0.22,
    Part("count", 0.7): 0.17,
    Part("figure", 1.0): 0.05,
}
"""A pool's parts and their shares: what prompts tell is practised beside what is mixed."""
SIZE = 1000
TIMES = (CLIP - 1) // 4 + 1


def make_shard(seed: int, index: int, size: int = SIZE, part: Part = Part()) -> Shard:
    """Draw shard `index` of a seed's pool; the same arguments give the same bytes.

    Returns latents (n, 16, 5, 16, 16) float16, ids (n, 77) int16 and slots (n, 77) int8.
    """
    rng, encoder = np.random.default_rng([seed, index]), word_encoder()
    latent_map = load_latent_map()
    latents = np.empty((size, CHANNELS, TIMES, CELLS, CELLS), np.float16)
    ids, slots = np.empty((size, LENGTH), np.int16), np.empty((size, LENGTH), np.int8)
    for i in range(size):
        clip = sample_clip(rng, part.kind, told=part.told, motion=part.motion)
        latents[i] = clip_latents(clip, latent_map)
        ids[i], slots[i] = token_slots(encoder, clip.words)
    return {"latents": latents, "ids": ids, "slots": slots}


def main() -> None:
    """``python -m evenframe.miniature.video.pool FOLDER --shards N``."""
    parser = argparse.ArgumentParser(description="Draw training clips.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--step", type=int, default=1, help="for several processes: 2 from 0 and 1")
    parser.add_argument("--shards", type=int, default=60, help=f"of {SIZE} clips each")
    parser.add_argument("--kind", choices=KINDS, help="clips of one kind in the place of all parts")
    parser.add_argument(
        "--told", type=float, default=TOLD_SHARE, help="share of told motions, 0..1"
    )
    motions = [motion.words for motion in OBJECT_MOTIONS]
    parser.add_argument("--motion", choices=motions, help="the one that objects are told")
    args = parser.parse_args()
    only = Part(args.kind, args.told, args.motion)
    for part, share in (PARTS if only == Part() else {only: 1.0}).items():
        indices = range(args.first, max(1, round(share * args.shards)), args.step)
        draw = partial(make_shard, args.seed, part=part)
        fill(args.folder, indices, draw, part.name(args.seed))


if __name__ == "__main__":
    main()
