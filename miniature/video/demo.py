"""The built-in clip of the video miniature, and the edit that is shown on it."""

from __future__ import annotations

import numpy as np

from ..demo import DemoEdit
from ..scenes import compose, make_object
from .motions import CLIP, OBJECT_MOTIONS
from .sample_clips import said
from .world import Clip, Mover, render

_UP, _DOWN = (
    next(motion for motion in OBJECT_MOTIONS if motion.words == words)
    for words in ("moving up", "moving down")
)


def demo_clip() -> Clip:
    """A red circle that sinks beside a blue square that rises."""
    circle, square = (
        make_object("red", "circle", 35, 58, 24),
        make_object("blue", "square", 93, 68, 22),
    )
    scene = compose("two", (circle, square), "gray", "left of")
    movers = (
        Mover(circle, vy=1.3, motion=_DOWN, told=True),
        Mover(square, vy=-1.3, motion=_UP, told=True),
    )
    return Clip(scene, movers, 0.0, said(scene, movers, 0.0))


def demo_edit(frames: int = CLIP) -> DemoEdit:
    """The circle becomes yellow. frames: 4n + 1, up to 17."""
    clip = demo_clip()
    drawn = [render(clip, frame) for frame in range(frames)]
    pixels, masks = (
        np.stack([image for image, _ in drawn]),
        np.stack([each[0] for _, each in drawn]),
    )
    return DemoEdit(pixels, masks, clip.prompt, clip.prompt.replace("red", "yellow"))
