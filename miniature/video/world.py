"""The world in motion: seeded clips with known truth.

A clip is a scene of the still world whose things move: as its prompt says, or untold. Every frame
has the place, the size, the angle and the mask of each thing, and where the camera is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import drawing
from ..scenes import Item, Scene, sample_scene
from ..vocabulary import HELD_OUT_FIGURES, HELD_OUT_OBJECTS, OBJECT_COLOURS, RELATIONS, SIZE
from .motions import (
    BOB,
    CLIP,
    DRIFT,
    FIGURE_MOTIONS,
    FIGURE_SHARES,
    HELD_OUT_MOTIONS,
    OBJECT_MOTIONS,
    OBJECT_SHARES,
    PAN_SHARE,
    PAN_SPEED,
    PANS,
    SIZES,
    STILL_SHARE,
    TOLD_SHARE,
    TURNS,
    Motion,
)

Array = NDArray[np.float32]

KINDS = {
    "one": 0.28,
    "two": 0.26,
    "count": 0.08,
    "figure": 0.18,
    "figure_object": 0.10,
    "two_figures": 0.06,
    "crossing": 0.04,
}
"""Kinds of scenes and their shares in training; what stands beside a figure is the hardest."""
MARGIN, GAP = 2.0, 4.0
MIDDLE = (CLIP - 1) / 2
SMALLEST = {"object": 15.0, "figure": 34.0}
"""Half extent in pixels below which the judge, and a latent of 8 px cells, could not tell."""
TRIES = 40
"""Places that are tried for what a clip shall show, before it shall show something else."""
_OBJECT_SLOTS = range(2)


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

    def pose(self, index: int, frame: Any) -> Pose:
        """Of a thing on a frame, or an array of them, as the camera sees it."""
        pose = self.movers[index].pose(frame)
        return replace(pose, x=pose.x - self.pan * (frame - MIDDLE))

    def velocity(self, index: int) -> tuple[float, float]:
        """Of a thing, in pixels a frame, as the camera sees it."""
        mover = self.movers[index]
        return mover.vx - self.pan, mover.vy


def sample_clip(rng: np.random.Generator, kind: str | None = None, held_out: bool = False) -> Clip:
    """Draw a clip.

    Args:
        rng: numpy generator; the same state gives the same clip.
        kind: one of ``KINDS``; drawn by their shares where None.
        held_out: one that holds a held-out combination of things or of a thing and its motion,
            instead of one that holds none.

    Returns:
        A clip whose things stay in the frame and apart for 17 frames, and whose relation holds in
        all of them.
    """
    drawn = str(rng.choice(list(KINDS), p=list(KINDS.values()))) if kind is None else kind
    new_motion = held_out and rng.random() < 0.5
    while True:
        plan = _draw_plan(rng, drawn)
        for _ in range(TRIES):
            # Of a clip that is held out for its motion, the things themselves are known.
            scene = sample_scene(rng, drawn, held_out and not new_motion)
            clip = _set_in_motion(rng, scene, plan)
            if stays_true(clip) and any(_is_held_out(m) for m in clip.movers) == new_motion:
                return clip


@dataclass(frozen=True)
class _Plan:
    """What a clip shall show, drawn before its places: what fits less often is tried more often,
    so that it is not rarer in the end.

    object_motions, figure_motions: by slot; None is a drift. still: of those that drift.
    """

    object_motions: tuple[Motion | None, ...]
    figure_motions: tuple[Motion | None, ...]
    still: tuple[bool, ...]
    pan: float


def _draw_plan(rng: np.random.Generator, kind: str) -> _Plan:
    slots = len(_OBJECT_SLOTS)
    still = tuple(bool(rng.random() < STILL_SHARE) for _ in range(slots))
    if kind == "crossing" or rng.random() >= TOLD_SHARE:
        pan = 0.0
        if kind != "crossing" and rng.random() < PAN_SHARE / (1 - TOLD_SHARE):
            pan = float(rng.uniform(*PAN_SPEED)) * float(rng.choice(list(PANS.values())))
        return _Plan((None,) * slots, (None,) * slots, still, pan)
    objects = rng.choice(len(OBJECT_MOTIONS), slots, p=OBJECT_SHARES)
    figures = rng.choice(len(FIGURE_MOTIONS), slots, p=FIGURE_SHARES)
    return _Plan(
        tuple(OBJECT_MOTIONS[int(index)] for index in objects),
        tuple(FIGURE_MOTIONS[int(index)] for index in figures),
        still,
        0.0,
    )


def _set_in_motion(rng: np.random.Generator, scene: Scene, plan: _Plan) -> Clip:
    items = tuple(_in_the_middle(item) for item in scene.items)
    if scene.kind == "crossing":
        movers = _crossing(scene, told=bool(rng.random() < TOLD_SHARE))
    elif scene.kind == "count":  # like things move alike
        first = _mover(rng, items[0], plan, 0)
        movers = tuple(replace(first, item=item) for item in items)
    else:
        movers = tuple(_mover(rng, item, plan, slot) for slot, item in enumerate(items))
    return Clip(scene, movers, plan.pan, _said(scene, movers, plan.pan))


def _in_the_middle(item: Item) -> Item:
    """The still world's item where it is halfway through its own clip, at rest."""
    x, y = item.centre(7.5)
    return replace(item, x=x, y=y, vx=0.0, vy=0.0)


