"""ReAtCo: what its guidance costs, and whether it puts objects where they belong.

The keys `guidance.*` and `window.*` are counted at full size (guidance.py), `refocus.*` and
`invariant.*` measured with the built-in model (two_objects.py).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..miniature import NAME
from ..pipelines.models.families import load
from . import guidance, main, two_objects
from .plot import plot_shares
from .shares import Figures, with_interval

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


def run(scale: float = 1.0, model: Path | None = None, plot: Path | None = None) -> Figures:
    """Measure.

    scale: share of the clips (1 for published figures). model: a folder with another than the
    built-in one. plot: where to draw the shares over K.
    """
    loaded = load(model or NAME)
    clips, swept, kept = (max(2, round(count * scale)) for count in (CLIPS, SWEPT, KEPT))
    figures: Figures = {**guidance.guidance(), **guidance.window_memory()}
    figures |= two_objects.invariant(loaded, kept)
    figures |= two_objects.refocusing(loaded, clips, swept)
    if plot is not None:
        plot_fractions(plot, figures)
    return figures


def plot_fractions(path: Path, figures: Mapping[str, Any]) -> None:
    """Draw the share of clips with both objects in place, for each K that was tried, where only the
    regions say the sides."""
    bars = []
    for fraction in two_objects.FRACTIONS:
        key = f"refocus.unsaid_share_k{fraction * 100:.0f}"
        bars.append((f"{fraction * 100:.0f} %", *with_interval(figures, key)))
    plot_shares(path, "Both objects right and on their side", bars, "K, of a region's cells")


if __name__ == "__main__":
    main(__file__)
