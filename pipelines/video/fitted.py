"""A clip to a size that the model takes, and edited frames of it back."""

from dataclasses import replace

import torch
from torch import Tensor

from ..common.errors import EvenframeError
from ..common.memory import FreeMemory, free_memory
from .clip import Clip
from .fit import fit
from .placement import Placement
from .sizes import USUAL, Fitting
from .undo import Undo, frame_size, undo


def fit_clip(clip: Clip, fitting: Fitting = USUAL, *, free: FreeMemory = free_memory) -> Clip:
    """The clip with frames that fit, which remembers how to undo it. See `fit`.

    Crops still know where they lie in their source. A clip that was fitted before goes back to the
    frames that it has now.
    """
    frames, how = fit(clip.frames, fitting, free=free)
    if clip.window is not None:
        boxes = torch.tensor(Placement.of(how).boxes, dtype=torch.float64)
        there = tuple(map(tuple, clip.window.to_source(boxes).tolist()))
        return replace(clip, frames=frames, window=Placement(clip.window.source, how.size, there))
    if clip.fit is not None and not clip.fit.untouched:
        if how.untouched:
            return clip
        clip = replace(clip, footage=None, stock=None)  # whose frames have another size
    again = clip.footage is not None or clip.stock is not None
    held = how.cuts or (not again and not how.untouched)
    source = clip.original if clip.fit is None else None  # there where frames were trimmed
    if source is None and held:
        source = clip.frames
    return replace(clip, frames=frames, fit=how, original=source)


def undo_clip(frames: Tensor, clip: Clip) -> Undo:
    """How to undo a clip's fit on edited frames.

    Nothing is refused, so that no edit is lost: frames that are of another size or number than the
    clip's stay as they are, or stay cropped.
    """
    if clip.window is not None:
        return Undo(frame_size(frames), "crops stay crops: Paste Crop puts them back")
    if clip.fit is None:
        return Undo(frame_size(frames), "the clip was not fitted")
    original = clip.original
    if original is not None:
        fits = len(frames) == clip.own_frames
        original = original[: len(frames)] if fits else None
    try:
        return undo(frames, clip.fit, original)
    except EvenframeError as error:
        return Undo(frame_size(frames), f"not undone. {error}")


def without_repeated(frames: Tensor, clip: Clip) -> tuple[Tensor, tuple[str, ...]]:
    """Edited frames without those that only repeat the clip's last one, and what to say of it.

    Frames of another number than the clip's stay: nobody knows which of them are meant.
    """
    if not clip.repeated or len(frames) != len(clip):
        return frames, ()
    said = f"Length: the last {clip.repeated} of {len(frames)} frames only repeat, left out"
    return frames[: -clip.repeated], (said,)
