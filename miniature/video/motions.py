"""How things move in the world, and how a prompt says it. Everything here is data.

A motion is even over the clip: so many pixels, radians or parts of the size from each frame to the
next. Lengths are those of a clip of 17 frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CLIP: Final = 17
"""Frames of the longest clip, 4n + 1 as Wan's autoencoder wants them."""


@dataclass(frozen=True)
class Motion:
    """A way to move.

    Attributes:
        words: how a prompt says it, behind the thing.
        way: direction (x, y) that it goes, or (0, 0).
        speed: least and most, in pixels a frame along that way.
        turn: 1 where it turns. grow: 1 where it grows, -1 where it shrinks. walks: bobs as it goes.
    """

    words: str
    way: tuple[int, int] = (0, 0)
    speed: tuple[float, float] = (0.0, 0.0)
    turn: int = 0
    grow: int = 0
    walks: bool = False


GOING, WALKING = (0.9, 1.9), (0.7, 1.4)
STILL: Final = Motion("standing still")
OBJECT_MOTIONS: Final = (
    Motion("moving left", (-1, 0), GOING),
    Motion("moving right", (1, 0), GOING),
    Motion("moving up", (0, -1), GOING),
    Motion("moving down", (0, 1), GOING),
    STILL,
    Motion("turning", turn=1),
    Motion("growing", grow=1),
    Motion("shrinking", grow=-1),
)
FIGURE_MOTIONS: Final = (
    Motion("walking left", (-1, 0), WALKING, walks=True),
    Motion("walking right", (1, 0), WALKING, walks=True),
    STILL,
)
OBJECT_SHARES: Final = (0.14, 0.14, 0.14, 0.14, 0.14, 0.12, 0.09, 0.09)
FIGURE_SHARES: Final = (0.35, 0.35, 0.30)
TOLD_SHARE: Final = 0.55
"""Share of clips in which a prompt says how things move."""
STILL_SHARE: Final = 0.2
"""Of the untold ones, those that stand still; the others drift."""
DRIFT: Final = 1.1
"""Largest untold speed along each axis, in pixels a frame."""
PANNING: Final = "camera panning"
PAN_SHARE: Final = 0.06
PANS: Final = {"left": -1.0, "right": 1.0}
"""The way that the camera turns; everything goes the other way."""
PAN_SPEED: Final = (0.8, 1.5)
SIZES: Final = (1.35, 1.7)
"""Last over first size of what grows, or first over last of what shrinks."""
TURNS: Final = (0.5, 1.4)
"""Radians that a thing turns in a clip, least and most, clockwise: of both ways, untold, a network
of this size makes their mean, a blob."""
BOB: Final = (2.0, 8.0)
"""Pixels by which a walking figure rises, and frames of two steps."""

MOTION_WORDS: Final = (
    *("moving", "standing", "still", "turning", "growing", "shrinking", "walking", "up", "down"),
    *PANNING.split(),
)
"""Words that the still world has not, or never says."""

HELD_OUT_MOTIONS: Final = frozenset(
    {
        *(("circle", "moving up"), ("square", "moving left"), ("triangle", "growing")),
        *(("cross", "turning"), ("doctor", "walking left"), ("nurse", "walking right")),
    }
)
"""What moves how in no clip of the training."""


def is_held_out(noun: str, motion: Motion) -> bool:
    """Whether no clip of the training shows it."""
    return (noun, motion.words) in HELD_OUT_MOTIONS


def is_visible(noun: str, motion: Motion) -> bool:
    """Whether it can be seen: a circle may turn, and nobody knows."""
    return not (motion.turn and noun == "circle")
