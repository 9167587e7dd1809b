"""The formulas of FAME on whole maps, to hold the controls against.

See `pipelines/controls/fame/formulas.py` for the symbols.
"""

from __future__ import annotations

import torch
from torch import Tensor

from evenframe.pipelines.common.checks import require_range
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.controls.fame.formulas import frame_weights, likeness


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
    require_shares(strength=strength, same=same, other=other, schedule=schedule)
    if strength == 0 or schedule == 0:
        return logits
    reach, gap = weights(
        logits, regions_q, regions_k, frames_q, frames_k, similarity, same, other, frame_decay
    )
    amount, largest, smallest = strength * schedule, *extremes(logits)
    return logits + amount * (reach * (largest - logits) - gap * (logits - smallest)).to(logits)


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
    """The additive form: `unit` logits in the place of both (max - L) and (L - min)."""
    require_shares(strength=strength, same=same, other=other, schedule=schedule)
    if strength == 0 or schedule == 0:
        return logits
    reach, gap = weights(
        logits, regions_q, regions_k, frames_q, frames_k, similarity, same, other, frame_decay
    )
    return logits + (strength * schedule * unit * (reach - gap)).to(logits)


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
    require_shares(strength=strength, weight=weight, schedule=schedule)
    if strength == 0 or schedule == 0:
        return logits
    chosen = torch.as_tensor(tokens, device=logits.device, dtype=torch.long).flatten()
    columns = logits[..., chosen]
    amount = strength * schedule * weight * likeness(queries, keys[..., chosen, :], spread)
    if subject is not None:
        mask = torch.as_tensor(subject, dtype=logits.dtype, device=logits.device)
        require_length("subject", mask, lengths(logits)[0], "queries")
        amount = amount * (mask[..., None] if mask.ndim else mask)
    raised = columns + amount.to(logits) * (extremes(logits)[0] - columns)
    return logits.index_copy(-1, chosen, raised)


def weights(
    logits: Tensor,
    regions_q: Tensor,
    regions_k: Tensor,
    frames_q: Tensor | int,
    frames_k: Tensor | int,
    similarity: Tensor | None,
    same: float,
    other: float,
    frame_decay: float,
) -> tuple[Tensor, Tensor]:
    """(lambda delta R S, mu D (1 - S))."""
    rows, columns = lengths(logits)
    require_length("regions_q", regions_q, rows, "queries")
    require_length("regions_k", regions_k, columns, "keys")
    require_length("frames_q", frames_q, rows, "queries")
    require_length("frames_k", frames_k, columns, "keys")
    apart = of_rows(frames_q) - of_columns(frames_k)
    near = frame_weights(apart.to(logits), frame_decay)
    equal = of_rows(regions_q) == of_columns(regions_k)
    together, different = equal & (of_rows(regions_q) != 0), (~equal).to(near)
    if similarity is None:
        return same * near * together, other * different
    return same * near * together * similarity, other * different * (1 - similarity)


def extremes(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The largest and the smallest of each row."""
    return logits.amax(-1, keepdim=True), logits.amin(-1, keepdim=True)


def require_shares(**values: float) -> None:
    """Raise EvenframeError for a number that is not in 0..1."""
    for name, value in values.items():
        require_range(name, value, 0, 1)


def lengths(logits: Tensor) -> tuple[int, int]:
    """How many queries and keys; a single row may come without its dimension."""
    return logits.shape[-2] if logits.ndim > 1 else 1, logits.shape[-1]


def require_length(name: str, values: Tensor | float, length: int, what: str) -> None:
    """One value for each of the queries or keys, or a single number."""
    shape = tuple(torch.as_tensor(values).shape)
    if shape and shape[-1] != length:
        raise EvenframeError(
            f"{name} has the shape {shape}, but there are {length} {what}: give one value for each."
        )


def of_rows(values: Tensor | int) -> Tensor:
    """(..., n) as (..., n, 1); a single number as it is."""
    values = torch.as_tensor(values)
    return values[..., :, None] if values.ndim else values


def of_columns(values: Tensor | int) -> Tensor:
    """(..., m) as (..., 1, m); a single number as it is."""
    values = torch.as_tensor(values)
    return values[..., None, :] if values.ndim else values