def _mover(rng: np.random.Generator, item: Item, plan: _Plan, slot: int) -> Mover:
    motion = (plan.figure_motions if item.is_figure else plan.object_motions)[slot]
    if motion is None:
        if plan.pan or plan.still[slot]:
            return Mover(item)
        vx, vy = (float(v) for v in rng.uniform(-DRIFT, DRIFT, 2))
        return Mover(item, vx, vy)
    speed = float(rng.uniform(*motion.speed))
    aside = float(rng.uniform(-0.1, 0.1)) if motion.way != (0, 0) else 0.0
    turn = motion.turn * float(rng.uniform(*TURNS)) * float(rng.choice([-1, 1])) / (CLIP - 1)
    growth = float(rng.uniform(*SIZES)) ** (motion.grow / (CLIP - 1))
    x, y = motion.way
    return Mover(
        item, x * speed + y * aside, y * speed + x * aside, turn, growth, motion, told=True
    )


def _crossing(scene: Scene, told: bool) -> tuple[Mover, ...]:
    """Two things that pass each other, the second in front."""
    left, right = OBJECT_MOTIONS[0], OBJECT_MOTIONS[1]
    movers = []
    for item in scene.items:
        rest, (vx, vy) = _in_the_middle(item), (item.vx, item.vy)
        vx, vy = vx * 15 / (CLIP - 1), vy * 15 / (CLIP - 1)
        movers.append(Mover(rest, vx, vy, motion=right if vx > 0 else left, told=told))
    return tuple(movers)


def _said(scene: Scene, movers: tuple[Mover, ...], pan: float) -> tuple[tuple[str, int], ...]:
    """The scene's prompt with the motion behind each thing, and the camera's at the end."""
    words: list[tuple[str, int]] = []
    for position, (word, slot) in enumerate(scene.words):
        words.append((word, slot))
        later = scene.words[position + 1][1] if position + 1 < len(scene.words) else None
        if slot in _OBJECT_SLOTS and later != slot:
            mover = movers[slot]
            if mover.told and mover.motion is not None:
                words += [(part, slot) for part in mover.motion.words.split()]
    if pan:
        way = "right" if pan > 0 else "left"
        words += [(part, -1) for part in f"camera panning {way}".split()]
    return tuple(words)


