"""Regions: where in a clip each object of an edit belongs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..pipelines.common.pictures import bars, heat, spread
from ..pipelines.pasting.edge import Edge
from ..pipelines.regions.detected import detected_regions
from ..pipelines.regions.region import mask_region
from ..pipelines.regions.regions import Regions
from ..pipelines.regions.text import parse_regions
from ..pipelines.video.clip import rgb_frames
from .common import feedback, sockets
from .common.filmstrips import UI, shown_or_said, shown_strips
from .common.inputs import input_of
from .host import io

if TYPE_CHECKING:
    from torch import Tensor

EXAMPLE = """{"version": 1, "unit": "fraction", "regions": [
  {"name": "left", "words": "", "box": [0.05, 0.1, 0.48, 0.9]},
  {"name": "right", "words": "", "box": [0.52, 0.1, 0.95, 0.9]}
]}"""


def clip_input(tooltip: str = "The clip that is inverted: for its size.") -> io.Input:
    """An input for the frames that regions are drawn on."""
    return io.Image.Input("frames", tooltip=tooltip)


def text_inputs() -> list[io.Input]:
    """Inputs for what a region is called, and the words that belong there."""
    return [
        io.String.Input("name", default="object", tooltip="For messages."),
        io.String.Input(
            "words",
            default="",
            tooltip="The words of the target prompt that belong there, with commas.",
        ),
    ]


def edge_inputs(what: str) -> list[io.Input]:
    """Inputs for the edge of a region."""
    return [
        input_of(Edge, "grow", tooltip=f"By how many pixels the {what} spreads."),
        input_of(
            Edge,
            "feather",
            "soften",
            default=0,
            tooltip=f"Width in pixels of the soft edge, inside the {what}.",
        ),
    ]


def rgb_clip(frames: Tensor) -> tuple[Tensor, int, tuple[int, int]]:
    """The frames of an IMAGE in RGB, how many there are, and their height and width."""
    frames, _ = rgb_frames(frames)
    return frames, len(frames), (frames.shape[1], frames.shape[2])


def below_input() -> io.Input:
    """An input for regions that lie below."""
    return sockets.Regions.Input(
        "regions", optional=True, tooltip="Regions of the same clip that lie below."
    )


def region_outputs() -> list[io.Output]:
    """What every node that makes regions gives."""
    return [
        sockets.Regions.Output(display_name="regions"),
        io.Mask.Output(display_name="mask", tooltip="All regions together, with soft edges."),
        io.Image.Output(display_name="picture", tooltip="The regions on the clip."),
    ]


def region_result(
    regions: Regions,
    frames: Tensor,
    note: str = "",
    confidence: Tensor | None = None,
    ui: Mapping[str, Any] | None = None,
    pictured: bool = True,
) -> io.NodeOutput:
    """The values of `region_outputs`, some frames to show, and what to say beside their names.

    confidence: (f,) in 0..1, drawn as a bar on each frame. ui: further parts for the editor.
    pictured: off where the editor shows the regions itself.
    """
    picture = heat(regions.painted(), frames)
    if confidence is not None:
        picture = bars(confidence, picture)
    text = "\n".join(line for line in (regions.describe(), note) if line)
    told = feedback.shown(spread(picture, 4), text) if pictured else {"text": [text]}
    shown = feedback.merged(told, ui or {})
    return io.NodeOutput(regions, regions.coverage(regions.frame_size), picture, ui=shown)


class EvenframeDrawRegions(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeDrawRegions",
            display_name="Draw Regions (Evenframe)",
            category=sockets.CATEGORY,
            description="Say where in the clip each object of the edit belongs, with boxes or "
            "polygons that may move.",
            search_aliases=["bounding box", "layout", "reatco", "mask", "region editor"],
            is_output_node=True,
            inputs=[
                clip_input(),
                io.String.Input(
                    "text",
                    multiline=True,
                    default=EXAMPLE,
                    tooltip="The regions as JSON: a name, the words of the target prompt, and a "
                    "box (left, top, right, bottom), a polygon or keyframes. Drawn on the clip, "
                    "it is written for you. The help page has examples.",
                ),
                below_input(),
                io.MultiType.Input(
                    "boxes",
                    [sockets.BoundingBox, sockets.BoundingBoxes],
                    optional=True,
                    tooltip="Bounding boxes in pixels of the clip, from ComfyUI's own nodes: "
                    "regions on top of those of the text, which may then be empty. What a box is "
                    "said to show is its name and its words.",
                ),
            ],
            outputs=region_outputs(),
        )

    @classmethod
    def execute(
        cls, frames: Tensor, text: str, regions: Regions | None = None, boxes: Any = None
    ) -> io.NodeOutput:
        frames, count, size = rgb_clip(frames)
        notes: list[str] = []
        found = None if boxes is None else detected_regions(boxes, count, size)
        if found is None or text.strip():
            drawn = parse_regions(text, count, size, tell=notes.append).over(regions)
            drawn = drawn if found is None else found.over(drawn)
        else:
            drawn = found.over(regions)
        shown = shown_or_said("clip", lambda: shown_strips(frames))
        more = boxes is not None or regions is not None  # which the editor does not show
        return region_result(
            drawn, frames, "\n".join(notes), ui=shown, pictured=more or UI not in shown
        )


class EvenframeMaskRegion(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeMaskRegion",
            display_name="Region from Mask (Evenframe)",
            category=sockets.CATEGORY,
            description="Make a region of masks that other nodes drew or found.",
            search_aliases=["import mask", "segmentation", "reatco"],
            inputs=[
                clip_input(),
                io.Mask.Input(
                    "mask", tooltip="White where the object belongs: one for each frame, or one."
                ),
                *text_inputs(),
                *edge_inputs("mask"),
                below_input(),
            ],
            outputs=region_outputs(),
        )

    @classmethod
    def execute(
        cls,
        frames: Tensor,
        mask: Tensor,
        regions: Regions | None = None,
        **edges: Any,
    ) -> io.NodeOutput:
        frames, count, size = rgb_clip(frames)
        region = mask_region(mask, count, size, **edges)
        return region_result(Regions((region,), count, size).over(regions), frames)


NODES = [EvenframeDrawRegions, EvenframeMaskRegion]
