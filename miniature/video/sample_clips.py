"""Draws clips of the world in motion: the same generator state gives the same clip."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..layout import all_apart
from ..sample_scenes import sample_scene
from ..scenes import Item, Scene
from . import motions
from .motions import CLIP, Motion
from .world import MIDDLE, Clip, Mover

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
SMALLEST = {"object": 15.0, "figure": 34.0}
"""Half extent in pixels below which the judge, and a latent of 8 px cells, could not tell."""
TRIES = 40
"""Places that are tried for what a clip shall show, before it shall show something else."""
_OBJECT_SLOTS = range(2)


def sample_clip(
    rng: np.random.Generator,
    kind: str | None = None,
    held_out: bool = False,
    told: float = motions.TOLD_SHARE,
    motion: str | None = None,
) -> Clip:
    """Draw a clip whose things stay in the frame, apart and in their relation for 17 frames.

    kind: one of `KINDS`; drawn by their shares where None. held_out: one that holds a held-out
    combination of things or of a thing and its motion, instead of one that holds none. told:
    probability that the prompt says how things move. motion: words of the one motion that objects
    are told, where any is; drawn by their shares where None.
    """
    drawn = str(rng.choice(list(KINDS), p=list(KINDS.values()))) if kind is None else kind
    # Nothing is held out of what is not told.
    new_motion = held_out and told > 0 and rng.random() < 0.5
    while True:
        plan = _draw_plan(rng, drawn, told, motion)
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


def _draw_plan(
    rng: np.random.Generator, kind: str, told: float, motion: str | None = None
) -> _Plan:
    slots = len(_OBJECT_SLOTS)
    still = tuple(bool(rng.random() < motions.STILL_SHARE) for _ in range(slots))
    if kind == "crossing" or rng.random() >= told:
        pan = 0.0
        if kind != "crossing" and rng.random() < motions.PAN_SHARE / (1 - motions.TOLD_SHARE):
            speed = float(rng.uniform(*motions.PAN_SPEED))
            pan = speed * float(rng.choice(list(motions.PANS.values())))
        return _Plan((None,) * slots, (None,) * slots, still, pan)
    shares = motions.OBJECT_SHARES
    if motion is not None:
        shares = tuple(float(each.words == motion) for each in motions.OBJECT_MOTIONS)
    objects = rng.choice(len(motions.OBJECT_MOTIONS), slots, p=shares)
    figures = rng.choice(len(motions.FIGURE_MOTIONS), slots, p=motions.FIGURE_SHARES)
    return _Plan(
        tuple(motions.OBJECT_MOTIONS[int(index)] for index in objects),
        tuple(motions.FIGURE_MOTIONS[int(index)] for index in figures),
        still,
        0.0,
    )


def _set_in_motion(rng: np.random.Generator, scene: Scene, plan: _Plan) -> Clip:
    items = tuple(_in_the_middle(item) for item in scene.items)
    if scene.kind == "crossing":
        movers = _crossing(scene, told=bool(rng.random() < motions.TOLD_SHARE))
    elif scene.kind == "count":  # like things move alike
        first = _mover(rng, items[0], plan, 0)
        movers = tuple(replace(first, item=item) for item in items)
    else:
        movers = tuple(_mover(rng, item, plan, slot) for slot, item in enumerate(items))
    return Clip(scene, movers, plan.pan, said(scene, movers, plan.pan))


def _in_the_middle(item: Item) -> Item:
    """The still world's item where it is halfway through its own clip, at rest."""
    x, y = item.centre(7.5)
    return replace(item, x=x, y=y, vx=0.0, vy=0.0)


def _mover(rng: np.random.Generator, item: Item, plan: _Plan, slot: int) -> Mover:
    motion = (plan.figure_motions if item.is_figure else plan.object_motions)[slot]
    if motion is None:
        if plan.pan or plan.still[slot]:
            return Mover(item)
        vx, vy = (float(v) for v in rng.uniform(-motions.DRIFT, motions.DRIFT, 2))
        return Mover(item, vx, vy)
    speed = float(rng.uniform(*motion.speed))
    aside = float(rng.uniform(-0.1, 0.1)) if motion.way != (0, 0) else 0.0
    turn = motion.turn * float(rng.uniform(*motions.TURNS))
    growth = float(rng.uniform(*motions.SIZES)) ** (motion.grow / (CLIP - 1))
    x, y = motion.way
    vx, vy = x * speed + y * aside, y * speed + x * aside
    return Mover(item, vx, vy, turn / (CLIP - 1), growth, motion, told=True)


def _crossing(scene: Scene, told: bool) -> tuple[Mover, ...]:
    """Two things that pass each other, the second in front."""
    left, right = motions.OBJECT_MOTIONS[0], motions.OBJECT_MOTIONS[1]
    movers = []
    for item in scene.items:
        rest, (vx, vy) = _in_the_middle(item), (item.vx, item.vy)
        vx, vy = vx * 15 / (CLIP - 1), vy * 15 / (CLIP - 1)
        movers.append(Mover(rest, vx, vy, motion=right if vx > 0 else left, told=told))
    return tuple(movers)


def said(scene: Scene, movers: tuple[Mover, ...], pan: float) -> tuple[tuple[str, int], ...]:
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
        words += [(part, -1) for part in f"{motions.PANNING} {way}".split()]
    return tuple(words)


def stays_true(clip: Clip) -> bool:
    """In the frame, apart, large enough and in its relation, on the first, middle and last frame;
    what happens between them is even. And what it does must be seen."""
    if not all(m.motion is None or motions.is_visible(m.item.noun, m.motion) for m in clip.movers):
        return False
    relation = clip.scene.relation
    for frame in (0, MIDDLE, CLIP - 1):
        boxes = [clip.box(index, frame) for index in range(len(clip.movers))]
        for mover, box in zip(clip.movers, boxes, strict=True):
            smallest = SMALLEST["figure" if mover.item.is_figure else "object"]
            rise = motions.BOB[0] if mover.motion is not None and mover.motion.walks else 0.0
            raised = replace(box, y=box.y - rise)
            inside = box.is_inside(MARGIN) and raised.is_inside(MARGIN)
            if not inside or mover.pose(frame).radius < smallest:
                return False
        if clip.scene.kind != "crossing" and not all_apart(boxes, GAP):
            return False
        if relation is not None and not boxes[0].is_to(relation, boxes[1]):
            return False
    return True


def _is_held_out(mover: Mover) -> bool:
    if not mover.told or mover.motion is None:
        return False
    return motions.is_held_out(mover.item.noun, mover.motion)
