"""ReAtCo: what its guidance costs, and whether it puts objects where they belong.

The keys `guidance.*` and `window.*` are counted at full size (guidance.py), `refocus.*` and
`invariant.*` measured with the built-in model (two_objects.py).
"""

import argparse
import json
from pathlib import Path

from ..pipelines import backbone
from ..pipelines.backbone import Backbone
from . import guidance, two_objects

CLIPS, SWEPT, KEPT = 60, 24, 16

AT_MOST = {
    "guidance.forward_ratio": 0.50,
    "guidance.saved_mb_per_frame": 380.0,
    "guidance.checkpointed_mb_per_frame": 70.0,
    "guidance.run_pflop": 2.1,
    "invariant.psnr_to_autoencoder_db": 0.5,
    "window.memory_ratio": 1.15,
}
AT_LEAST = {"refocus.share_with": 0.85, "refocus.gain": 0.25, "invariant.psnr_gain_db": 8.0}


def run(
    json_path: Path | None = None, model: Backbone | None = None, scale: float = 1.0
) -> dict[str, float]:
    """Measure; print each figure beside its target; `json_path`: also write them there.

    model: another than the shipped weights. scale: share of the clips (1 for published figures).
    """
    chosen = model or backbone.load()
    clips, swept, kept = (max(2, round(count * scale)) for count in (CLIPS, SWEPT, KEPT))
    figures: dict[str, float] = {}
    for measure in (
        guidance.guidance,
        guidance.window_memory,
        lambda: two_objects.invariant(chosen, kept),
        lambda: two_objects.refocusing(chosen, clips, swept),
    ):
        part = measure()
        for key, value in part.items():
            print(_line(key, value), flush=True)
        figures |= part
    if json_path is not None:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        json_path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return figures


def _line(key: str, value: float) -> str:
    line = f"{key:<36} {value:>10.4g}"
    if key in AT_MOST:
        line += f"   at most {AT_MOST[key]:g}" + ("" if value <= AT_MOST[key] else "  MISSED")
    if key in AT_LEAST:
        line += f"   at least {AT_LEAST[key]:g}" + ("" if value >= AT_LEAST[key] else "  MISSED")
    return line


def main() -> None:
    """``python -m evenframe.benchmarks.refocus``."""
    parser = argparse.ArgumentParser(description="Measure ReAtCo.")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the clips to edit")
    args = parser.parse_args()
    run(args.json, scale=args.scale)


if __name__ == "__main__":
    main()
