"""The video miniature in ComfyUI's own sockets, for its own samplers and for Adopt Model."""

from __future__ import annotations

from typing import Any

from ..miniature import video
from .common import sockets
from .common.files import Stamp, stamps
from .host import host, io


class EvenframeVideoMiniature(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeVideoMiniature",
            display_name="Load Video Miniature (Evenframe)",
            category=sockets.CATEGORY,
            description="The built-in video model as ComfyUI's own MODEL, CLIP and VAE: a very "
            "small Wan that knows a world of moving shapes, clips of 128x128 pixels and 17 "
            "frames. For ComfyUI's samplers, and for Adopt Model.",
            search_aliases=["wan", "built-in video model", "test model"],
            outputs=[
                io.Model.Output(display_name="model", tooltip="Its noise has the shift 5."),
                io.Clip.Output(display_name="clip", tooltip="Knows the words of its world."),
                io.Vae.Output(display_name="vae", tooltip="Takes 1, 5, 9, ... frames."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **others: Any) -> list[Stamp]:
        """Load again when a file of the model was replaced."""
        return stamps(video.weights_dir())

    @classmethod
    def execute(cls) -> io.NodeOutput:
        return io.NodeOutput(*host.video_miniature(video.weights_dir()))


NODES = [EvenframeVideoMiniature] if video.is_there() else []
