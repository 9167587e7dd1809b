"""FAME's attention modulation as formulas on logits, row by row.

Source: "FAME: Fairness-aware Attention-modulated Video Editing" (arXiv 2510.22960, 2025) for what
is done; its equations were not at hand. The closed forms are this project's own, after the public
modulation of "VideoGrain" (ICLR 2025), so no number of the paper is claimed.

    self    L' = L + a [same d R S (max - L) - other D (1 - S) (L - min)]
    cross   L'_j = L_j + a weight C_j m (max - L_j)    for the tokens j

a is strength times schedule, max and min are the row's. R is 1 between pixels of the same region,
D between pixels of different ones; background (region 0) against background is neither. S is the
similarity, d the decay over frame distance. A control applies these to a few rows at a time; as one
function on whole maps they are in tests/reference.py.
"""

import math
from numbers import Real

import torch
from torch import Tensor

from ...common.errors import EvenframeError
from ..span import Span

SCHEDULES = ("constant", "power")
POWER, POWER_SHARE = 5, 0.3
"""VideoGrain: ((t-1)/1000)^5 in the first 15 of 50 steps."""


def shifted(logits: Tensor, reach: Tensor, gap: Tensor, unit: float) -> Tensor:
    """The additive form, L + unit (reach - gap): `unit` logits in the place of both distances.

    It does not depend on the row, so without a similarity fused attention evaluates it
    (`region_bias`).
    """
    return logits + (unit * (reach - gap)).to(logits)


def raised(logits: Tensor, tokens: Tensor, amount: Tensor) -> Tensor:
    """L_j + amount_j (max - L_j) of the columns at some tokens: (..., n, m) to (..., n, tokens)."""
    columns = logits[..., tokens]
    return columns + amount.to(logits) * (logits.amax(-1, keepdim=True) - columns)


def pair_weights(
    regions_q: Tensor, regions_k: Tensor, near: Tensor, same: float, other: float
) -> tuple[Tensor, Tensor]:
    """(lambda delta R, mu D) for ids (n,) and (..., m), each (..., n, m). near: delta, of a shape
    that broadcasts to it."""
    rows, columns = regions_q[:, None], regions_k[..., None, :]
    together = (rows == columns) & (rows != 0)
    return same * near * together, other * (rows != columns).to(near)


def by_similarity(reach: Tensor, gap: Tensor, similarity: Tensor | None) -> tuple[Tensor, Tensor]:
    """(reach S, gap (1 - S)); None leaves both to the regions."""
    if similarity is None:
        return reach, gap
    return reach * similarity, gap * (1 - similarity)


def likeness(queries: Tensor, keys: Tensor, spread: bool = False) -> Tensor:
    """C = max(0, cos(q_i, W_K e_j)): (..., n, d) and (..., m, d) to (..., n, m) in 0..1.

    One head at a time, in the layer's key space. spread: for each key, stretched so that the
    queries' smallest is 0 and their largest 1, where raw cosines are flat.
    """
    cosine = unit_length(queries) @ unit_length(keys).transpose(-1, -2)
    if not spread:
        return cosine.clamp(min=0)
    low, high = cosine.amin(-2, keepdim=True), cosine.amax(-2, keepdim=True)
    return (cosine - low) / (high - low).clamp(min=torch.finfo(cosine.dtype).tiny)


def similarity(cosine: Tensor, tau: float) -> Tensor:
    """S = exp(-(1 - cos) / tau): 1 for equal features, .37 where 1 - cos is tau. tau: above 0."""
    if not tau > 0:
        raise EvenframeError(
            f"tau is {tau}: choose a number above 0, or leave the similarity to the regions."
        )
    return cosine.clamp(-1, 1).sub_(1).div_(tau).exp_()


def frame_weights(distance: Tensor, frame_decay: float) -> Tensor:
    """delta = exp(-|f - g| / tau_f) of frame distances; all 1 where tau_f is infinite."""
    require_decay("frame_decay", frame_decay)
    if math.isinf(frame_decay):
        return torch.ones_like(distance)
    return torch.exp(-distance.abs() / frame_decay)


def schedule_weight(kind: str, time: float, step: int, steps: int) -> float:
    """rho over denoising time: "constant" is 1; "power" is ((t-1)/1000)^5, then 0.

    time: 0..1000, t. step: 0..steps-1; power acts in the first 30 % of the steps (VideoGrain).
    """
    if kind == "constant":
        return 1.0
    active = step in Span(0, POWER_SHARE).steps(steps)
    return max(time - 1, 0) ** POWER / 1000**POWER if active else 0.0


def step_weight(schedule: str, window: Span, time: float, step: int, steps: int) -> float:
    """rho of a step, 0 outside the window."""
    if step not in window.steps(steps):
        return 0.0
    return schedule_weight(schedule, time, step, steps)


def require_decay(name: str, frame_decay: float) -> None:
    """Raise EvenframeError for a tau_f that is not above 0."""
    if not isinstance(frame_decay, Real) or not frame_decay > 0:
        raise EvenframeError(f"{name} is {frame_decay}: choose a number of frames above 0.")


def unit_length(vectors: Tensor) -> Tensor:
    """Vectors (..., d) of length 1; zero vectors stay zero."""
    length = vectors.norm(dim=-1, keepdim=True)
    return vectors / length.clamp(min=torch.finfo(vectors.dtype).tiny)
