"""The edit back into its source: only in the regions, at the source's own size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..pipelines.pasting.edge import Edge
from .common import pasting, sockets
from .common.inputs import inputs_of
from .host import host, io

if TYPE_CHECKING:
    from torch import Tensor

    from ..pipelines.regions.regions import Regions
    from ..pipelines.video import Clip

UNUSED = "`source` was not used: a clip is linked, and its own frames are the source."


class EvenframePasteSource(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframePasteSource",
            display_name="Paste Source Outside (Evenframe)",
            category=sockets.CATEGORY,
            description="Keep any editor's result only in the regions: everywhere else, and at the "
            "size, rate and length of the file, the clip stays as it was.",
            search_aliases=[
                "composite",
                "restore background",
                "feather",
                "reatco",
                "only there",
                "inpaint stitch",
                "paste back",
            ],
            inputs=[
                io.Image.Input(
                    "frames", tooltip="The edited clip, from any editor and at any size."
                ),
                io.Image.Input(
                    "source",
                    optional=True,
                    tooltip="The clip before the edit, at any size. Not needed beside a clip.",
                ),
                sockets.Regions.Input("regions", tooltip="Where the edit is kept."),
                *inputs_of(Edge, "feather", "linear_light"),
                sockets.Clip.Input(
                    "clip",
                    optional=True,
                    tooltip="The clip before the edit, from its loader: the video then has the "
                    "file's own frames outside of the regions, at their own size, and its sound. "
                    "Pixels of edges are then those of the file.",
                ),
                *inputs_of(Edge, "grow", "rim_match", optional=True),
                pasting.whole_video("With a clip: all"),
            ],
            outputs=[
                io.Image.Output(
                    display_name="frames",
                    tooltip="The pasted frames: at the size of `source`, or, beside a clip, at the "
                    "size that it was loaded at.",
                ),
                *pasting.outputs(),
            ],
        )

    @classmethod
    def execute(
        cls,
        frames: Tensor,
        regions: Regions,
        source: Tensor | None = None,
        clip: Clip | None = None,
        whole_video: bool = True,
        **edges: Any,
    ) -> io.NodeOutput:
        from ..pipelines.pasting.only_there import only_there, pasted_images

        edge = Edge(**edges)
        unused = clip is not None and source is not None
        told = [UNUSED] if unused else []
        if clip is None:
            clip = pasting.given_clip(clip, source, "a source")
            told += clip.warnings
        film = pasting.saying(only_there(clip, frames, regions, edge, whole=whole_video), *told)
        bar = host.progress(len(clip), "Pasting")
        pasted = pasted_images(clip, frames, regions, edge, on_frame=bar.step)
        return pasting.result(film, pasted)


NODES = [EvenframePasteSource]
