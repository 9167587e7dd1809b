"""The world in motion: clips with known truth, and their pictures.

A clip is a scene of the still world whose things move: as its prompt says, or untold. Every frame
has the place, the size, the angle and the mask of each thing, and where the camera is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import drawing
from ..layout import Box
from ..scenes import Item, Scene
from ..vocabulary import SIZE
from .motions import BOB, CLIP, PANNING, Motion

Array = NDArray[np.float32]

MIDDLE = (CLIP - 1) / 2
_CENTRE = SIZE / 2


@dataclass(frozen=True)
class Pose:
    """Where a thing is on a frame, or on several: then each value is an array.

    x, y: centre in pixels. radius: half extent in pixels. angle: in radians, clockwise.
    """

    x: Any
    y: Any
    radius: Any
    angle: Any = 0.0


@dataclass(frozen=True)
class Mover:
    """One thing and how it moves.

    Attributes:
        item: as it is in the middle of the clip.
        vx, vy: velocity in pixels a frame. turn: radians a frame. growth: factor a frame.
        motion: what it does; None where nothing but a drift was drawn.
        told: whether the prompt says it.
    """

    item: Item
    vx: float = 0.0
    vy: float = 0.0
    turn: float = 0.0
    growth: float = 1.0
    motion: Motion | None = None
    told: bool = False

    def pose(self, frame: Any) -> Pose:
        """On a frame of the clip, 0..16, or an array of them, before the camera moves."""
        since = frame - MIDDLE
        rise, period = BOB if self.motion is not None and self.motion.walks else (0.0, 1.0)
        y = self.item.y + self.vy * since - rise * abs(np.sin(2 * np.pi * frame / period))
        radius = self.item.radius * self.growth**since
        return Pose(self.item.x + self.vx * since, y, radius, self.turn * since)

    def reach(self, frame: float) -> tuple[float, float]:
        """Half extents along x and y in pixels."""
        pose = self.pose(frame)
        if self.item.is_figure:
            return pose.radius * drawing.FIGURE_ASPECT, pose.radius
        return (pose.radius * (1.42 if self.turn else 1.0),) * 2


@dataclass(frozen=True)
class Clip:
    """A scene in motion.

    Attributes:
        scene: its things in the middle of the clip, its background and relation.
        movers: its things, in the scene's order.
        pan: pixels a frame by which the camera goes to the right; 0 for a still one.
        words: pairs (word, slot) of the prompt, slots as in `Scene`.
    """

    scene: Scene
    movers: tuple[Mover, ...]
    pan: float
    words: tuple[tuple[str, int], ...]

    @property
    def prompt(self) -> str:
        """Lower case, words separated by single spaces."""
        return " ".join(word for word, _ in self.words)

    @property
    def told(self) -> tuple[str, ...]:
        """Words of each motion that the prompt tells, the camera's last."""
        movers = [m.motion.words for m in self.movers if m.told and m.motion is not None]
        return (*movers, *([PANNING] if self.pan else []))

    def pose(self, index: int, frame: Any) -> Pose:
        """Of a thing on a frame, or an array of them, as the camera sees it."""
        pose = self.movers[index].pose(frame)
        return replace(pose, x=pose.x - self.pan * (frame - MIDDLE))

    def box(self, index: int, frame: float) -> Box:
        """Where a thing is on a frame, as the camera sees it."""
        pose = self.pose(index, frame)
        return Box(pose.x, pose.y, *self.movers[index].reach(frame))


def parts_at(item: Item, pose: Pose) -> list[tuple[drawing.Distance, drawing.Colour]]:
    """What a thing is drawn of, back to front, at a pose, or at an array of them."""
    return [(_placed(part, item, pose), colour) for part, colour in item.parts(_CENTRE, _CENTRE)]


def _placed(distance: drawing.Distance, item: Item, pose: Pose) -> drawing.Distance:
    """A part that is drawn around (64, 64), at a pose instead."""
    scale = pose.radius / item.radius
    cosine, sine = np.cos(pose.angle), np.sin(pose.angle)

    def moved(x: Array, y: Array) -> Array:
        across, down = (x - pose.x) / scale, (y - pose.y) / scale
        turned_x, turned_y = cosine * across + sine * down, cosine * down - sine * across
        inside = distance(turned_x + np.float32(_CENTRE), turned_y + np.float32(_CENTRE))
        return (inside * scale).astype(np.float32)

    return moved


def background(clip: Clip, frame: float) -> Array:
    """(128, 128, 3): what is behind the things, as the camera sees it."""
    still = drawing.background(clip.scene.background)
    shift = clip.pan * (frame - MIDDLE)
    if shift == 0:
        return still
    # Textures repeat every two bands or checks, so that what comes into the frame is known.
    whole = int(np.floor(shift))
    part = np.float32(shift - whole)
    rolled = np.roll(still, -whole, axis=1)
    mixed = (1 - part) * rolled + part * np.roll(still, -whole - 1, axis=1)
    return mixed.astype(np.float32)


def render(clip: Clip, frame: float) -> tuple[Array, Array]:
    """Draw one frame; (image, masks) as those of a scene."""
    image = background(clip, frame).copy()
    things = [
        (parts_at(mover.item, clip.pose(index, frame)), clip.box(index, frame).window)
        for index, mover in enumerate(clip.movers)
    ]
    return image, drawing.paint_all(image, things)
