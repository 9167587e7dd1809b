"""Checks of values that cross from one stage to the next."""

from collections.abc import Sequence
from numbers import Integral, Real

import torch
from torch import Tensor

from .errors import EvenframeError

MAX_SEED = 2**63 - 1


def frames_of_size(count: int, size: tuple[int, int]) -> str:
    """So many frames of (width, height), in words."""
    return f"{count} frames of {size[0]}x{size[1]} pixels"


def require_numbers(frames: Tensor) -> None:
    """Pixels of frames (f, ...) must be finite; an error names the first frame where one is not."""
    for index, frame in enumerate(frames):
        # The sum is quicker; it may overflow where no pixel is infinite.
        if not frame.sum().isfinite() and not frame.isfinite().all():
            raise EvenframeError(
                f"Frame {index} has pixels that are not numbers (NaN or infinite): "
                "repair or leave out that frame."
            )


def require_range(name: str, value: float, low: float, high: float) -> None:
    """A setting must be a number from `low` to `high`, both included; NaN is not."""
    if not isinstance(value, Real) or not low <= value <= high:
        raise EvenframeError(f"{name} is {value!r}: choose a value from {low:g} to {high:g}.")


def require_whole(name: str, value: int, low: int, high: int | None = None) -> None:
    """A setting must be a whole number from `low` to `high`, both included; None is no end."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):
        end = "up" if high is None else f"to {high}"
        raise EvenframeError(f"{name} is {value!r}: choose a whole number from {low} {end}.")


def require_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """A setting must be one of the choices."""
    if value not in choices:
        raise EvenframeError(f"{name} '{value}' is unknown: use {', '.join(choices)}.")


def require_finite(latents: Tensor, stage: str, step: int, total: int, dtype: torch.dtype) -> None:
    """Stop at the step in which latents stop being numbers, with the likely cause.

    stage: "edit", "inversion" or "reconstruction"; only an edit has a guidance scale and controls.
    """
    if latents.isfinite().all():
        return
    if dtype == torch.float16:
        cause = "float16 overflowed: load the model in bfloat16 or float32"
    elif stage == "edit":
        cause = "the guidance scale, or a control's weight or strength, is far too large: reduce it"
    else:
        cause = "weights of the model are damaged or far too large: load another copy of it"
    raise EvenframeError(
        f"The {stage} broke at step {step + 1} of {total}: its latents are not numbers (NaN). "
        f"Likely cause: {cause}."
    )
