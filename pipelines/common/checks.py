"""Checks of values that cross from one stage to the next."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .errors import EvenframeError

if TYPE_CHECKING:
    from ..models.model import Backbone

SIZE_RATIO = 2
"""How many times more or fewer pixels than a model's own size its frames may have unsaid."""
MAX_SEED = 2**63 - 1
OVERSHOOT = 0.5
"""How far outside 0..1 pixels may lie: resampling overshoots a little, another scale by far."""


def require_frames(frames: Tensor, backbone: "Backbone") -> None:
    """Frames must be (f, h, w, 3), 0..1, finite, not empty, of a size that the model takes."""
    if frames.ndim != 4 or frames.shape[-1] != 3:
        raise EvenframeError(
            f"frames have the shape {tuple(frames.shape)}: give (frames, height, width, 3)."
        )
    count, height, width = frames.shape[:3]
    if count == 0:
        raise EvenframeError("The clip has no frames: give at least one.")
    multiple = backbone.size_multiple
    if height % multiple or width % multiple or not height or not width:
        raise EvenframeError(
            f"frames are {width}x{height} pixels, but '{backbone.name}' takes multiples of "
            f"{multiple}: load the clip with multiple {multiple}, or one that is itself a multiple "
            "of it."
        )
    if not frames.is_floating_point():
        raise EvenframeError(
            f"frames are {str(frames.dtype).removeprefix('torch.')}: give floating-point pixels "
            "from 0 to 1 (divide bytes by 255)."
        )
    require_numbers(frames)
    low, high = float(frames.min()), float(frames.max())
    if low < -OVERSHOOT or high > 1 + OVERSHOOT:
        raise EvenframeError(f"frames have pixels from {low:g} to {high:g}: scale them to 0..1.")


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


def require_whole(name: str, value: int, low: int, high: int) -> None:
    """A setting must be a whole number from `low` to `high`, both included."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or not low <= value <= high:
        raise EvenframeError(f"{name} is {value!r}: choose a whole number from {low} to {high}.")


def require_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """A setting must be one of the choices."""
    if value not in choices:
        raise EvenframeError(f"{name} '{value}' is unknown: use {', '.join(choices)}.")


def size_notes(backbone: "Backbone", frame_size: tuple[int, int]) -> tuple[str, ...]:
    """What to say of frames (height, width) far from what the model was trained on; else nothing.

    They work, but such a model repeats its subjects in much larger frames and loses them in much
    smaller ones.
    """
    (height, width), native = frame_size, backbone.native_size
    if native**2 / SIZE_RATIO <= height * width <= SIZE_RATIO * native**2:
        return ()
    note = (
        f"The frames are {width}x{height} pixels, and '{backbone.name}' was trained on "
        f"{native}x{native}: load the clip with a max_side near {native}."
    )
    return (note,)


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


def require_model(backbone: "Backbone", fingerprint: str, what: str) -> None:
    """Values made by one model cannot be used with another."""
    if fingerprint != backbone.fingerprint:
        raise EvenframeError(
            f"The {what} was made with another model than '{backbone.name}': "
            "make it again with the model of this edit."
        )
