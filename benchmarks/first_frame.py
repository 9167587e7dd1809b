"""What First Frame does, judged from pixels: the keys `sampler.first_frame_*`.

Clips of the built-in world of which one frame, the first, comes edited: an object has another
colour, or another shape. The prompt stays the clip's own, so nothing but the frame tells of the
edit; beside it, of some clips, with the prompt of the edit. Both start from the same inversion, so
their clips are pairs. A clip has followed where in every frame the object is what the first frame
shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ..miniature import NAME
from ..miniature.judge import analyse
from ..miniature.sample_scenes import sample_scene
from ..miniature.scenes import Item, Scene, compose, render
from ..miniature.verdict import judge_scene
from ..miniature.vocabulary import HELD_OUT_OBJECTS, OBJECT_COLOURS, SHAPES
from ..pipelines.controls.first_frame.first_frame import FirstFrame
from ..pipelines.editing import edit
from ..pipelines.models.families import load
from ..pipelines.models.model import Model
from . import main
from .clips import Array, Clip, inverted, outcomes, psnr_where
from .shares import Figures, gain, paired_p, share_of

SEED, CLIPS, FRAMES, STEPS, GUIDANCE = 7300, 40, 5, 12, 4.0
FLOORS = {"sampler.first_frame_share": 0.8, "sampler.first_frame_gain": 0.5}
"""The least that a figure may be."""
EDITS = ("recoloured", "reshaped")
ARMS = ("without", "first_frame")
PROMPTED = ("prompt", "both")
"""The same with the prompt of the edit, for some of the clips."""
PROMPTED_SHARE = 0.4


@dataclass(frozen=True)
class Task:
    """A clip, and its scene with another `item`: what the edited first frame is rendered from."""

    source: Scene
    target: Scene
    item: int

    @property
    def asked(self) -> str:
        return self.target.prompt

    @property
    def recoloured(self) -> bool:
        """Or else reshaped."""
        return self.source.items[self.item].noun == self.target.items[self.item].noun


@dataclass(frozen=True)
class Outcome:
    """What one arm made of one clip.

    followed: whether the object is as in the first frame, frame by frame. background_psnr: dB, to
    the source, where neither object covers anything. recoloured: see `Task`.
    """

    followed: tuple[bool, ...]
    background_psnr: float
    recoloured: bool


def run(clips: int = CLIPS, steps: int = STEPS, sheet: Path | None = None) -> Figures:
    """Measure; each share comes with its 95 % Wilson interval."""
    model, tasks = load(NAME), make_tasks(clips)
    some = tasks[: round(PROMPTED_SHARE * clips)]
    found: dict[str, list[Outcome]] = {}
    for arms, asked, picture in ((ARMS, tasks, sheet), (PROMPTED, some, None)):
        made = inverted(model, asked, FRAMES, steps, keyframes="first")
        found |= outcomes(made, arms, partial(edited, model), assess, picture)
    return summary(found)


def make_tasks(count: int, seed: int = SEED) -> list[Task]:
    """Seeded scenes of one or two objects, by turns with another colour and another shape of one.

    Nothing that was held out of the training is asked for.
    """
    rng = np.random.default_rng(seed)
    tasks: list[Task] = []
    while len(tasks) < count:
        scene = sample_scene(rng, ("one", "two")[len(tasks) // 2 % 2])
        colours = {item.colour for item in scene.items}
        if len(colours) < len(scene.items) or not scene.says_background:
            continue
        chosen = int(rng.integers(len(scene.items)))
        others = _others(scene.items[chosen], EDITS[len(tasks) % 2], colours)
        items = list(scene.items)
        items[chosen] = others[int(rng.integers(len(others)))]
        target = compose(scene.kind, tuple(items), scene.background, scene.relation)
        tasks.append(Task(scene, target, chosen))
    return tasks


def _others(item: Item, way: str, taken: set[str | None]) -> list[Item]:
    """What an item may become."""
    if way == "recoloured":
        made = [replace(item, colour=colour) for colour in OBJECT_COLOURS if colour not in taken]
    else:
        made = [replace(item, noun=noun, word=noun) for noun in SHAPES if noun != item.noun]
    return [each for each in made if (each.colour, each.noun) not in HELD_OUT_OBJECTS]


def edited(model: Model, clip: Clip, arm: str) -> Array:
    """Edited frames (f, 128, 128, 3)."""
    task: Task = clip.task
    frame = torch.from_numpy(render(task.target)[0])[None]
    asked = arm in PROMPTED
    latents = edit(
        model,
        clip.inversion,
        task.target.prompt if asked else task.source.prompt,
        controls=(FirstFrame(frame),) if arm in ("first_frame", "both") else (),
        guidance_scale=GUIDANCE if asked else 1.0,
    )
    return model.codec.decode(latents).numpy()


def assess(task: Task, source: Array, inside: Array, edited: Array) -> Outcome:
    """Judge an edit.

    source, edited: (f, 128, 128, 3) in 0..1. inside: (f, 128, 128), the source object's true mask.
    """
    masks = [render(task.target, frame)[1][task.item] for frame in range(len(edited))]
    outside = (inside == 0) & (np.stack(masks) == 0)
    followed = tuple(_follows(task, frame) for frame in edited)
    return Outcome(followed, psnr_where(edited, source, outside), task.recoloured)


def _follows(task: Task, frame: Array) -> bool:
    item = task.target.items[task.item]
    found = judge_scene(task.target, analyse(frame)).matched[task.item]
    shown = getattr(found, "colour", None), getattr(found, "shape", None)
    return shown == (item.colour, item.noun)


def summary(outcomes: Mapping[str, Sequence[Outcome]]) -> Figures:
    """Figures of every arm, and what First Frame adds under the clip's own prompt."""
    followed = {arm: [all(o.followed) for o in found] for arm, found in outcomes.items()}
    without, held = followed["without"], followed["first_frame"]
    figures: Figures = {**share_of("sampler.first_frame_share", held)}
    figures["sampler.first_frame_gain"] = gain(without, held)
    figures["sampler.first_frame_p"] = paired_p(without, held)
    for arm, found in outcomes.items():
        key = f"sampler.first_frame.{arm}"
        figures |= share_of(key, followed[arm])
        for way in EDITS:
            own = [all(o.followed) for o in found if o.recoloured == (way == "recoloured")]
            figures |= share_of(f"{key}.{way}", own)
        frames = [right for outcome in found for right in outcome.followed]
        figures[f"{key}.frames"] = round(float(np.mean(frames)), 3)
        background = [o.background_psnr for o in found]
        figures[f"{key}.background_psnr_db"] = round(float(np.mean(background)), 2)
    return figures


if __name__ == "__main__":
    main(__file__)
