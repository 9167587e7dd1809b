"""Small regions at full resolution: a window around them, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..pipelines.common.settings import declared
from ..pipelines.pasting.crop_window import Framing
from ..pipelines.pasting.edge import Edge
from ..pipelines.video import Clip, Fitting
from ..pipelines.video.targets import target as target_named
from .common import pasting, shared, sockets
from .common.inputs import input_of, inputs_of
from .host import host, io

if TYPE_CHECKING:
    from torch import Tensor

    from ..pipelines.regions.regions import Regions

UNMATCHED = (
    "rim_match did nothing: around a whole window nothing can be compared. Link the regions of "
    "Crop Around Region."
)


def _size_inputs() -> list[io.Input]:
    """The size of the crops."""
    sides = [
        input_of(
            Fitting,
            side,
            step=8,
            optional=True,
            advanced=True,
            tooltip=f"An exact {side} of the crops, a multiple of `multiple`; 0 follows from the "
            "target.",
        )
        for side in ("width", "height")
    ]
    return [
        shared.target(
            "The video editor that the crops are for: they get its pixel area, in the "
            "window's proportions. own cuts out the file's own pixels, up to max_side."
        ),
        input_of(
            Fitting,
            "max_side",
            default=1024,
            step=8,
            optional=True,
            tooltip="Of the target own: make larger crops smaller, so that their longer side is "
            "at most this; 0 sets no limit.",
        ),
        shared.multiple(
            tooltip="Both sides of the crops become multiples of it, in pixels, and of what the "
            "target asks."
        ),
        *sides,
    ]


class EvenframeCropRegion(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeCropRegion",
            display_name="Crop Around Region (Evenframe)",
            category=sockets.CATEGORY,
            description="Cut a window around the regions out of the file's own frames, at the size "
            "that an editor works best at: small objects are edited at full resolution.",
            search_aliases=["inpaint crop", "crop and stitch", "only there", "zoom", "face detail"],
            inputs=[
                sockets.Regions.Input("regions", tooltip="What the window is put around."),
                *inputs_of(Framing, "context", "moving", "smooth"),
                *inputs_of(Framing, "least_context", optional=True, advanced=True),
                *_size_inputs(),
                sockets.Clip.Input(
                    "clip",
                    optional=True,
                    tooltip="The clip that the regions were drawn on, from its loader: the file is "
                    "read again at its own size.",
                ),
                io.Image.Input(
                    "frames",
                    optional=True,
                    tooltip="The frames, where there is no clip: any IMAGEs. Not needed beside a "
                    "clip.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="frames", tooltip="The crops, for any editor."),
                sockets.Clip.Output(
                    display_name="clip", tooltip="Where the crops lie: for Paste Crop."
                ),
                sockets.Regions.Output(
                    display_name="regions", tooltip="The regions, on the crops."
                ),
                io.Mask.Output(
                    display_name="mask", tooltip="The regions on the crops, for inpainting."
                ),
                io.String.Output(display_name="info", tooltip="Window and crops, in words."),
            ],
        )

    @classmethod
    def execute(
        cls,
        regions: Regions,
        target: str,
        max_side: int = 1024,
        multiple: str = "16",
        width: int = 0,
        height: int = 0,
        clip: Clip | None = None,
        frames: Tensor | None = None,
        **framing: Any,
    ) -> io.NodeOutput:
        from ..pipelines.pasting.crop import crop_around

        clip = pasting.given_clip(clip, frames, "frames")
        asked = Fitting("stretch", int(multiple), width, height, max_side)
        crop = crop_around(
            clip,
            regions,
            target_named(target).fitting(asked),
            Framing(**framing),
            on_frame=host.progress(len(clip), "Cropping").step,
        )
        info = f"{crop.windows}\n{crop.clip.describe()}"
        drawn = crop.regions
        mask = drawn.coverage(drawn.frame_size)
        return io.NodeOutput(crop.clip.frames, crop.clip, drawn, mask, info, ui={"text": (info,)})


class EvenframePasteCrop(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframePasteCrop",
            display_name="Paste Crop (Evenframe)",
            category=sockets.CATEGORY,
            description="Put edited crops back where Crop Around Region cut them out: everywhere "
            "else the video stays as it was, at its own size, rate and length.",
            search_aliases=["inpaint stitch", "crop and stitch", "uncrop", "only there"],
            inputs=[
                io.Image.Input(
                    "frames", tooltip="The edited crops, from any editor and at any size."
                ),
                sockets.Clip.Input("clip", tooltip="The clip of Crop Around Region."),
                input_of(
                    Edge,
                    "feather",
                    default=16,
                    tooltip="Width of the soft edge, inside the regions, in pixels of the file.",
                ),
                sockets.Regions.Input(
                    "regions",
                    optional=True,
                    tooltip="Where the edit is kept: the regions of Crop Around Region. Nothing "
                    "linked keeps all of the window.",
                ),
                *inputs_of(Edge, "grow", "linear_light", optional=True),
                input_of(
                    Edge,
                    "rim_match",
                    optional=True,
                    tooltip=f"{declared(Edge)['rim_match'].effect} Needs regions.",
                ),
                pasting.whole_video(),
            ],
            outputs=pasting.outputs(),
        )

    @classmethod
    def execute(
        cls,
        frames: Tensor,
        clip: Clip,
        regions: Regions | None = None,
        whole_video: bool = True,
        **edges: Any,
    ) -> io.NodeOutput:
        from ..pipelines.pasting.crop import whole_crop
        from ..pipelines.pasting.only_there import only_there

        edge = Edge(**edges)
        kept = whole_crop(clip) if regions is None else regions
        film = only_there(clip, frames, kept, edge, whole=whole_video)
        if edge.rim_match and regions is None:
            film = pasting.saying(film, UNMATCHED)
        return pasting.result(film)


NODES = [EvenframeCropRegion, EvenframePasteCrop]
