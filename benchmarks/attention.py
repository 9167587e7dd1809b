"""What FateZero's attention costs here, and that it is the same: the keys `store.*` to `reuse.*`.

Bytes and work are counted for Stable Diffusion 1.5 at 512x512; times and differences are measured
with the built-in model on the CPU.
"""

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
"""The most that a figure may be; `evenframe bench` says where one is missed."""


def run() -> dict[str, float]:
    """Measure."""
    figures: dict[str, float] = {}
    scene = timing.scene()
    with torch.no_grad():
        figures |= counting.stored_bytes()
        figures |= counting.work()
        figures |= timing.differences(scene)
        figures |= timing.times(scene)
        figures |= timing.reuse(scene)
    return figures
