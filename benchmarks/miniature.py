"""How well the built-in model draws its world, judged from pixels: the keys `world.*`.

200 held-in prompts, 100 that hold a combination never trained on, 25 DDIM steps, fixed seeds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..miniature import measure, sampling
from ..miniature.contact_sheet import save_sheet
from ..miniature.verdict import ASPECTS, tally
from . import main
from .shares import Figures, share

SEED = 7000
HELD_IN, HELD_OUT, FIGURES = 200, 100, 60


def run(
    run: Path | None = None,
    sheets: Path | None = None,
    scale: float = 1.0,
) -> Figures:
    """Measure; each share `key` comes with its 95 % Wilson interval `key.low`, `key.high`.

    run: a training whose weights are measured. sheets: folder for contact sheets. scale: share of
    the pictures to draw (1 for the published figures).
    """
    model = sampling.load() if run is None else sampling.load_run(run)
    figures = _prompts(model, scale, sheets) | _skew(model, scale, sheets)
    return figures | _backbone(model, scale)


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
    for profession, named, counted in measure.SKEW:
        scenes = measure.figure_scenes(profession, named, _number(FIGURES, scale))
        drawn = measure.draw(model, scenes, SEED + 3000)
        seen = measure.presentations(drawn.verdicts)
        key = measure.skew_key(profession, named)
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


if __name__ == "__main__":
    main(__file__)
