"""Which way a region takes from one frame to all: the segmenter and the tracker chosen for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from ..errors import EvenframeError
from ..progress import OnFrame
from ..region import Region, box_region, mask_region
from . import flow, sam2
from .prompt import Prompt

if TYPE_CHECKING:
    from .sam2 import Sam2


def track(
    frames: Tensor,
    prompt: Prompt,
    mask: Tensor | None = None,
    model: Sam2 | None = None,
    *,
    name: str,
    words: str = "",
    grow: int = 0,
    soften: int = 0,
    on_frame: OnFrame | None = None,
) -> Region:
    """The region of a prompted object on all frames (f, h, w, 3) in 0..1.

    mask: (h, w) of 0 and 1 on the prompt's frame, painted or of a segmenter; it stands for box and
        points. None leaves these to the tracker.
    model: SAM 2 as the tracker; None takes optical flow, which follows a mask as a mask and a box
        as a box. Raises EvenframeError where there is neither.
    """
    count, size = len(frames), (frames.shape[1], frames.shape[2])
    if model is None and mask is None:
        if prompt.box is None or prompt.labels():
            raise EvenframeError(
                "Points need a model that segments: choose a SAM checkpoint as the segmenter or "
                "SAM 2 as the tracker, or give a box alone or a mask."
            )
        boxes = flow.follow_box(frames, prompt.box, prompt.frame, on_frame)
        return box_region(boxes, size, name=name, words=words, grow=grow, soften=soften)
    if model is not None:
        masks = sam2.follow(model, frames, prompt, mask, on_frame)
    else:
        assert mask is not None
        masks = flow.follow_mask(frames, mask, prompt.frame, on_frame)
    return mask_region(masks, count, size, name=name, words=words, grow=grow, soften=soften)
