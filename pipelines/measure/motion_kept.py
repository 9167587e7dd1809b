"""How much of the source's motion a result has kept: its flow against the source's.

Beside Warp-Err, which praises a frozen clip. The formula is this project's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .asked import NotMeasured
from .flow_pairs import FRAMES, SIDE, flows, sized

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .asked import Asked, Values

STILL = 0.05
"""Of a clip that moves by less, in pixels a frame, nothing can be kept."""
NAME = "motion kept"
FORMULAS = {
    NAME: f"1 - sum |flow of the result - flow of the source| / sum |flow of the source|, as for "
    f"Warp-Err: first {FRAMES} frames, longer side {SIDE}, DIS medium; 1 all, 0 a frozen frame"
}


def measure(asked: Asked) -> Values:
    """NotMeasured where the source hardly moves."""
    source, result = (flows(sized(clip)) for clip in (asked.source, asked.result))
    return {NAME: motion_kept(source, result)}


def motion_kept(
    source: Sequence[NDArray[np.float32]], result: Sequence[NDArray[np.float32]]
) -> float:
    """1 where all flows (h, w, 2) are equal, 0 where the result stands still, less where it moves
    in other ways."""
    wanted, have = np.stack(source).astype(np.float64), np.stack(result).astype(np.float64)
    moves = np.linalg.norm(wanted, axis=-1)
    if moves.mean() < STILL:
        raise NotMeasured(f"the source moves by {moves.mean():.2g} pixels a frame, which is none")
    return float(1 - np.linalg.norm(have - wanted, axis=-1).sum() / moves.sum())
