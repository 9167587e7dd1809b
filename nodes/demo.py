"""The built-in clips: something to edit before one has clips of one's own."""

from __future__ import annotations

from ..miniature.demo import SCENES
from .common import sockets
from .common.demo_files import MAX_FRAMES, clip_of_scene
from .host import io

SCENE = "two shapes"


class EvenframeDemoClip(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeDemoClip",
            display_name="Demo Clip (Evenframe)",
            category=sockets.CATEGORY,
            description="A small clip of moving shapes or figures, made to try edits with the "
            "built-in model. Nothing is downloaded. Load Video lists the same clips.",
            search_aliases=["example video", "test clip", "sample video"],
            inputs=[
                io.Int.Input(
                    "max_frames",
                    default=8,
                    min=1,
                    max=MAX_FRAMES,
                    tooltip="How many frames of it. More take longer, in proportion.",
                ),
                io.Combo.Input(
                    "scene",
                    options=list(SCENES),
                    default=SCENE,
                    optional=True,
                    tooltip="What it shows: a red circle beside a blue square, or figures whose "
                    "hair and coat stand for female and male, for fairness-aware edits.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="frames", tooltip="128x128 pixels, the built-in model's size."
                ),
                sockets.Clip.Output(
                    display_name="clip", tooltip="All that belongs to the frames: for the saver."
                ),
                io.String.Output(display_name="prompt", tooltip="What the clip shows, in words."),
            ],
        )

    @classmethod
    def execute(cls, max_frames: int, scene: str = SCENE) -> io.NodeOutput:
        clip, prompt = clip_of_scene(scene, max_frames)
        return io.NodeOutput(clip.frames, clip, prompt, ui={"text": (prompt, clip.describe())})


NODES = [EvenframeDemoClip]
