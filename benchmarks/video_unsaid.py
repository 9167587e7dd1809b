"""Two things become two others in a clip, and only regions say which is where: the keys
`video.unsaid_*`, of RAD by its boost and by its gradient, and of IRJS beside them.

Two like things move; the prompt names two others with "and" between them. Both models edit the same
clips, each with RAD as it follows it best.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np

from ..miniature.scenes import compose
from ..miniature.video.sample_clips import sample_clip
from ..miniature.vocabulary import OBJECT_COLOURS, SHAPES, plural
from ..pipelines.controls.base import Control
from ..pipelines.controls.reatco.joint_sampling import JointSampling
from ..pipelines.controls.reatco.refocus import Refocus
from ..pipelines.controls.span import WHOLE, Span
from ..pipelines.regions.regions import Regions
from . import main
from .shares import RIGHT_FRAMES, Figures, gain, paired_p, share_of
from .video_clips import (
    IMAGE,
    STEPS,
    VIDEO,
    Keep,
    Outcome,
    Shot,
    Side,
    Task,
    Way,
    outcomes,
    regions_of,
    sides,
    with_items,
)

SEED, CLIPS = 7500, 60
GUIDANCE = {VIDEO: 3.0, IMAGE: 7.5}
ROOM = 4
"""Pixels around a thing that belong to its region."""
WAYS = {
    VIDEO: ("without", "boost", "gradient", "irjs", "irjs_boost", "irjs_gradient"),
    IMAGE: ("irjs", "irjs_gradient"),
}
BEST, BESIDE = "irjs_gradient", "irjs"
"""The ways of `video.unsaid_share_with` and `_without`."""
BOOST = 16.0
PART_OF = "video_methods"


def run(
    scale: float = 1.0, steps: int = STEPS, model: Path | None = None, keep: Path | None = None
) -> Figures:
    """Measure; see `video_methods.run`."""
    both = sides(model)
    tasks = make_tasks(max(2, round(CLIPS * scale)))
    settings = SEED, GUIDANCE, ROOM, BOOST, GRADIENT
    return summary(outcomes(both, tasks, WAYS, how, Keep(keep, "unsaid", settings), steps))


def make_tasks(count: int, seed: int = SEED) -> list[Task]:
    """Seeded clips of two like things beside each other that go or stand still, untold, and two
    others in their places."""
    rng = np.random.default_rng(seed)
    tasks: list[Task] = []
    while len(tasks) < count:
        clip = sample_clip(rng, "two")
        scene = clip.scene
        first, second = scene.items
        told = clip.pan or any(mover.told for mover in clip.movers)
        beside = scene.relation in ("left of", "right of") and scene.says_background
        if told or not beside or first.colour == second.colour or first.noun == second.noun:
            continue
        colours = [c for c in OBJECT_COLOURS if c not in (first.colour, second.colour)]
        shapes = [shape for shape in SHAPES if shape not in (first.noun, second.noun)]
        colour, shape = str(rng.choice(colours)), str(rng.choice(shapes))
        like = tuple(
            replace(item, colour=colour, noun=shape, word=plural(shape)) for item in scene.items
        )
        tasks.append(Task(with_items(clip, like, "count"), clip, (0, 1)))
    return tasks


def how(side: Side, shot: Shot, way: str) -> Way:
    """How a clip is edited: "and" is in the place of the sides."""
    scene = shot.task.target.scene
    unsaid = compose(scene.kind, scene.items, scene.background).prompt
    return Way(unsaid, controls(way, regions(shot)), GUIDANCE[side.name])


def regions(shot: Shot) -> Regions:
    """Of both things, where they are, each with its words."""
    items = shot.task.target.scene.items
    return regions_of(shot, [(i.phrase(), f"{i.colour}, {i.word}") for i in items], ROOM)


GRADIENT = {"guide_by": "gradient", "steps": Span(0.0, 0.4), "sharpen": False, "refine": True}
"""The paper's losses on the maps as they are, refined, and over before outlines are drawn."""


def controls(way: str, places: Regions) -> tuple[Control, ...]:
    """Of a way: joint sampling, which keeps what is outside of the regions, RAD, or both."""
    kept = (JointSampling(places),) if "irjs" in way else ()
    if "boost" in way:
        return (Refocus(places, guide_by="boost", boost=BOOST, steps=WHOLE), *kept)
    return (Refocus(places, **GRADIENT), *kept) if "gradient" in way else kept


def summary(found: Mapping[str, Sequence[Outcome]]) -> Figures:
    """Shares of clips with both things right, each in its place, on nine of ten frames."""
    right = {
        way: [min(o.kinds, o.looks) >= RIGHT_FRAMES for o in each] for way, each in found.items()
    }
    figures: Figures = {**share_of("video.unsaid_share_with", right[BEST])}
    figures |= share_of("video.unsaid_share_without", right[BESIDE])
    figures["video.unsaid_gain"] = gain(right[BESIDE], right[BEST])
    figures["video.unsaid_gain.p"] = paired_p(right[BESIDE], right[BEST])
    for way, each in found.items():
        figures |= share_of(f"video.unsaid.{way}", right[way])
        background = fmean(o.background_psnr for o in each)
        figures[f"video.unsaid.{way}.background_psnr_db"] = round(background, 2)
    figures["video.unsaid_image_gain"] = gain(*(right[IMAGE + way] for way in (BESIDE, BEST)))
    return figures


if __name__ == "__main__":
    main(__file__)
