"""Regions: where in a clip each object of an edit belongs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .common import feedback, sockets
from .host import io

if TYPE_CHECKING:
    from torch import Tensor

    from ..pipelines.regions.regions import Regions

EXAMPLE = """{"version": 1, "unit": "fraction", "regions": [
  {"name": "left", "words": "", "box": [0.05, 0.1, 0.48, 0.9]},
  {"name": "right", "words": "", "box": [0.52, 0.1, 0.95, 0.9]}
]}"""


def edge_input(name: str, tooltip: str, optional: bool = False) -> io.Input:
    """An input for a number of pixels at a region's edge."""
    return io.Int.Input(name, default=0, min=0, max=1024, optional=optional, tooltip=tooltip)


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
    regions: Regions, frames: Tensor, note: str = "", confidence: Tensor | None = None
) -> io.NodeOutput:
    """The values of `region_outputs`, some frames to show, and what to say beside their names.

    confidence: (f,) in 0..1, drawn as a bar on each frame.
    """
    from ..pipelines.common.pictures import bars, heat, spread

    picture = heat(regions.painted(), frames)
    if confidence is not None:
        picture = bars(confidence, picture)
    text = "\n".join(line for line in (regions.describe(), note) if line)
    shown = feedback.shown(spread(picture, 4), text)
    return io.NodeOutput(regions, regions.coverage(regions.frame_size), picture, ui=shown)


class EvenframeDrawRegions(io.ComfyNode):
    """Boxes and polygons, still or moving between key frames, from one text."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeDrawRegions",
            display_name="Draw Regions (Evenframe)",
            category=sockets.CATEGORY,
            description="Say where in the clip each object of the edit belongs, with boxes or "
            "polygons that may move.",
            search_aliases=["bounding box", "layout", "reatco", "mask"],
            inputs=[
                io.Image.Input("frames", tooltip="The clip that is inverted: for its size."),
                io.String.Input(
                    "text",
                    multiline=True,
                    default=EXAMPLE,
                    tooltip="The regions as JSON: a name, the words of the target prompt, and a "
                    "box (left, top, right, bottom), a polygon or keyframes. The help page has "
                    "examples.",
                ),
                below_input(),
            ],
            outputs=region_outputs(),
        )

    @classmethod
    def execute(cls, frames: Tensor, text: str, regions: Regions | None = None) -> io.NodeOutput:
        from ..pipelines.regions.text import parse_regions
        from ..pipelines.video.clip import rgb_frames

        frames, _ = rgb_frames(frames)
        drawn = parse_regions(text, len(frames), (frames.shape[1], frames.shape[2]))
        return region_result(drawn.over(regions), frames)


class EvenframeMaskRegion(io.ComfyNode):
    """A region from the masks of any other node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeMaskRegion",
            display_name="Region from Mask (Evenframe)",
            category=sockets.CATEGORY,
            description="Make a region of masks that other nodes drew or found.",
            search_aliases=["import mask", "segmentation", "reatco"],
            inputs=[
                io.Image.Input("frames", tooltip="The clip that is inverted: for its size."),
                io.Mask.Input(
                    "mask", tooltip="White where the object belongs: one for each frame, or one."
                ),
                io.String.Input("name", default="object", tooltip="For messages."),
                io.String.Input(
                    "words",
                    default="",
                    tooltip="The words of the target prompt that belong there, with commas.",
                ),
                edge_input("grow", "By how many pixels the mask spreads."),
                edge_input("soften", "Width in pixels of the soft edge, inside the mask."),
                below_input(),
            ],
            outputs=region_outputs(),
        )

    @classmethod
    def execute(
        cls,
        frames: Tensor,
        mask: Tensor,
        name: str,
        words: str,
        grow: int,
        soften: int,
        regions: Regions | None = None,
    ) -> io.NodeOutput:
        from ..pipelines.regions.region import mask_region
        from ..pipelines.regions.regions import Regions
        from ..pipelines.video.clip import rgb_frames

        frames, _ = rgb_frames(frames)
        count, size = len(frames), (frames.shape[1], frames.shape[2])
        region = mask_region(mask, count, size, name=name, words=words, grow=grow, soften=soften)
        return region_result(Regions((region,), count, size).over(regions), frames)


NODES = [EvenframeDrawRegions, EvenframeMaskRegion]
