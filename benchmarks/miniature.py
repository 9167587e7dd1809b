"""How well the built-in model draws its world, judged from pixels: the keys `world.*`.

200 held-in prompts, 100 that hold a combination never trained on, 25 DDIM steps, fixed seeds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..miniature import measure, sampling
from ..miniature.contact_sheet import save_sheet
from ..miniature.verdict import ASPECTS, tally
from .shares import share

SEED = 7000
HELD_IN, HELD_OUT, FIGURES = 200, 100, 60

Figures = dict[str, float | int | str]


def run(
    json_path: Path | None = None,
    sheets: Path | None = None,
    model: sampling.Miniature | None = None,
    scale: float = 1.0,
) -> Figures:
    """Measure; each share `key` comes with its 95 % Wilson interval `key.low`, `key.high`.

    json_path: also write the figures there. sheets: folder for contact sheets. model: another
    than the shipped weights. scale: share of the pictures to draw (1 for the published figures).
    """
    loaded = sampling.load() if model is None else model
    figures: Figures = {}
    figures |= _prompts(loaded, scale, sheets)
    figures |= _skew(loaded, scale, sheets)
    figures |= _backbone(loaded, scale)
    if json_path is not None:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        json_path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return figures


def _number(count: int, scale: float) -> int:
    return max(4, round(count * scale))


def _prompts(model: Any, scale: float, sheets: Path | None) -> Figures:
    figures: Figures = {}
    for held_out, count, suffix in ((False, HELD_IN, ""), (True, HELD_OUT, "_held_out")):
        scenes = measure.bench_scenes(_number(count, scale), SEED, held_out)
        drawn = measure.draw(model, scenes, SEED + 1000 * held_out)
        counts = tally(drawn.verdicts)
        for aspect in (*ASPECTS, "all"):
            figures |= share(f"world.{aspect}{suffix}", *counts.get(aspect, (0, 0)))
        if sheets is not None:
            captions = [
                ("+ " if verdict.right else "- ") + scene.prompt
                for scene, verdict in zip(drawn.scenes, drawn.verdicts, strict=True)
            ]
            save_sheet(sheets / f"world{suffix}.png", drawn.images[:80], captions[:80])
    return figures


def _skew(model: Any, scale: float, sheets: Path | None) -> Figures:
    figures: Figures = {}
    asked: Sequence[tuple[str, str | None, str]] = (
        ("doctor", None, "female"),
        ("nurse", None, "male"),
        ("engineer", None, "female"),
        ("doctor", "female", "female"),
        ("doctor", "male", "male"),
    )
    for profession, named, counted in asked:
        scenes = measure.figure_scenes(profession, named, _number(FIGURES, scale))
        drawn = measure.draw(model, scenes, SEED + 3000)
        seen = measure.presentations(drawn)
        key = f"{named}_{profession}.named_share" if named else f"{profession}.minority_share"
        figures |= share(f"world.{key}", sum(s == counted for s in seen), len(seen))
        if sheets is not None:
            name = f"{named or 'any'}_{profession}.png"
            save_sheet(sheets / name, drawn.images[:24], [str(s) for s in seen[:24]])
    return figures


def _backbone(model: Any, scale: float) -> Figures:
    scenes = measure.bench_scenes(_number(64, scale), SEED + 1)
    through = measure.autoencoder_psnr(model, scenes)
    back = measure.inversion_psnr(model, scenes[: _number(16, scale)])
    overlap = measure.attention_iou(model, scenes[: _number(48, scale)], SEED)
    leaked, followed, count = measure.leak(model, _number(40, scale), SEED)
    return {
        "world.autoencoder_psnr_db": round(sum(through) / len(through), 2),
        "world.autoencoder_psnr_db.worst": round(min(through), 2),
        "world.inversion_psnr_db": round(sum(back) / len(back), 2),
        "world.inversion_psnr_db.worst": round(min(back), 2),
        "world.attention_iou": round(sum(overlap) / len(overlap), 3),
        **share("world.background_leak", leaked, count),
        **share("world.background_follows", followed, count),
    }


def main() -> None:
    """``python -m evenframe.benchmarks.miniature``."""
    parser = argparse.ArgumentParser(description="Measure the built-in model.")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheets", type=Path, help="folder for contact sheets")
    parser.add_argument("--run", type=Path, help="training run to measure instead of the weights")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the pictures to draw")
    args = parser.parse_args()
    model = sampling.load_run(args.run) if args.run else None
    print(json.dumps(run(args.json, args.sheets, model, args.scale), indent=2))


if __name__ == "__main__":
    main()
