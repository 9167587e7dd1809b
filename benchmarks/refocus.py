"""ReAtCo: what its guidance costs, and whether it puts objects where they belong.

The keys `guidance.*` and `window.*` are counted at full size (guidance.py), `refocus.*` and
`invariant.*` measured with the built-in model (two_objects.py).
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from ..pipelines.models.families import load
from ..pipelines.models.model import Model
from . import guidance, two_objects
from .plot import plot_shares

CLIPS, SWEPT, KEPT = 60, 24, 16

TARGETS = {
    "guidance.forward_ratio": 0.50,
    "guidance.saved_mb_per_frame": 380.0,
    "guidance.checkpointed_mb_per_frame": 70.0,
    "guidance.asked_ratio": 1.3,
    "guidance.run_pflop": 2.1,
    "invariant.psnr_to_autoencoder_db": 0.5,
    "window.memory_ratio": 1.15,
}
"""The most that a figure may be."""
FLOORS = {
    "guidance.asked_ratio": 1.0,
    "refocus.share_with": 0.85,
    "refocus.gain": 0.25,
    "invariant.psnr_gain_db": 8.0,
}


def run(
    model: Model | None = None, scale: float = 1.0, plot_path: Path | None = None
) -> dict[str, float]:
    """Measure.

    model: another than the shipped weights. scale: share of the clips (1 for published figures).
    plot_path: where to draw the shares over K.
    """
    chosen = model or load("miniature")
    clips, swept, kept = (max(2, round(count * scale)) for count in (CLIPS, SWEPT, KEPT))
    figures = guidance.guidance() | guidance.window_memory()
    figures |= two_objects.invariant(chosen, kept)
    figures |= two_objects.refocusing(chosen, clips, swept)
    if plot_path is not None:
        plot_fractions(plot_path, figures)
    return figures


def plot_fractions(path: Path, figures: Mapping[str, float]) -> None:
    """Draw the share of clips with both objects in place, for each K that was tried, where only the
    regions say the sides."""
    bars = []
    for fraction in two_objects.FRACTIONS:
        key = f"refocus.unsaid_share_k{fraction * 100:.0f}"
        share, low, high = (figures[name] for name in (key, f"{key}.low", f"{key}.high"))
        bars.append((f"{fraction * 100:.0f} %", share, low, high))
    plot_shares(path, "Both objects right and on their side", bars, "K, of a region's cells")


def main() -> None:
    """``python -m evenframe.benchmarks.refocus``."""
    from ..cli.console import table

    parser = argparse.ArgumentParser(description="Measure ReAtCo.")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the clips to edit")
    parser.add_argument("--plot", type=Path, help="picture of the shares over K")
    parser.add_argument("--model", type=Path, help="folder of another model than the built-in one")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args()
    model = None if args.model is None else load(args.model)
    figures = run(model, args.scale, args.plot)
    print(table(figures, TARGETS, FLOORS))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
