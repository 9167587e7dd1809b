"""Tracked regions: from a box, points or a mask on one frame to every frame."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from ..pipelines.common.errors import EvenframeError
from ..pipelines.regions.regions import Regions
from ..pipelines.regions.tracking import packages
from ..pipelines.regions.tracking.drawn import Drawing, painted_masks, parse_drawing
from .common import sockets
from .common.files import Stamp, stamps
from .common.filmstrips import shown_or_said, shown_strips
from .common.verdict import verdict
from .host import host, io
from .region import (
    below_input,
    clip_input,
    edge_inputs,
    region_outputs,
    region_result,
    rgb_clip,
    text_inputs,
)

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from ..pipelines.regions.tracking.people import People
    from ..pipelines.regions.tracking.sam2 import Sam2

Model = TypeVar("Model")
EXAMPLE = '{"version": 1, "frame": 0, "box": [0.25, 0.25, 0.75, 0.75]}'
TRACKED = "evenframe_tracked"
NO_SEGMENTER = "none"
FLOW = "optical flow"
PERSON = "person"
WITHOUT_WEIGHTS = {FLOW: packages.OPTICAL_FLOW, PERSON: packages.PERSON}
"""Trackers that need a package, but no model of the user's."""


def _model_inputs() -> list[io.Input]:
    """What makes a mask of the prompt, and what follows it."""
    return [
        io.Combo.Input(
            "segmenter",
            options=[NO_SEGMENTER, *host.model_names("sams")],
            default=NO_SEGMENTER,
            tooltip="What makes a mask of the box or points on their frame: a SAM 1 "
            "checkpoint of models/sams, or 'none'.",
        ),
        io.Combo.Input(
            "tracker",
            options=[*WITHOUT_WEIGHTS, *host.model_names("sam2")],
            default=FLOW,
            tooltip="What follows it through the clip: 'optical flow', which needs no "
            "weights; 'person', which finds people on each frame, everybody where the text "
            "is empty or was not touched; or a folder of SAM 2 in models/sams.",
        ),
    ]


class EvenframeTrackRegion(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeTrackRegion",
            display_name="Track Region (Evenframe)",
            category=sockets.CATEGORY,
            description="Say with a box, points or a mask on one frame which object is meant, and "
            "get its region on every frame. Works without weights; better with SAM and SAM 2.",
            search_aliases=[
                "segment anything",
                "sam",
                "sam2",
                "optical flow",
                "mask",
                "tracker",
                "person",
                "people",
                "selfie segmentation",
            ],
            inputs=[
                clip_input("The clip that is inverted."),
                io.String.Input(
                    "text",
                    multiline=True,
                    default=EXAMPLE,
                    tooltip="The object on one frame, as JSON: a frame number, a box (left, top, "
                    "right, bottom) or points; and corrections, the same on other frames. Beside a "
                    "mask, only the frames count. The help page has examples.",
                ),
                *text_inputs(),
                *_model_inputs(),
                *edge_inputs("region"),
                below_input(),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="The object painted in white, instead of a box or points: one mask for "
                    "each frame that the text names, in its order, or one for each frame of the "
                    "clip. The segmenter must be 'none'.",
                ),
            ],
            outputs=region_outputs(),
        )

    @classmethod
    def validate_inputs(cls, segmenter: str | None, tracker: str | None) -> bool | str:
        # A missing package is told before anything runs. Naming the inputs switches off the host's
        # own check of their options; finding the models makes up for it.
        def check() -> None:
            if segmenter not in (None, NO_SEGMENTER):
                host.model_path("sams", segmenter)
                packages.require(packages.SAM)
            if tracker in WITHOUT_WEIGHTS:
                packages.require(WITHOUT_WEIGHTS[tracker])
            elif tracker is not None:
                host.model_path("sam2", tracker)

        return verdict(check)

    @classmethod
    def fingerprint_inputs(
        cls, segmenter: str | None, tracker: str | None, **others: Any
    ) -> list[Stamp]:
        """Track again when a file of a chosen model was replaced."""
        found: list[Stamp] = []
        if segmenter not in (None, NO_SEGMENTER):
            found += stamps(host.model_path("sams", segmenter))
        if tracker not in (None, *WITHOUT_WEIGHTS):
            found += stamps(host.model_path("sam2", tracker))
        return found

    @classmethod
    def execute(
        cls,
        frames: Tensor,
        text: str,
        segmenter: str,
        tracker: str,
        regions: Regions | None = None,
        mask: Tensor | None = None,
        **edges: Any,
    ) -> io.NodeOutput:
        from ..pipelines.regions.tracking.fields import require_room
        from ..pipelines.regions.tracking.track import track

        frames, count, size = rgb_clip(frames)
        grow: int = edges["grow"]
        if regions is not None:
            regions.require(count, size)  # rather now than after the tracking
        if tracker == PERSON:
            people = _people(frames, text, segmenter, mask, edges)
            own = Regions((people.region,), count, size)
            return region_result(
                own.over(regions), frames, people.note(), ui=seen(frames, own, grow)
            )
        drawing = parse_drawing(text, count, size, masked=mask is not None)
        if tracker == FLOW:
            require_room(count, size)  # rather now than after the segmenting
        start = _start(mask, segmenter, frames, drawing)
        model = None if tracker == FLOW else _tracker(tracker)
        bar = host.progress(count, "Tracking")
        tracked = track(frames, drawing, start, model, **edges, on_frame=bar.step)
        own = Regions((tracked.region,), count, size)
        sure = tracked.confidence
        ui = seen(frames, own, grow, sure)
        return region_result(own.over(regions), frames, tracked.note(), sure, ui)


