"""The built-in clip: what `evenframe demo` edits, and what a first workflow starts with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .scenes import Scene, compose, make_object, render

SOURCE_PROMPT = "a red circle left of a blue square on a gray background"
TARGET_PROMPT = "a yellow circle left of a blue square on a gray background"
EDITED_WORD = "yellow"


def demo_scene() -> Scene:
    """A red circle that sinks beside a blue square that rises."""
    circle = make_object("red", "circle", 35, 46, 25, velocity=(0.6, 2.4))
    square = make_object("blue", "square", 93, 80, 23, velocity=(-0.3, -2.4))
    return compose("two", (circle, square), "gray", "left of")


def demo_clip(frames: int = 8) -> tuple[NDArray[np.float32], str, str, str]:
    """The clip and the edit that is shown on it.

    Args:
        frames: 1..16.

    Returns:
        (frames (f, 128, 128, 3) float32 in 0..1, source prompt, target prompt, edited word).

    Raises:
        ValueError: a number of frames outside 1..16.
    """
    if not 1 <= frames <= 16:
        raise ValueError(f"the built-in clip has 1 to 16 frames, got {frames}")
    scene = demo_scene()
    clip = np.stack([render(scene, frame)[0] for frame in range(frames)])
    return clip, SOURCE_PROMPT, TARGET_PROMPT, EDITED_WORD
