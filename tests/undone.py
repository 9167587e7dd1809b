"""Edited frames brought back all at once; the pack itself brings each back as it is saved."""

import torch
from torch import Tensor

from evenframe.pipelines.video import Clip, Fit, undo, undo_clip, without_repeated
from evenframe.pipelines.video.undo import Undo


def unfit(frames: Tensor, how: Fit, around: Tensor | None = None) -> tuple[Tensor, str]:
    """A fit undone on all frames, and what was done."""
    return _whole(frames, undo(frames, how, around))


def unfit_clip(frames: Tensor, clip: Clip) -> tuple[Tensor, str]:
    """A clip's fit undone on edited frames of it, without repeated ones, and what was done."""
    frames, left_out = without_repeated(frames, clip)
    whole, said = _whole(frames, undo_clip(frames, clip))
    return whole, "; ".join([said, *left_out])


def _whole(frames: Tensor, back: Undo) -> tuple[Tensor, str]:
    if back.how is None:
        return frames, back.said
    return torch.stack([back.frame(index, frame) for index, frame in enumerate(frames)]), back.said
