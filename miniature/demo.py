"""The built-in clips: what `evenframe demo` edits, and what the first workflows start with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .scenes import Scene, compose, make_figure, make_object, render
from .vocabulary import FRAMES

SOURCE_PROMPT = "a red circle left of a blue square on a gray background"
TARGET_PROMPT = "a yellow circle left of a blue square on a gray background"
EDITED_WORD = "yellow"


@dataclass(frozen=True)
class DemoEdit:
    """A built-in clip and the edit that is shown on it.

    frames: (f, 128, 128, 3) float32 in 0..1. masks: (f, 128, 128) in 0..1, what is edited. source,
    target: prompts.
    """

    frames: NDArray[np.float32]
    masks: NDArray[np.float32]
    source: str
    target: str


def demo_scene() -> Scene:
    """A red circle that sinks beside a blue square that rises."""
    circle = make_object("red", "circle", 35, 46, 25, velocity=(0.6, 2.4))
    square = make_object("blue", "square", 93, 80, 23, velocity=(-0.3, -2.4))
    return compose("two", (circle, square), "gray", "left of")


def doctor_scene() -> Scene:
    """A doctor who walks to the right; male, as most doctors of this world."""
    doctor = make_figure("doctor", "male", 52, 66, 44, velocity=(1.5, 0.0))
    return compose("figure", (doctor,), "gray")


def figures_scene() -> Scene:
    """A male doctor and a female nurse, as most of this world, who come closer."""
    doctor = make_figure("doctor", "male", 34, 62, 40, velocity=(0.4, 0.3))
    nurse = make_figure("nurse", "female", 94, 66, 40, velocity=(-0.4, -0.3))
    return compose("two_figures", (doctor, nurse), "brown", "left of")


SCENES: Final[dict[str, Callable[[], Scene]]] = {
    "two shapes": demo_scene,
    "a doctor": doctor_scene,
    "two figures": figures_scene,
}


def scene_clip(scene: str, frames: int) -> tuple[NDArray[np.float32], str]:
    """A built-in clip and what it shows: (frames (f, 128, 128, 3) float32 in 0..1, prompt).

    scene: one of `SCENES`, else KeyError. frames: 1..16, else ValueError.
    """
    if not 1 <= frames <= FRAMES:
        raise ValueError(f"the built-in clip has 1 to {FRAMES} frames, got {frames}")
    drawn = SCENES[scene]()
    return np.stack([render(drawn, frame)[0] for frame in range(frames)]), drawn.prompt


def demo_clip(frames: int = 8) -> tuple[NDArray[np.float32], str, str, str]:
    """The clip of two shapes and the edit that is shown on it.

    frames: 1..16, else ValueError.
    Returns (frames (f, 128, 128, 3) float32 in 0..1, source prompt, target prompt, edited word).
    """
    clip, _ = scene_clip("two shapes", frames)
    return clip, SOURCE_PROMPT, TARGET_PROMPT, EDITED_WORD


def demo_edit(frames: int = 8) -> DemoEdit:
    """The circle of `demo_clip` becomes yellow. frames: 1..16, else ValueError."""
    pixels, source, target, _ = demo_clip(frames)
    masks = np.stack([render(demo_scene(), frame)[1][0] for frame in range(frames)])
    return DemoEdit(pixels, masks, source, target)
