"""Checks of what a stage is given against the model that it is given."""

from torch import Tensor

from ..common.checks import require_numbers
from ..common.errors import EvenframeError
from ..text.conditioning import Conditioning
from .model import Model

SIZE_RATIO = 2
"""How many times more or fewer pixels than a model's own size its frames may have unsaid."""
OVERSHOOT = 0.5
"""How far outside 0..1 pixels may lie: resampling overshoots a little, another scale by far."""


def require_frames(frames: Tensor, model: Model) -> None:
    """Frames must be (f, h, w, 3), 0..1, finite, and as many and as large as the model takes."""
    if frames.ndim != 4 or frames.shape[-1] != 3:
        raise EvenframeError(
            f"frames have the shape {tuple(frames.shape)}: give (frames, height, width, 3)."
        )
    count, height, width = frames.shape[:3]
    if count == 0:
        raise EvenframeError("The clip has no frames: give at least one.")
    model.codec.lattice(count, (height, width))
    if not frames.is_floating_point():
        raise EvenframeError(
            f"frames are {str(frames.dtype).removeprefix('torch.')}: give floating-point pixels "
            "from 0 to 1 (divide bytes by 255)."
        )
    require_numbers(frames)
    low, high = float(frames.min()), float(frames.max())
    if low < -OVERSHOOT or high > 1 + OVERSHOOT:
        raise EvenframeError(f"frames have pixels from {low:g} to {high:g}: scale them to 0..1.")


def size_notes(model: Model, frame_size: tuple[int, int]) -> tuple[str, ...]:
    """What to say of frames (height, width) far from what the model was trained on; else nothing.

    They work, but such a model repeats its subjects in much larger frames and loses them in much
    smaller ones.
    """
    (height, width), native = frame_size, model.native_size
    if native**2 / SIZE_RATIO <= height * width <= SIZE_RATIO * native**2:
        return ()
    note = (
        f"The frames are {width}x{height} pixels, and '{model.name}' was trained on "
        f"{native}x{native}: load the clip with a max_side near {native}."
    )
    return (note,)


def length_notes(model: Model, at_once: int) -> tuple[str, ...]:
    """What to say of more frames at once than a model that sees them together was trained on; else
    nothing.

    at_once: frames of the video, of the clip or of its longest window.
    """
    native = model.native_frames
    if not native or at_once <= native:
        return ()
    note = (
        f"{at_once} frames are denoised at once, and '{model.name}' was trained on {native} at "
        f"most: cut the clip into windows of {native} frames."
    )
    return (note,)


def require_model(model: Model, fingerprint: str, what: str) -> None:
    """Values made by one model cannot be used with another."""
    if fingerprint != model.fingerprint:
        raise _made_by_another(model, what)


def require_prompt(model: Model, prompt: Conditioning, what: str) -> None:
    """A prompt must come from the model's own text encoder."""
    if prompt.model != model.text.fingerprint:
        raise _made_by_another(model, what)


def _made_by_another(model: Model, what: str) -> EvenframeError:
    return EvenframeError(
        f"The {what} was made with another model than '{model.name}': "
        "make it again with the model of this edit."
    )
