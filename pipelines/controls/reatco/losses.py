"""RAD's maths on attention maps: what is lost, how the maps are conditioned, how far latents move.

Source: "Re-Attentional Controllable Video Diffusion Editing" (AAAI 2025), Eq. 3-7,
with the step sizes and the conditioning of the maps of its published code as options.
"""

from numbers import Real

import torch
from torch import Tensor

from ...common.checks import require_choice
from ...common.errors import EvenframeError

OUTER_COUNTS = ("complement", "region")
RULES = ("code", "paper")
PUBLISHED_SCALE = {"code": 20.0, "paper": 1.0}
SHARPNESS = 100.0
NEIGHBOUR = 0.3678794411714423
"""Weight of the next cell beside 1 for the cell itself: exp(-1), as the published code has it."""


def region_losses(
    maps: Tensor, masks: Tensor, top_fraction: float = 0.2, outer_count: str = "complement"
) -> tuple[Tensor, Tensor]:
    """(L_IR, L_OR) of one word: attention to gain inside its region, to lose outside (Eq. 3-6).

    maps: (f, h, w) attention to the word. masks: (f, h, w) in 0..1; a frame without its region
        counts for L_OR only. top_fraction: above 0, at most 1, of the cells; at least one counts.
    outer_count: cells that count outside, the fraction of the "complement" (the published code) or
        as many as in the "region" (the paper).
    Returns two scalars; differentiable in the maps. Raises EvenframeError.
    """
    if maps.shape != masks.shape or maps.ndim != 3:
        raise EvenframeError(
            f"The maps have the shape {tuple(maps.shape)} and the masks {tuple(masks.shape)}: "
            "give both as (frames, rows, columns)."
        )
    require_fraction("top_fraction", top_fraction)
    require_choice("outer_count", outer_count, OUTER_COUNTS)
    if not ((masks >= 0) & (masks <= 1)).all():  # nor where they are not numbers
        raise EvenframeError(
            f"The masks have values from {float(masks.min()):g} to {float(masks.max()):g}: give 0 "
            "to 1."
        )
    inside = masks.flatten(1).to(maps.dtype)  # f (h w)
    present = inside.sum(1) > 0
    if not present.any():
        raise EvenframeError("The mask of a region is empty in all frames: draw it larger.")
    attention, outside = maps.flatten(1), 1 - inside
    inner_k = _top_count(inside, top_fraction)
    outer_k = inner_k if outer_count == "region" else _top_count(outside, top_fraction)
    inner = 1 - _top_mean(attention * inside, inner_k)[present].mean()
    return inner, _top_mean(attention * outside, outer_k).mean()


def condition_maps(
    maps: Tensor,
    sharpen: bool = True,
    smooth: bool = True,
    left_out: tuple[int, int] = (1, 1),
) -> Tensor:
    """What the published code makes of attention maps before it takes their losses.

    maps: (f, h, w, L) attention to every token. sharpen: let the tokens compete, softmax of 100
    times the attention. smooth: over (time, y, x), 3x3x3. left_out: how many tokens at the
    beginning and at the end are no words and do not compete; published for CLIP, one each.
    Returns (f, h, w, L - sum(left_out)). Raises EvenframeError.
    """
    first, behind = left_out
    if maps.ndim != 4 or maps.shape[-1] <= first + behind:
        raise EvenframeError(
            f"The maps have the shape {tuple(maps.shape)}: give (frames, rows, columns, tokens), "
            f"with {first + behind + 1} tokens or more."
        )
    maps = maps[..., first : maps.shape[-1] - behind]
    if sharpen:
        maps = torch.softmax(SHARPNESS * maps, dim=-1)
    if smooth:
        for axis in range(3):
            maps = _smooth(maps, axis)
    return maps


def step_size(step: int, steps: int, rule: str = "code", scale: float | None = None) -> float:
    """alpha_i of Eq. 7 at denoising step `step` of `steps`.

    rule: "code", scale sqrt(1..0.5), or "paper", scale (1..0.5), both linear in the step inside.
    scale: at the first step; None: as published, 20 and 1. Raises EvenframeError.
    """
    require_choice("rule", rule, RULES)
    if not 0 <= step < steps:
        raise EvenframeError(f"step is {step} of {steps}: choose 0 to {steps - 1}.")
    decay = 1 - 0.5 * step / max(steps - 1, 1)
    size = PUBLISHED_SCALE[rule] if scale is None else scale
    return size * (decay**0.5 if rule == "code" else decay)


def require_fraction(name: str, value: float) -> None:
    """Raise EvenframeError for a share of cells that is not above 0 and at most 1."""
    if not isinstance(value, Real) or not 0 < value <= 1:
        raise EvenframeError(
            f"{name} is {value}: choose a value above 0, at most 1 (published: 0.2)."
        )


def _top_count(mask: Tensor, fraction: float) -> Tensor:
    """K of each frame, (f,): the fraction of its cells, rounded down, at least one."""
    # A little more, so that 0.2 of 15 cells are 3 whatever the rounding.
    return (fraction * mask.float().sum(1) + 1e-3).floor().long().clamp(min=1)


def _top_mean(values: Tensor, counts: Tensor) -> Tensor:
    """Mean of the `counts` (f,) largest of each row of (f, n): (f,)."""
    ranked = values.sort(dim=1, descending=True).values.cumsum(1)
    return ranked.gather(1, counts[:, None] - 1)[:, 0] / counts


def _smooth(maps: Tensor, axis: int) -> Tensor:
    """Three cells weighted e^-1 : 1 : e^-1 along an axis, reflected at its ends."""
    length = maps.shape[axis]
    if length == 1:
        return maps
    places = torch.arange(length, device=maps.device)
    before, after = (places - 1).abs(), length - 1 - (places - length + 2).abs()
    sides = maps.index_select(axis, before) + maps.index_select(axis, after)
    return (maps + NEIGHBOUR * sides) / (1 + 2 * NEIGHBOUR)
