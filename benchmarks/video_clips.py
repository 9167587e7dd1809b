"""Clips of the world in motion, edited by the video miniature and by the image miniature in several
ways, and judged by the judge of time.

Either model edits the same clips with the same seeds, from one inversion for all of its ways. What
was judged can be kept by clip, so that a bench that was ended goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from .. import miniature
from ..miniature.judge import Analysis, FoundFigure
from ..miniature.scenes import Item, compose
from ..miniature.video import NAME
from ..miniature.video.judge import watch
from ..miniature.video.motions import CLIP
from ..miniature.video.sample_clips import said
from ..miniature.video.tracks import MOST, Found
from ..miniature.video.verdict import ClipVerdict, judge_clip
from ..miniature.video.world import Clip, render
from ..miniature.vocabulary import SIZE
from ..pipelines.controls.base import Control
from ..pipelines.editing import edit
from ..pipelines.models.families import load
from ..pipelines.models.model import Model
from ..pipelines.regions.region import mask_region
from ..pipelines.regions.regions import Regions
from ..pipelines.source.inversion import Inversion, invert
from ..pipelines.text.conditioning import Conditioning
from .clips import psnr_where
from .kept import Told, kept

Array = NDArray[np.float32]
STEPS = 25
LOOKS = "noun", "word", "colour", "presentation", "explicit"
"""What of a thing an edit changes: not where it is, nor how large."""
VIDEO, IMAGE = "", "image_"
"""How the names of ways begin: those of the video model, and those of the image model."""


@dataclass(frozen=True, eq=False)
class Task:
    """A clip and its edit: the same clip with other things, of which those at `edited` differ."""

    source: Clip
    target: Clip
    edited: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Shot:
    """A task's clip, drawn. frames: (f, 128, 128, 3). inside: (things, f, 128, 128), where they are
    before the edit or after it."""

    seed: int
    task: Task
    frames: Array
    inside: Array


@dataclass(frozen=True, eq=False)
class Side:
    """One of the models. name: VIDEO or IMAGE. keyframes, solver: of its inversions."""

    name: str
    model: Model
    keyframes: str
    solver: str = "uni-inv"

    def prompt(self, clip: Clip) -> str:
        """What it is told of a clip: the image model knows no words of motion."""
        return clip.scene.prompt if self.name == IMAGE else clip.prompt


@dataclass(frozen=True, eq=False)
class Way:
    """How a clip is edited; see `editing.edit`. Without a prompt it is not."""

    prompt: str | Conditioning = ""
    controls: tuple[Control, ...] = ()
    guidance: float = 2.5


class Ways(Protocol):
    """What a bench tries on its clips: by the name of a way, without what it begins with."""

    def __call__(self, side: Side, shot: Shot, way: str) -> Way: ...


@dataclass(frozen=True)
class Outcome:
    """What one way made of a clip.

    right: share of frames that show everything the target says; aspects: the same by what is said.
    kinds, looks: share of frames on which the nearest thing to each place has the shape or the
    profession, and the colour or the presentation, that belongs there, said or not.
    motion: whether every told motion is followed. same: whether each thing stays one and the same.
    wobble: mean of the outlines'; flicker: of what stands still; None where the judge saw neither.
    background_psnr: dB to the source, where nothing that is edited covers anything of a pixel.
    off: pixels of things from where they were, on the mean; None where none is found.
    """

    right: float
    aspects: Mapping[str, float] = field(default_factory=dict)
    kinds: float = 0.0
    looks: float = 0.0
    motion: bool = True
    same: bool = True
    wobble: float | None = None
    flicker: float | None = None
    background_psnr: float = 0.0
    off: float | None = None


@dataclass(frozen=True)
class Keep:
    """Where a bench keeps what it judged, and the settings that it was made with."""

    folder: Path | None = None
    bench: str = ""
    settings: tuple[Any, ...] = ()


def sides(model: Path | None = None) -> tuple[Side, Side]:
    """Both models. model: an export of the video miniature, in the place of the shipped one."""
    from ..miniature.video.model import load_model

    video = load(NAME) if model is None else load_model(folder=model)
    return Side(VIDEO, video, "all"), Side(IMAGE, load(miniature.NAME), "mid")


def shot(seed: int, task: Task, frames: int = CLIP) -> Shot:
    """Draw a task's clip."""
    before, after = (
        [render(clip, frame) for frame in range(frames)] for clip in (task.source, task.target)
    )
    inside = (np.stack([masks for _, masks in each], 1) for each in (before, after))
    return Shot(seed, task, np.stack([image for image, _ in before]), np.maximum(*inside))


def regions_of(shot: Shot, words: Sequence[tuple[str, str]], grow: int) -> Regions:
    """The regions of all things, where they are. words: of each a name, and words of the prompt.
    grow: pixels around a thing that belong to its region."""
    masks, size = [torch.from_numpy(inside >= 0.5).float() for inside in shot.inside], (SIZE, SIZE)
    items = tuple(
        mask_region(mask, len(mask), size, name=name, words=named, grow=grow)
        for (name, named), mask in zip(words, masks, strict=True)
    )
    return Regions(items, len(shot.frames), size)


