"""FAME's attention modulation as formulas on logits, row by row.

Source: "FAME: Fairness-aware Attention-modulated Video Editing" (arXiv 2510.22960, 2025) for what
is done; its equations were not at hand. The closed forms are this project's own, after the public
modulation of "VideoGrain" (ICLR 2025), so no number of the paper is claimed.

    self    L' = L + a [same d R S (max - L) - other D (1 - S) (L - min)]
    cross   L'_j = L_j + a weight C_j m (max - L_j)    for the tokens j

a is strength times schedule, max and min are the row's. R is 1 between pixels of the same region,
D between pixels of different ones; background (region 0) against background is neither. S is the
similarity, d the decay over frame distance. A control applies these to a few rows at a time.
"""

import math
from numbers import Real

import torch
from torch import Tensor

from ...common.checks import require_range
from ...common.errors import EvenframeError
from ..span import Span

SCHEDULES = ("constant", "power")
POWER, POWER_SHARE = 5, 0.3
"""VideoGrain: ((t-1)/1000)^5 in the first 15 of 50 steps."""


def modulate_self_logits(
    logits: Tensor,
    regions_q: Tensor,
    regions_k: Tensor,
    frames_q: Tensor | int,
    frames_k: Tensor | int,
    similarity: Tensor | None,
    strength: float,
    same: float,
    other: float,
    frame_decay: float,
    schedule: float = 1.0,
) -> Tensor:
    """Strengthen self-attention inside a region across frames, weaken it between regions.

    logits: (..., n, m), whole rows. regions_q, regions_k: (n,), (m,) region ids, 0 for background.
    frames_q, frames_k: (n,), (m,) frame numbers, or one number each. similarity: S in 0..1,
    broadcastable to (n, m); None lets the regions alone decide (S is R). strength, same, other:
    alpha, lambda and mu, 0..1. frame_decay: tau_f in frames, above 0; infinity for no decay.
    schedule: rho, 0..1. With alpha or rho 0 the logits come back as they are.
    Raises EvenframeError for numbers out of range and for lengths that are not those of the logits.
    """
    _require_shares(strength=strength, same=same, other=other, schedule=schedule)
    if strength == 0 or schedule == 0:
        return logits
    reach, gap = _weights(
        logits, regions_q, regions_k, frames_q, frames_k, similarity, same, other, frame_decay
    )
    return pulled(logits, strength * schedule * reach, strength * schedule * gap)


def add_to_self_logits(
    logits: Tensor,
    regions_q: Tensor,
    regions_k: Tensor,
    frames_q: Tensor | int,
    frames_k: Tensor | int,
    similarity: Tensor | None,
    strength: float,
    same: float,
    other: float,
    frame_decay: float,
    schedule: float = 1.0,
    unit: float = 4.0,
) -> Tensor:
    """The additive form: `unit` logits in the place of both (max - L) and (L - min).

    It does not depend on the row, so without a similarity fused attention evaluates it
    (`region_bias`). Arguments otherwise as for `modulate_self_logits`.
    """
    _require_shares(strength=strength, same=same, other=other, schedule=schedule)
    if strength == 0 or schedule == 0:
        return logits
    reach, gap = _weights(
        logits, regions_q, regions_k, frames_q, frames_k, similarity, same, other, frame_decay
    )
    return shifted(logits, strength * schedule * reach, strength * schedule * gap, unit)


def pulled(logits: Tensor, reach: Tensor, gap: Tensor) -> Tensor:
    """L + reach (max - L) - gap (L - min), with the maximum and minimum of each row.

    reach, gap: (n, m), which broadcast to the logits (..., n, m); at most one is not 0.
    """
    kept = logits * (1 - reach - gap).to(logits)
    raised = kept.addcmul_(reach.to(logits), logits.amax(-1, keepdim=True))
    return raised.addcmul_(gap.to(logits), logits.amin(-1, keepdim=True))


def shifted(logits: Tensor, reach: Tensor, gap: Tensor, unit: float) -> Tensor:
    """L + unit (reach - gap)."""
    return logits + (unit * (reach - gap)).to(logits)


def pair_weights(
    regions_q: Tensor, regions_k: Tensor, near: Tensor, same: float, other: float
) -> tuple[Tensor, Tensor]:
    """(lambda delta R, mu D) for ids (n,) and (m,), each (n, m). near: delta, (m,) or (n, m)."""
    rows, columns = _column(regions_q), _row(regions_k)
    together = (rows == columns) & (rows != 0)
    return same * near * together, other * (rows != columns).to(near)


def by_similarity(reach: Tensor, gap: Tensor, similarity: Tensor | None) -> tuple[Tensor, Tensor]:
    """(reach S, gap (1 - S)); None leaves both to the regions."""
    if similarity is None:
        return reach, gap
    return reach * similarity, gap * (1 - similarity)


