"""``python -m evenframe.miniature``: make the miniature again, or go on with a run.

Draws the pool of scenes, trains decoder and denoiser, and writes the weights. Hours on two cores,
minutes on a large GPU; every part goes on where it stopped.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path


def main() -> None:
    """Run the parts one after the other."""
    parser = argparse.ArgumentParser(prog="evenframe.miniature", description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(".cache/miniature"))
    parser.add_argument("--shards", type=int, default=48, help="of 4096 scenes each")
    parser.add_argument("--steps", type=int, default=60_000)
    parser.add_argument("--decay-steps", type=int, default=8_000)
    parser.add_argument("--decoder-minutes", type=float, default=40)
    parser.add_argument("--to", type=Path, help="where the weights go; the package's own folder")
    args = parser.parse_args()
    pool, run = args.cache / "pool", args.cache / "run"
    run_part("pool", str(pool), "--shards", str(args.shards))
    # Numbers are the hardest part of the world, and rare in it.
    run_part("pool", str(pool), "--shards", str(args.shards // 4), "--kind", "count")
    if not (run / "autoencoder.pt").exists():
        run_part("train_decoder", "--out", str(run), "--minutes", str(args.decoder_minutes))
    steps = ("--steps", str(args.steps), "--decay-steps", str(args.decay_steps))
    run_part("train", "--pool", str(pool), "--out", str(run), *steps)
    run_part("export", "--run", str(run), *(("--to", str(args.to)) if args.to else ()))


def run_part(module: str, *arguments: str) -> None:
    """Run a module of this package in a process of its own, and tell of it."""
    package = __package__ or "evenframe.miniature"
    print(f"{module} {' '.join(arguments)}", flush=True)
    subprocess.run([sys.executable, "-m", f"{package}.{module}", *arguments], check=True)


if __name__ == "__main__":
    main()
