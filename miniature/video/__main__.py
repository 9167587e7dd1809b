"""``python -m evenframe.miniature.video``: make the video miniature again, or go on with a run.

Draws the pool of clips, trains transformer and decoder, and writes the weights. A day on two cores,
of which most is the decoder's, minutes on a large GPU; every part goes on where it stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..__main__ import run_part
from .train import Recipe


def main() -> None:
    """Run the parts one after the other."""
    parser = argparse.ArgumentParser(prog="evenframe.miniature.video", description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(".cache/video"))
    parser.add_argument("--shards", type=int, default=60, help="of 1000 clips each")
    parser.add_argument("--clips", type=int, default=Recipe.clips)
    parser.add_argument("--codec-steps", type=int, default=40_000)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--to", type=Path, help="where the weights go; the package's own folder")
    args = parser.parse_args()
    pool, run, codec = (str(args.cache / name) for name in ("pool", "run", "codec"))
    device = ("--device", args.device)
    run_part("video.pool", pool, "--shards", str(args.shards))
    run_part("video.train", "--pool", pool, "--out", run, "--clips", str(args.clips), *device)
    run_part("video.train_codec", "--out", codec, "--steps", str(args.codec_steps), *device)
    to = ("--to", str(args.to)) if args.to else ()
    run_part("video.export", "--run", run, "--codec", codec, *to)


if __name__ == "__main__":
    main()
