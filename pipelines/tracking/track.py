"""Which way a region takes from one frame to all: the segmenter and the tracker chosen for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from torch import Tensor

from ..checks import require_whole
from ..errors import EvenframeError
from ..progress import OnFrame
from ..region import (
    Region,
    box_region,
    mask_region,
    require_box,
    require_edges,
    require_labels,
)
from . import flow, sam2
from .prompt import Prompt

if TYPE_CHECKING:
    from .sam2 import Sam2

LEAST_SHARE = 0.1
"""Below this share of the area on the prompted frame, an object is most likely lost."""
MOST_RUNS = 6
"""Runs of frames that a note lists."""


@dataclass(frozen=True, eq=False)
class Tracked:
    """An object that was followed. areas: (f,) in pixels, before its region grew. frame: the
    prompted one."""

    region: Region
    areas: Tensor
    frame: int

    def note(self) -> str:
        """On which frames the object is lost, or nearly so, and what to do; "" where on none."""
        least = LEAST_SHARE * self.areas[self.frame]
        empty = (self.areas == 0).nonzero()[:, 0].tolist()
        small = ((self.areas > 0) & (self.areas < least)).nonzero()[:, 0].tolist()
        found = [f"empty on {_runs(empty)}"] if empty else []
        if small:
            found.append(
                f"below {LEAST_SHARE:.0%} of its area of frame {self.frame} on {_runs(small)}"
            )
        if not found:
            return ""
        return (
            f"Region '{self.region.name}' is {', '.join(found)}. If the object is seen there, "
            "prompt a frame nearer to them, draw the box closer, or choose SAM 2."
        )


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
) -> Tracked:
    """The region of a prompted object on all frames (f, h, w, 3) in 0..1.

    mask: (h, w) of 0 and 1 on the prompt's frame, painted or of a segmenter; it stands for box and
        points. None leaves these to the tracker.
    model: SAM 2 as the tracker; None takes optical flow, which follows a mask as a mask and a box
        as a box.
    Raises EvenframeError, before anything is followed, where nothing says what is meant and for a
    prompt or an edge out of range.
    """
    require_labels(name, words)
    count, size = len(frames), (frames.shape[1], frames.shape[2])
    require_edges(name, grow, soften)
    require_whole("frame", prompt.frame, 0, count - 1)
    if prompt.box is not None:
        require_box(prompt.box, size, f"region '{name}'")
    if model is None and mask is None:
        if prompt.box is None or prompt.labels():
            raise EvenframeError(
                "Points need a model that segments: choose a SAM checkpoint as the segmenter or "
                "SAM 2 as the tracker, or give a box alone or a mask."
            )
        boxes = flow.follow_box(frames, prompt.box, prompt.frame, on_frame)
        make = partial(box_region, boxes, size, name=name, words=words)
    else:
        if model is not None:
            masks = sam2.follow(model, frames, prompt, mask, on_frame)
        else:
            assert mask is not None
            masks = flow.follow_mask(frames, mask, prompt.frame, on_frame)
        make = partial(mask_region, masks, count, size, name=name, words=words)
    return Tracked(make(grow=grow, soften=soften), _areas(make()), prompt.frame)


def _areas(region: Region) -> Tensor:
    if region.boxes is not None:
        return (region.boxes[:, 2:] - region.boxes[:, :2]).prod(1)
    assert region.masks is not None
    return region.masks.sum((1, 2))


def _runs(frames: Sequence[int]) -> str:
    """Frames in order, as "frame 3" or "frames 3 to 5, 9"."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][-1] + 1:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    told = [f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    more = " and more" if len(told) > MOST_RUNS else ""
    return f"frame{'s' * (len(frames) > 1)} {', '.join(told[:MOST_RUNS])}{more}"
