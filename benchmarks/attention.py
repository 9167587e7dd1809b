"""What FateZero's attention costs here, and that it is the same: the keys `store.*` to `reuse.*`.

Bytes and work are counted for Stable Diffusion 1.5 at 512x512; times and differences are measured
with the built-in model on the CPU.
"""

import json
from pathlib import Path

import torch

from . import counting, timing

TARGETS = {
    "store.resident_bytes": 12.1e9,
    "store.offload_bytes": 12.1e9,
    "store.recompute_bytes": 0.30e9,
    "work.recompute_ratio": 1.20,
    "work.resident_ratio": 1.01,
    "time.controlled_over_plain": 1.25,
    "modes.max_rel_error": 1e-3,
    "modes.recompute_rel_error": 1e-5,
    "reuse.second_over_first": 0.70,
}
"""The most that a figure may be."""


def run(json_path: Path | None = None) -> dict[str, float]:
    """Measure, print each figure beside its target, and write them all as one flat JSON object."""
    figures: dict[str, float] = {}
    scene = timing.scene()
    for measure in (
        counting.stored_bytes,
        counting.work,
        lambda: timing.differences(scene),
        lambda: timing.times(scene),
        lambda: timing.reuse(scene),
    ):
        with torch.no_grad():
            part = measure()
        for key, value in part.items():
            print(_line(key, value), flush=True)
        figures |= part
    if json_path is not None:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        json_path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return figures


def _line(key: str, value: float) -> str:
    target = TARGETS.get(key)
    if target is None:
        return f"{key:<30} {value:>14.6g}"
    verdict = "" if value <= target else "  MISSED"
    return f"{key:<30} {value:>14.6g}   at most {target:g}{verdict}"


if __name__ == "__main__":
    run()