def with_items(clip: Clip, items: tuple[Item, ...], kind: str = "") -> Clip:
    """The same clip of other things, in the same places. kind: of the scene, where it is another;
    then nothing is said of who is where."""
    scene = clip.scene
    relation = None if kind else scene.relation
    other = compose(kind or scene.kind, items, scene.background, relation, scene.says_background)
    movers = tuple(
        replace(mover, item=replace(mover.item, **{name: getattr(item, name) for name in LOOKS}))
        for mover, item in zip(clip.movers, items, strict=True)
    )
    return Clip(other, movers, clip.pan, said(other, movers, clip.pan))


def outcomes(
    both: Sequence[Side],
    tasks: Sequence[Task],
    ways: Mapping[str, Sequence[str]],
    how: Ways,
    keep: Keep = Keep(),
    steps: int = STEPS,
    frames: int = CLIP,
) -> dict[str, list[Outcome]]:
    """What every way makes of every clip, by the side's name and the way's; ways: of each side."""
    found: dict[str, list[Outcome]] = {
        side.name + way: [] for side in both for way in ways[side.name]
    }
    for seed, task in enumerate(tasks):
        drawn = shot(seed, task, frames)
        for side in both:
            used = ways[side.name]
            facts = side.model.fingerprint, used, task, steps, frames, keep.settings
            tried = partial(_tried, side, drawn, used, how, steps)
            told = kept(keep.folder, f"{keep.bench}-{side.name}{seed:03}", facts, tried)
            for way in used:
                found[side.name + way].append(Outcome(**told[way]))
        print(f"{seed + 1} of {len(tasks)} clips", flush=True)
    return found


def _tried(side: Side, drawn: Shot, ways: Sequence[str], how: Ways, steps: int) -> Told:
    inversion = inverted(side, drawn, steps)
    return {
        way: asdict(assess(drawn, edited(side, drawn, inversion, how(side, drawn, way))))
        for way in ways
    }


def inverted(side: Side, drawn: Shot, steps: int = STEPS) -> Inversion:
    """What all edits of a clip by one model start from."""
    given: dict[str, Any] = {"steps": steps, "keyframes": side.keyframes, "solver": side.solver}
    prompt = side.prompt(drawn.task.source)
    return invert(side.model, torch.from_numpy(drawn.frames), prompt, **given)


def edited(side: Side, drawn: Shot, inversion: Inversion, way: Way) -> Array:
    """Frames (f, 128, 128, 3). A way without a prompt is what the autoencoder makes of the clip."""
    if not way.prompt:
        return side.model.codec.decode(inversion.trajectory[0]).numpy()
    given: dict[str, Any] = {"controls": way.controls, "guidance_scale": way.guidance}
    latents = edit(side.model, inversion, way.prompt, seed=drawn.seed, **given)
    return side.model.codec.decode(latents).numpy()


def assess(drawn: Shot, frames: Array) -> Outcome:
    """Judge an edit (f, 128, 128, 3) by its pixels."""
    task = drawn.task
    seen = watch(frames)
    verdict = judge_clip(task.target, seen)
    wobbles = [path.wobble for path in verdict.paths if path and path.wobble is not None]
    there = [_there(task.target, frame, each) for frame, each in enumerate(seen.frames)]
    touched = drawn.inside[list(task.edited)].max(0) > 0
    return Outcome(
        right=float(np.mean([frame.right for frame in verdict.frames])),
        aspects=_aspects(verdict),
        kinds=float(np.mean([kind for kind, _ in there])),
        looks=float(np.mean([look for _, look in there])),
        motion=all(verdict.motion),
        same=all(verdict.identity),
        wobble=float(np.mean(wobbles)) if wobbles else None,
        flicker=seen.flicker,
        background_psnr=psnr_where(frames, drawn.frames, ~touched),
        off=_off(task.source, verdict),
    )


def _aspects(verdict: ClipVerdict) -> dict[str, float]:
    """Share of frames that are right in all that was asked of an aspect, by aspect."""
    found: dict[str, list[bool]] = {}
    for frame in verdict.frames:
        for aspect, answers in frame.answers.items():
            if answers:
                found.setdefault(aspect, []).append(all(answers))
    return {aspect: float(np.mean(right)) for aspect, right in found.items()}


def _there(clip: Clip, frame: int, seen: Analysis) -> tuple[bool, bool]:
    """Whether what is nearest to each place has its kind, and its look."""
    items, places = clip.scene.items, [clip.pose(k, frame) for k in range(len(clip.movers))]
    found = [*seen.objects, *seen.figures][:MOST]
    if len(found) < len(items):
        return False, False

    def way(order: Sequence[Found]) -> float:
        pairs = zip(order, places, strict=True)
        return sum(float(np.hypot(one.x - place.x, one.y - place.y)) for one, place in pairs)

    nearest = min(permutations(found, len(items)), key=way)
    pairs = list(zip(items, map(_seen, nearest), strict=True))
    kinds = all(kind == item.noun for item, (kind, _) in pairs)
    return kinds, all(look == (item.colour or item.presentation) for item, (_, look) in pairs)


def _seen(found: Found) -> tuple[str | None, str | None]:
    if isinstance(found, FoundFigure):
        return found.profession, found.presentation
    return found.shape, found.colour


def _off(clip: Clip, verdict: ClipVerdict) -> float | None:
    ways = [
        float(np.hypot(found.x - pose.x, found.y - pose.y))
        for frame, said in enumerate(verdict.frames)
        for index, found in enumerate(said.matched)
        if found is not None
        for pose in (clip.pose(index, frame),)
    ]
    return float(np.mean(ways)) if ways else None
