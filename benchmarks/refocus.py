"""ReAtCo: what its guidance costs, and whether it puts objects where they belong.

The keys `guidance.*` and `window.*` are counted at full size (guidance.py), `refocus.*` and
`invariant.*` measured with the built-in model (two_objects.py).
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from ..pipelines import backbone
from ..pipelines.backbone import Backbone
from . import guidance, two_objects
from .plot import plot_shares

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
    json_path: Path | None = None,
    model: Backbone | None = None,
    scale: float = 1.0,
    plot_path: Path | None = None,
) -> dict[str, float]:
    """Measure; print each figure beside its target; `json_path`: also write them there.

    model: another than the shipped weights. scale: share of the clips (1 for published figures).
    plot_path: a picture of the shares over K.
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
    if plot_path is not None:
        plot_fractions(plot_path, figures)
    if json_path is not None:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        json_path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return figures


def plot_fractions(path: Path, figures: Mapping[str, float]) -> None:
    """Draw the share of clips with both objects in place, for each K that was tried."""
    bars = []
    for fraction in two_objects.FRACTIONS:
        key = f"refocus.share_k{fraction * 100:.0f}"
        share, low, high = (figures[name] for name in (key, f"{key}.low", f"{key}.high"))
        bars.append((f"{fraction * 100:.0f} %", share, low, high))
    plot_shares(path, "Both objects right and on their side", bars, "K, of a region's cells")


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
    parser.add_argument("--plot", type=Path, help="picture of the shares over K")
    args = parser.parse_args()
    run(args.json, scale=args.scale, plot_path=args.plot)


if __name__ == "__main__":
    main()