def stays_true(clip: Clip) -> bool:
    """In the frame, apart, large enough and in its relation, on the first, middle and last frame;
    what happens between them is even. And what turns must be seen to: a circle is not."""
    if any(mover.turn and mover.item.noun == "circle" for mover in clip.movers):
        return False
    for frame in (0, MIDDLE, CLIP - 1):
        for index, mover in enumerate(clip.movers):
            (reach_x, reach_y), pose = mover.reach(frame), clip.pose(index, frame)
            smallest = SMALLEST["figure" if mover.item.is_figure else "object"]
            rise = BOB[0] if mover.motion is not None and mover.motion.walks else 0.0
            inside_x = min(pose.x, SIZE - pose.x) - reach_x >= MARGIN
            inside_y = min(pose.y - rise, SIZE - pose.y) - reach_y >= MARGIN
            if not (inside_x and inside_y) or pose.radius < smallest:
                return False
        if clip.scene.kind != "crossing" and not _apart(clip, frame):
            return False
        if clip.scene.relation is not None and not _related(clip, frame):
            return False
    return True


def _apart(clip: Clip, frame: float) -> bool:
    for index, a in enumerate(clip.movers):
        for other, b in enumerate(clip.movers[:index]):
            first, second = clip.pose(index, frame), clip.pose(other, frame)
            (ax, ay), (bx, by) = a.reach(frame), b.reach(frame)
            if max(abs(first.x - second.x) - ax - bx, abs(first.y - second.y) - ay - by) < GAP:
                return False
    return True


def _related(clip: Clip, frame: float) -> bool:
    dx, dy = RELATIONS[str(clip.scene.relation)]
    a, b = clip.pose(0, frame), clip.pose(1, frame)
    along = (a.x - b.x) * dx + (a.y - b.y) * dy
    return along >= 1.6 * (abs((a.x - b.x) * dy) + abs((a.y - b.y) * dx))


def _is_held_out(mover: Mover) -> bool:
    return (
        mover.told
        and mover.motion is not None
        and (
            mover.item.noun,
            mover.motion.words,
        )
        in HELD_OUT_MOTIONS
    )


def holds_held_out_things(clip: Clip) -> bool:
    """Whether it holds a combination that the still world holds out."""
    return any(
        ((item.noun, clip.scene.background) in HELD_OUT_FIGURES)
        if item.is_figure
        else ((item.colour, item.noun) in HELD_OUT_OBJECTS)
        for item in clip.scene.items
    )


def parts_of(item: Item) -> list[tuple[drawing.Distance, drawing.Colour]]:
    """What a thing is drawn of, back to front, upright and with its half extent around (64, 64)."""
    centre = SIZE / 2
    if item.is_figure:
        return drawing.figure(item.noun, str(item.presentation), centre, centre, item.radius)
    colour = OBJECT_COLOURS[str(item.colour)]
    return [(drawing.shape(item.noun, centre, centre, item.radius), colour)]


def placed(distance: drawing.Distance, item: Item, pose: Pose) -> drawing.Distance:
    """A part of `parts_of` at a pose; also where the pose's values are arrays of frames."""
    scale = pose.radius / item.radius
    cosine, sine = np.cos(pose.angle), np.sin(pose.angle)

    def moved(x: Array, y: Array) -> Array:
        across, down = (x - pose.x) / scale, (y - pose.y) / scale
        turned_x, turned_y = cosine * across + sine * down, cosine * down - sine * across
        inside = distance(turned_x + np.float32(SIZE / 2), turned_y + np.float32(SIZE / 2))
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
    """Draw one frame.

    Returns:
        (image, masks): image (128, 128, 3) float32 sRGB in 0..1; masks (items, 128, 128) float32,
        the visible part of each thing.
    """
    image = background(clip, frame).copy()
    masks = np.zeros((len(clip.movers), SIZE, SIZE), np.float32)
    for index, mover in enumerate(clip.movers):
        pose = clip.pose(index, frame)
        parts = [(placed(part, mover.item, pose), colour) for part, colour in parts_of(mover.item)]
        mask = drawing.paint(image, parts, _window(mover, pose, frame))
        masks[:index] *= 1 - mask
        masks[index] = mask
    return image, masks


def _window(mover: Mover, pose: Pose, frame: float) -> tuple[int, int, int, int]:
    reach_x, reach_y = (reach + 2 for reach in mover.reach(frame))
    return (
        max(0, int(pose.x - reach_x)),
        max(0, int(pose.y - reach_y)),
        min(SIZE, int(pose.x + reach_x) + 1),
        min(SIZE, int(pose.y + reach_y) + 1),
    )