def seen(
    frames: Tensor, own: Regions, grow: int, confidence: Tensor | None = None
) -> dict[str, Any]:
    """The part of a node's `ui` for its editor: the clip; where on each frame the object was found,
    as fractions of the frame, None where it is not; and how sure of it the tracker is.

    grow: by how many pixels the region did, which the object did not.
    """
    height, width = own.frame_size
    spread, limits = own.bounds(), torch.tensor([0, 0, width, height])
    inward = spread + torch.tensor([grow, grow, -grow, -grow])
    bounds = torch.where(spread == limits, spread, inward) / torch.tensor([width, height] * 2)
    found = [
        [round(edge, 4) for edge in box] if isfinite(box[0]) else None for box in bounds.tolist()
    ]
    sure = None if confidence is None else [round(value, 3) for value in confidence.tolist()]
    clip = shown_or_said("clip", lambda: shown_strips(frames))
    return {TRACKED: [{"bounds": found, "confidence": sure}], **clip}


def _people(frames: Tensor, text: str, segmenter: str, mask: Tensor | None, edges: Any) -> People:
    """Everybody, or the one whom a text that was written, a mask or a segmenter's mask means."""
    from ..pipelines.regions.tracking.people import follow_people
    from ..pipelines.regions.tracking.person import load_segmenter

    said = text.strip() not in ("", EXAMPLE) or segmenter != NO_SEGMENTER
    drawing = parse_drawing(
        text if said else '{"version": 1}',
        len(frames),
        (frames.shape[1], frames.shape[2]),
        masked=mask is not None or segmenter == NO_SEGMENTER,
    )
    start = _start(mask, segmenter, frames, drawing)
    drawings = drawing.every()
    meant = start is not None or any(each.box is not None or each.labels() for each in drawings)
    host.check_interrupt()
    found = load_segmenter()
    progress = host.progress(len(frames), "Tracking")
    return follow_people(
        found, frames, drawings if meant else (), start, **edges, on_frame=progress.step
    )


def _start(mask: Tensor | None, segmenter: str, frames: Tensor, drawing: Drawing) -> Tensor | None:
    """The masks (n, h, w) of the drawn frames, painted or found; None where boxes do."""
    if mask is None:
        return None if segmenter == NO_SEGMENTER else _segmented(segmenter, frames, drawing)
    if segmenter != NO_SEGMENTER:
        raise EvenframeError(
            f"There is a mask, and the segmenter '{segmenter}' would make another: set segmenter "
            f"to '{NO_SEGMENTER}', or unlink the mask."
        )
    return painted_masks(mask, drawing, len(frames), (frames.shape[1], frames.shape[2]))


def _segmented(segmenter: str, frames: Tensor, drawing: Drawing) -> Tensor:
    from ..pipelines.regions.tracking import sam

    host.check_interrupt()
    model = sam.load_sam(host.model_path("sams", segmenter))
    ready, found = _ready(model, model, sam.MEMORY_BYTES), []
    for each in drawing.every():
        found.append(sam.segment(ready, frames[each.frame], each))
        host.check_interrupt()
    return torch.stack(found)


def _tracker(tracker: str) -> Sam2:
    from ..pipelines.regions.tracking import sam2

    host.check_interrupt()
    model = sam2.load_sam2(host.model_path("sam2", tracker))
    return _ready(model, model.model, sam2.MEMORY_BYTES)


def _ready(model: Model, module: Module, memory_bytes: int) -> Model:
    """The model, its weights in `module`, where it computes.

    Reading a file and moving its weights take seconds each: whoever cancels waits for one of them.
    """
    host.check_interrupt()
    ready = host.load(host.hold(model, [module]), memory_bytes)
    host.check_interrupt()
    return ready


NODES = [EvenframeTrackRegion]
