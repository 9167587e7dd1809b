"""FAME on two people at once, each with another attribute: the keys `video.two_people_*`.

Clips of two figures as the models' bias has them, a nurse beside a doctor or an engineer, are
edited towards the other presentation of each: by the prompt they have, by one that names both
attributes, by FAME's prompt encoder, by that with the attributes' own words in the prompt, and by
its two controls too, with the encoder as the model needs it. All ways of a model share what keeps
the scene around the people's true regions: joint sampling, with fusion on the image model, as in
`fairness`, and with RAD by its gradient on the video model, which else mixes two people up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from ..miniature.scenes import Item
from ..miniature.video.sample_clips import sample_clip
from ..pipelines.controls.reatco.refocus import Refocus
from ..pipelines.controls.span import Span
from ..pipelines.fairness.encoder import Wish, encode_fair
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
    regions_of,
    sides,
    with_items,
)
from .video_unsaid import GRADIENT

SEED, CLIPS = 7600, 40
GUIDANCE = {VIDEO: 3.0, IMAGE: 4.0}
PAIRS = ({"doctor", "nurse"}, {"engineer", "nurse"})
WAYS = {VIDEO: ("plain", "prompt", "soft", "explicit", "full"), IMAGE: ("plain", "full")}
BEST = "explicit"
"""The way of `video.two_people_share`."""
EXPLICIT = {"explicit": True, "mask": "soft"}
"""The encoder's settings beside those that all its ways share."""
_GENTLY = replace(Settings().modulator, strength=0.1)
"""Every layer of the video miniature looks at the whole clip: more tears the people apart."""
SETTINGS = {VIDEO: replace(Settings(), modulator=_GENTLY, repeats=3), IMAGE: Settings()}
RAD = {**GRADIENT, "steps": Span(0.0, 0.7)}
"""Of all ways of the video model: professions are lost in late steps, too."""
PART_OF = "video_methods"


def run(
    scale: float = 1.0, steps: int = STEPS, model: Path | None = None, keep: Path | None = None
) -> Figures:
    """Measure; see `video_methods.run`."""
    both = sides(model)
    tasks = make_tasks(max(2, round(CLIPS * scale)))
    settings = SEED, GUIDANCE, SETTINGS, RAD, EXPLICIT
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
    prompt, settings = target if way == "prompt" else source, SETTINGS[side.name]
    items = shot.task.target.scene.items
    explicit = side.name == VIDEO and way in ("explicit", "full")
    if way in ("soft", "explicit", "full"):
        wishes = [Wish(MINORITY[i.noun], i.noun) for i in items]
        given: dict[str, Any] = {"strength": settings.strength, "eos_scope": settings.eos_scope}
        given |= EXPLICIT if explicit else {}
        prompt = encode_fair(side.model, source, wishes, **given).prompt
    said = explicit or way == "prompt"
    words = [(i.noun, f"{i.presentation}, {i.noun}" if said else i.noun) for i in items]
    people = regions_of(shot, words, settings.grow)
    chain = settings.controls(way, people)
    if side.name == VIDEO:
        _fusion, *others = chain
        chain = (Refocus(people, **RAD), *others)
    return Way(prompt, chain, GUIDANCE[side.name])


def summary(found: Mapping[str, Sequence[Outcome]]) -> Figures:
    """Shares of clips in which both people are as they were wished, and are what they were, on nine
    of ten frames."""
    both, kept = (
        {way: [getattr(o, name) >= RIGHT_FRAMES for o in each] for way, each in found.items()}
        for name in ("looks", "kinds")
    )
    figures: Figures = {**share_of("video.two_people_share", both[BEST])}
    figures |= share_of("video.two_people_profession_share", kept[BEST])
    for way in found:
        key = f"video.two_people.{way}"
        figures |= share_of(f"{key}.both", both[way])
        figures |= share_of(f"{key}.professions", kept[way])
        figures[f"{key}.background_psnr_db"] = round(
            fmean(o.background_psnr for o in found[way]), 2
        )
    figures["video.two_people_gain_over_prompt"] = gain(both["prompt"], both[BEST])
    figures["video.two_people_gain_over_prompt.p"] = paired_p(both["prompt"], both[BEST])
    return figures


if __name__ == "__main__":
    main(__file__)
