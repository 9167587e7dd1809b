"""What to tell of an inversion: how it was come by, how good it is, where its attention is."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from ..models.checks import length_notes, size_notes
from ..models.lattice import frames_in
from .reconstruction import compare

if TYPE_CHECKING:
    from ..models.model import Model
    from .inversion import Inversion


@dataclass(frozen=True, eq=False)
class Report:
    """lines: for a user. picture: (1, h, 2w, 3), see `compare`, or where nothing was checked
    (1, h, w, 3), the first frame. decibels: how near the reconstruction comes; 0 unchecked."""

    lines: tuple[str, ...]
    picture: Tensor
    decibels: float = 0.0


def report(
    model: "Model", inversion: "Inversion", frames: Tensor, found: bool, checked: bool
) -> Report:
    """What to tell of an inversion of frames (f, h, w, 3), with its check where that was asked for.

    found: whether it was found on disk.
    """
    at_once = frames_in(inversion.at_once, model.codec.time_stride)
    notes = size_notes(model, (frames.shape[1], frames.shape[2])) + length_notes(model, at_once)
    if model.tuned_on not in (0, inversion.at_once):
        notes += (
            f"The model was tuned on {model.tuned_on} frames at once, and here it sees "
            f"{inversion.at_once}: its layers over frames know no others.",
        )
    origin = "found on disk" if found else f"{inversion.steps} steps"
    if inversion.noise_seed is not None:
        origin = f"noise of seed {inversion.noise_seed}, no inversion"
    if not checked or inversion.rebuilt is None:
        return Report((origin, *notes), frames[:1])
    pair, decibels = compare(model, inversion, frames)
    attention = inversion.mode if inversion.records else "recompute"
    text = f"{origin}; reconstruction {decibels:.1f} dB; attention: {attention}"
    return Report((text, *notes), pair, decibels)
