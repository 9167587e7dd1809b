"""How close the built-in model's inversions come to their pictures: the keys `inversion.*`.

PSNR in dB of a reconstruction at guidance 1 against the autoencoder's own, by solver and number of
steps, the mean of eight pictures. Either solver asks the model once a step.
"""

from __future__ import annotations

from statistics import fmean

from ..miniature import measure, sampling
from ..pipelines.source.settings import SOLVERS
from . import main

SEED, PICTURES, STEPS = 7001, 8, (5, 10, 25, 50)


def run(scale: float = 1.0) -> dict[str, float]:
    """Measure. scale: share of the pictures (1 for the published figures)."""
    model, count = sampling.load(), max(2, round(PICTURES * scale))
    scenes = measure.bench_scenes(64, SEED)[:count]
    figures = {}
    for steps in STEPS:
        for solver in SOLVERS:
            found = measure.inversion_psnr(model, scenes, steps, solver)
            key = f"inversion.{solver.replace('-', '_')}_psnr_db.{steps}_steps"
            figures |= {key: round(fmean(found), 2), f"{key}.worst": round(min(found), 2)}
    return figures


if __name__ == "__main__":
    main(__file__)