def modulate_cross_logits(
    logits: Tensor,
    queries: Tensor,
    keys: Tensor,
    tokens: Tensor | list[int] | tuple[int, ...],
    strength: float,
    weight: float,
    subject: Tensor | float | None = None,
    schedule: float = 1.0,
    spread: bool = False,
) -> Tensor:
    """Raise the attention of a subject's pixels to some words, by how alike pixel and word are.

    logits: (..., n, m). queries: (..., n, d), keys: (..., m, d) of the layer, one head at a time:
    alike is C = max(0, cos(q, W_K e)). tokens: positions among the m. strength, weight: alpha and
    lambda_c, 0..1. subject: m, (..., n) in 0..1, or one number; None is 1 everywhere. schedule:
    rho, 0..1. spread: stretch C of each token to 0..1 over the pixels, where raw cosines are flat.
    With alpha or rho 0 the logits come back as they are. Raises as `modulate_self_logits`.
    """
    _require_shares(strength=strength, weight=weight, schedule=schedule)
    if strength == 0 or schedule == 0:
        return logits
    chosen = torch.as_tensor(tokens, device=logits.device, dtype=torch.long).flatten()
    columns = logits[..., chosen]
    amount = strength * schedule * weight * likeness(queries, keys[..., chosen, :], spread)
    if subject is not None:
        mask = torch.as_tensor(subject, dtype=logits.dtype, device=logits.device)
        _require_length("subject", mask, _lengths(logits)[0], "queries")
        amount = amount * (mask[..., None] if mask.ndim else mask)
    raised = columns + amount.to(logits) * (logits.amax(-1, keepdim=True) - columns)
    return logits.index_copy(-1, chosen, raised)


def likeness(queries: Tensor, keys: Tensor, spread: bool = False) -> Tensor:
    """C = max(0, cos(q_i, k_j)): (..., n, d) and (..., m, d) to (..., n, m) in 0..1.

    spread: for each key, stretched so that the queries' smallest is 0 and their largest 1.
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
    require_decay(frame_decay)
    if math.isinf(frame_decay):
        return torch.ones_like(distance)
    return torch.exp(-distance.abs() / frame_decay)


def schedule_weight(kind: str, timestep: int, step: int, steps: int) -> float:
    """rho over denoising time: "constant" is 1; "power" is ((t-1)/1000)^5, then 0.

    timestep: 0..1000. step: 0..steps-1; power acts in the first 30 % of the steps (VideoGrain).
    """
    if kind == "constant":
        return 1.0
    active = step in Span(0, POWER_SHARE).steps(steps)
    return max(timestep - 1, 0) ** POWER / 1000**POWER if active else 0.0


def step_weight(schedule: str, window: Span, timestep: int, step: int, steps: int) -> float:
    """rho of a step, 0 outside the window."""
    if step not in window.steps(steps):
        return 0.0
    return schedule_weight(schedule, timestep, step, steps)


def require_ranges(ranges: dict[str, tuple[float, float]]) -> None:
    """Raise EvenframeError for a (value, largest) that is not in 0..largest."""
    for name, (value, high) in ranges.items():
        require_range(name, value, 0, high)


def require_decay(frame_decay: float) -> None:
    """Raise EvenframeError for a tau_f that is not above 0."""
    if not isinstance(frame_decay, Real) or not frame_decay > 0:
        raise EvenframeError(f"frame_decay is {frame_decay}: choose a number of frames above 0.")


def unit_length(vectors: Tensor) -> Tensor:
    """Vectors (..., d) of length 1; zero vectors stay zero."""
    length = vectors.norm(dim=-1, keepdim=True)
    return vectors / length.clamp(min=torch.finfo(vectors.dtype).tiny)


def _weights(
    logits: Tensor,
    regions_q: Tensor,
    regions_k: Tensor,
    frames_q: Tensor | int,
    frames_k: Tensor | int,
    similar: Tensor | None,
    same: float,
    other: float,
    frame_decay: float,
) -> tuple[Tensor, Tensor]:
    rows, columns = _lengths(logits)
    _require_length("regions_q", regions_q, rows, "queries")
    _require_length("regions_k", regions_k, columns, "keys")
    _require_length("frames_q", frames_q, rows, "queries")
    _require_length("frames_k", frames_k, columns, "keys")
    distance = _column(frames_q) - _row(frames_k)
    near = frame_weights(distance.to(logits), frame_decay)
    return by_similarity(*pair_weights(regions_q, regions_k, near, same, other), similar)


def _require_shares(**values: float) -> None:
    for name, value in values.items():
        require_range(name, value, 0, 1)


def _lengths(logits: Tensor) -> tuple[int, int]:
    """How many queries and keys; a single row may come without its dimension."""
    return logits.shape[-2] if logits.ndim > 1 else 1, logits.shape[-1]


def _require_length(name: str, values: Tensor | float, length: int, what: str) -> None:
    """One value for each of the queries or keys, or a single number."""
    shape = tuple(torch.as_tensor(values).shape)
    if shape and shape[-1] != length:
        raise EvenframeError(
            f"{name} has the shape {shape}, but there are {length} {what}: give one value for each."
        )


def _column(values: Tensor | int) -> Tensor:
    values = torch.as_tensor(values)
    return values[..., :, None] if values.ndim else values


def _row(values: Tensor | int) -> Tensor:
    values = torch.as_tensor(values)
    return values[..., None, :] if values.ndim else values
