"""A thing gets another colour in a clip: what only time shows, and what fusion, its bridge and IRJS
do to it, on the video miniature and on the image miniature: the keys `video.wobble_ratio`,
`video.flicker_ratio`, `video.fusion_*` and `video.recolour.*`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from ..miniature.video.sample_clips import sample_clip
from ..miniature.video.verdict import GOES
from ..miniature.vocabulary import HELD_OUT_OBJECTS, OBJECT_COLOURS, SIZE
from ..pipelines.controls.base import Control
from ..pipelines.controls.fatezero.fusion import Fusion
from ..pipelines.controls.reatco.joint_sampling import JointSampling
from ..pipelines.controls.span import Span
from ..pipelines.regions.region import mask_region
from ..pipelines.regions.regions import Regions
from . import main
from .shares import Figures, paired_p, ratio, share_of
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
    sides,
    with_items,
)

SEED, CLIPS = 7400, 60
GUIDANCE = {VIDEO: 2.5, IMAGE: 4.0}
REACH = 8
"""Pixels by which a region is larger than its thing."""
NEAR = 2.0
"""Pixels from where it was, on the mean, up to which everything counts as in its place."""
BEST = "latents"
"""The way by which `fusion_*` and the ratios are measured."""
WAYS = {
    VIDEO: ("through", "plain", "fusion", "latents", "bridge", "irjs"),
    IMAGE: ("through", "plain", "latents"),
}
PART_OF = "video_methods"


def run(
    scale: float = 1.0, steps: int = STEPS, model: Path | None = None, keep: Path | None = None
) -> Figures:
    """Measure; see `video_methods.run`."""
    both = sides(model)
    tasks = make_tasks(max(2, round(CLIPS * scale)))
    chains = [controls(way, ("a thing",)) for way in WAYS[VIDEO]]
    settings = SEED, GUIDANCE, REACH, chains
    return summary(outcomes(both, tasks, WAYS, how, Keep(keep, "recolour", settings), steps))


def make_tasks(count: int, seed: int = SEED) -> list[Task]:
    """Seeded clips of one thing or two, and another colour for one of them, which goes somewhere,
    told or untold: of what stands still, the image model makes the same picture every time.

    Nothing turns or grows, which that model does not know. Colours differ before and after, so that
    no word is ambiguous, and nothing that was held out of the training is asked for.
    """
    rng = np.random.default_rng(seed)
    tasks: list[Task] = []
    while len(tasks) < count:
        clip = sample_clip(rng, ("one", "two")[len(tasks) % 2])
        scene, colours = clip.scene, [item.colour for item in clip.scene.items]
        turns = clip.pan or any(m.turn or m.growth != 1 for m in clip.movers)
        chosen = int(rng.integers(len(scene.items)))
        goes = np.hypot(clip.movers[chosen].vx, clip.movers[chosen].vy) >= GOES[False]
        if turns or not goes or len(set(colours)) < len(colours) or not scene.says_background:
            continue
        item = scene.items[chosen]
        allowed = [
            colour
            for colour in OBJECT_COLOURS
            if colour not in colours and (colour, item.noun) not in HELD_OUT_OBJECTS
        ]
        items = list(scene.items)
        items[chosen] = replace(item, colour=str(rng.choice(allowed)))
        tasks.append(Task(clip, with_items(clip, tuple(items)), (chosen,)))
    return tasks


def how(side: Side, shot: Shot, way: str) -> Way:
    """How a clip is edited."""
    if way == "through":
        return Way()
    [edited] = shot.task.edited
    before, after = (clip.scene.items[edited] for clip in (shot.task.source, shot.task.target))
    chain = controls(way, (before.phrase(),))
    if way == "irjs":
        size, mask = (SIZE, SIZE), torch.from_numpy(shot.inside[edited] >= 0.5).float()
        named = {"name": "it", "words": f"{after.colour}, {after.word}", "grow": REACH}
        region = mask_region(mask, len(mask), size, **named)
        chain = (JointSampling(Regions((region,), len(mask), size)),)
    return Way(side.prompt(shot.task.target), chain, GUIDANCE[side.name])


def controls(way: str, words: tuple[str, ...]) -> tuple[Control, ...]:
    """The controls of a way without regions, for words of the source prompt."""
    # A colour changes no outline, so the structure is the source's in almost all steps.
    fusion = Fusion("replace", cross_steps=0.9, self_steps=0.9)
    kept = {"blend_words": words, "self_blend": False, "latent_blend": True}
    latents = replace(fusion, **kept, blend_window=Span(0.2, 1.0))
    bridge = replace(latents, cross_steps=0.0, self_steps=1.0, bridge=2.0)
    chains = {"fusion": fusion, "latents": latents, "bridge": bridge}
    return (chains[way],) if way in chains else ()


def summary(found: Mapping[str, Sequence[Outcome]]) -> Figures:
    """What fusion is worth, and how steady its clips are beside others', of the same clips."""
    edit, plain = found[BEST], found["plain"]
    image = found[IMAGE + BEST]
    right = {way: [o.right == 1 for o in each] for way, each in found.items()}
    background = {way: fmean(o.background_psnr for o in each) for way, each in found.items()}
    figures: Figures = {**share_of("video.fusion_right_share", right[BEST])}
    figures["video.fusion_right_p"] = paired_p(right["plain"], right[BEST])
    gained = background[BEST] - background["plain"]
    figures["video.fusion_background_gain_db"] = round(gained, 2)
    for name in ("wobble", "flicker"):
        figures |= _ratio(f"video.{name}_ratio", name, edit, image)
        figures |= _ratio(f"video.{name}_over_plain", name, edit, plain)
        figures |= _ratio(f"video.plain_{name}_ratio", name, plain, found[f"{IMAGE}plain"])
    for way, each in found.items():
        key = f"video.recolour.{way}"
        figures |= share_of(f"{key}.right", right[way])
        figures |= share_of(f"{key}.in_place", [o.off is not None and o.off <= NEAR for o in each])
        figures |= share_of(f"{key}.same", [o.same for o in each])
        figures[f"{key}.background_psnr_db"] = round(background[way], 2)
        figures |= {f"{key}.{name}": mean_of(name, each) for name in ("wobble", "flicker", "off")}
    return figures


def _ratio(
    key: str, name: str, above: Sequence[Outcome], below: Sequence[Outcome]
) -> dict[str, float]:
    """Of clips in which the judge saw both."""
    pairs = [(getattr(a, name), getattr(b, name)) for a, b in zip(above, below, strict=True)]
    both = [pair for pair in pairs if None not in pair]
    return ratio(key, [a for a, _ in both], [b for _, b in both])


def mean_of(name: str, found: Sequence[Outcome]) -> float:
    """Of the clips in which the judge saw it; NaN where it never did."""
    seen = [value for each in found if (value := getattr(each, name)) is not None]
    return round(fmean(seen), 4) if seen else float("nan")


if __name__ == "__main__":
    main(__file__)
