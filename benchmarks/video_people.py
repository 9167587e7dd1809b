"""FAME on two people at once, each with another attribute: the keys `video.two_people_*`.

Clips of two figures as the models' bias has them, a nurse beside a doctor or an engineer, are
edited towards the other presentation of each: by the prompt they have, by one that names both
attributes, by FAME's prompt encoder, and with its two controls too, which are also tried with the
prompt that names both. All ways share fusion and joint sampling around the people's true regions,
as in `fairness`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from ..miniature.scenes import Item
from ..miniature.video.sample_clips import sample_clip
from ..miniature.vocabulary import SIZE
from ..pipelines.fairness.encoder import Wish, encode_fair
from ..pipelines.regions.region import mask_region
from ..pipelines.regions.regions import Regions
from . import main
from .fairness import MINORITY, Settings
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
    sides,
    with_items,
)

SEED, CLIPS = 7600, 40
GUIDANCE = {VIDEO: 3.0, IMAGE: 4.0}
PAIRS = ({"doctor", "nurse"}, {"engineer", "nurse"})
WAYS = {VIDEO: ("plain", "prompt", "soft", "full", "named"), IMAGE: ("plain", "full")}
_GENTLY = replace(Settings().modulator, strength=0.1)
"""Every layer of the video miniature looks at the whole clip: more tears the people apart."""
SETTINGS = {VIDEO: replace(Settings(), modulator=_GENTLY), IMAGE: Settings()}
PART_OF = "video_methods"


def run(
    scale: float = 1.0, steps: int = STEPS, model: Path | None = None, keep: Path | None = None
) -> Figures:
    """Measure; see `video_methods.run`."""
    both = sides(model)
    tasks = make_tasks(max(2, round(CLIPS * scale)))
    settings = SEED, GUIDANCE, SETTINGS
    return summary(outcomes(both, tasks, WAYS, how, Keep(keep, "people", settings), steps))


def make_tasks(count: int, seed: int = SEED) -> list[Task]:
    """Seeded clips of two people as the bias has them, and each with the other presentation."""
    rng = np.random.default_rng(seed)
    tasks: list[Task] = []
    while len(tasks) < count:
        clip = sample_clip(rng, "two_figures")
        nouns = {item.noun for item in clip.scene.items}
        if nouns != PAIRS[len(tasks) % 2] or not clip.scene.says_background:
            continue
        before, after = (
            tuple(_figure(item, minority) for item in clip.scene.items)
            for minority in (False, True)
        )
        tasks.append(Task(with_items(clip, before), with_items(clip, after), (0, 1)))
    return tasks


def _figure(item: Item, minority: bool) -> Item:
    """As the bias has it, unsaid, or the other way, said."""
    wanted = MINORITY[item.noun]
    other = "male" if wanted == "female" else "female"
    shown = wanted if minority else other
    return replace(item, word=item.noun, presentation=shown, explicit=minority)


def how(side: Side, shot: Shot, way: str) -> Way:
    """How a clip is edited."""
    source, target = side.prompt(shot.task.source), side.prompt(shot.task.target)
    prompt = target if way in ("prompt", "named") else source
    settings = SETTINGS[side.name]
    if way in ("soft", "full"):
        wishes = [Wish(MINORITY[i.noun], i.noun) for i in shot.task.target.scene.items]
        given = {"strength": settings.strength, "eos_scope": settings.eos_scope}
        prompt = encode_fair(side.model, source, wishes, **given).prompt
    people = regions(shot, settings.grow)
    chain = settings.controls("full" if way == "named" else way, people)
    return Way(prompt, chain, GUIDANCE[side.name])


def regions(shot: Shot, grow: int) -> Regions:
    """Of both people, where they are."""
    size, nouns = (SIZE, SIZE), [item.noun for item in shot.task.source.scene.items]
    masks = [torch.from_numpy(inside >= 0.5).float() for inside in shot.inside]
    items = tuple(
        mask_region(mask, len(mask), size, name=noun, words=noun, grow=grow)
        for noun, mask in zip(nouns, masks, strict=True)
    )
    return Regions(items, len(shot.frames), size)


def summary(found: Mapping[str, Sequence[Outcome]]) -> Figures:
    """Shares of clips in which both people are as they were wished, and are what they were, on nine
    of ten frames."""
    both, kept = (
        {way: [getattr(o, name) >= RIGHT_FRAMES for o in each] for way, each in found.items()}
        for name in ("looks", "kinds")
    )
    figures: Figures = {**share_of("video.two_people_share", both["full"])}
    figures |= share_of("video.two_people_profession_share", kept["full"])
    for way in found:
        key = f"video.two_people.{way}"
        figures |= share_of(f"{key}.both", both[way])
        figures |= share_of(f"{key}.professions", kept[way])
        figures[f"{key}.background_psnr_db"] = round(
            fmean(o.background_psnr for o in found[way]), 2
        )
    figures["video.two_people_gain_over_prompt"] = gain(both["prompt"], both["full"])
    figures["video.two_people_gain_over_prompt.p"] = paired_p(both["prompt"], both["full"])
    return figures


if __name__ == "__main__":
    main(__file__)
