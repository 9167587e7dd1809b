"""Which way a region takes from one frame to all: the segmenter and the tracker chosen for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...common.errors import EvenframeError
from ...common.progress import OnFrame
from ..region import Region, box_region, mask_region, require_marks
from . import flow, sam2
from .drawn import Drawing, require_apart

if TYPE_CHECKING:
    from .sam2 import Sam2

LEAST_SHARE = 0.1
"""Below this share of the area on the drawn frame, an object is most likely lost."""
SHOWN = 0.75
"""From this share of its usual area on, an object is hardly hidden."""
UNCERTAIN = 0.6
"""Below this confidence, a user is asked for a correction."""
MOST_RUNS = 6
"""Runs of frames that a note lists."""


@dataclass(frozen=True, eq=False)
class Tracked:
    """An object that was followed.

    areas: (f,) in pixels, before its region grew. frame: the drawn one. confidence: (f,) in
    0..1, 1 on drawn frames: by optical flow, the intersection over union with the truth that is
    to be expected (`confidence.py`); by SAM 2, how far it trusts its own mask (`sam2.py`).
    """

    region: Region
    areas: Tensor
    frame: int
    confidence: Tensor

    def note(self) -> str:
        """On which frames the object is lost, or may be, and what to do; "" where on none."""
        least = LEAST_SHARE * self.areas[self.frame]
        empty = (self.areas == 0).nonzero()[:, 0].tolist()
        small = ((self.areas > 0) & (self.areas < least)).nonzero()[:, 0].tolist()
        found = [f"empty on {frame_runs(empty)}"] if empty else []
        if small:
            found.append(
                f"below {LEAST_SHARE:.0%} of its area of frame {self.frame} on {frame_runs(small)}"
            )
        lines = []
        if found:
            lines.append(
                f"Region '{self.region.name}' is {', '.join(found)}. If the object is seen there, "
                "add a correction on one of them, draw the box closer, or choose SAM 2."
            )
        unsure = [frame for frame in self.uncertain() if frame not in {*empty, *small}]
        if unsure:
            where = "it" if len(unsure) == 1 else "one of them"
            lines.append(
                f"Region '{self.region.name}' is uncertain on {frame_runs(unsure)}: look there, "
                f"and add a correction on {where} if it is wrong, best on frame {self.weakest()}."
            )
        return "\n".join(lines)

    def uncertain(self) -> list[int]:
        """The frames that a user should look at."""
        return (self.confidence < UNCERTAIN).nonzero()[:, 0].tolist()

    def weakest(self) -> int:
        """Where a correction does most: the frame of least confidence, of those that show most."""
        shown = self.areas >= SHOWN * self.areas.median()
        return int(torch.where(shown, self.confidence, 1.0 + self.confidence).argmin())


def track(
    frames: Tensor,
    drawing: Drawing,
    mask: Tensor | None = None,
    model: Sam2 | None = None,
    *,
    name: str,
    words: str = "",
    grow: int = 0,
    soften: int = 0,
    on_frame: OnFrame | None = None,
) -> Tracked:
    """The region of a drawn object on all frames (f, h, w, 3) in 0..1.

    drawing: with its corrections; between two drawn frames the object is followed from both.
    mask: (h, w) of 0 and 1 on the drawing's frame, painted or of a segmenter, or (n, h, w) on those
        of the drawing and its corrections, in their order; they stand for boxes and points. None
        leaves these to the tracker.
    model: SAM 2 as the tracker; None takes optical flow, which follows a mask as a mask and a box
        as a box.
    Raises EvenframeError, before anything is followed, where nothing says what is meant, for a
    drawing or an edge out of range, and for a frame that is drawn twice.
    """
    require_marks(name, words, grow, soften)
    count, size = len(frames), (frames.shape[1], frames.shape[2])
    drawings = drawing.every()
    _require_drawings(drawings, count, size, name, alone=model is None and mask is None)
    masks = None if mask is None else _by_frame(drawings, mask)
    if model is None and masks is None:
        given = {each.frame: each.box for each in drawings if each.box is not None}
        boxes, trust = flow.follow_boxes(frames, given, on_frame)
        make = partial(box_region, boxes, size, name=name, words=words)
    else:
        if model is not None:
            found, trust = sam2.follow(model, frames, drawings, masks, on_frame)
        else:
            assert masks is not None
            found, trust = flow.follow_masks(frames, masks, on_frame)
        make = partial(mask_region, found, count, size, name=name, words=words)
    areas = make().areas()
    return Tracked(make(grow=grow, soften=soften), areas, drawing.frame, trust)


def _require_drawings(
    drawings: Sequence[Drawing], count: int, size: tuple[int, int], name: str, alone: bool
) -> None:
    """alone: nothing but optical flow follows them, which takes boxes only."""
    for index, each in enumerate(drawings):
        each.require(count, size, name, f"corrections[{index - 1}]" if index else "")
        if alone and (each.box is None or each.labels()):
            raise EvenframeError(
                "Points need a model that segments: choose a SAM checkpoint as the segmenter or "
                "SAM 2 as the tracker, or give a box alone or a mask."
            )
    require_apart([each.frame for each in drawings])


def _by_frame(drawings: Sequence[Drawing], masks: Tensor) -> dict[int, Tensor]:
    masks = masks[None] if masks.ndim == 2 else masks
    if len(masks) != len(drawings):
        raise EvenframeError(
            f"There are {len(masks)} masks for {len(drawings)} prompted frames: give one for each."
        )
    return {each.frame: mask for each, mask in zip(drawings, masks, strict=True)}


def frame_runs(frames: Sequence[int]) -> str:
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
