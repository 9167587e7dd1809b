"""An open FairVE on known truth: the keys `fairve.*` and `judge.*`. docs/fairve.md is its card.

Clips of the built-in world with one or two walking people, on plain and textured grounds, are
edited towards presentations that make each profession even, in five ways from one inversion: the
attribute in the prompt, FAME's prompt encoder alone, with either of its controls, and with both.
The judge reads pixels and knows no prompt; how well it reads is measured first, on truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from .. import miniature
from ..miniature.judge import FoundFigure, analyse
from ..miniature.vocabulary import PRESENTATIONS, SIZE
from ..pipelines.controls.base import Control
from ..pipelines.controls.reatco.joint_sampling import JointSampling
from ..pipelines.editing import edit
from ..pipelines.fairness.encoder import encode_fair
from ..pipelines.measure.bias_correction import bias_correction
from ..pipelines.measure.statistics import discordant, flip_rate
from ..pipelines.models.families import load
from ..pipelines.models.model import Model
from ..pipelines.regions.edges import grown
from ..pipelines.regions.region import mask_region
from ..pipelines.regions.regions import Regions
from ..pipelines.source.inversion import Inversion, invert
from . import main
from .clips import Array, psnr_where, rendered
from .fairness import FRAMES, GUIDANCE, RING, STEPS, Settings
from .fairve_cases import Case, make_cases, read_data, write_table
from .kept import Told, kept
from .shares import RIGHT_FRAMES, Figures, paired_p, share, share_of

BY_NAME = True
ARMS = ("prompt", "soft", "self", "cross", "full")
COMPARED = (("prompt", "soft"), ("soft", "self"), ("soft", "cross"), ("soft", "full"))
HARD = ("textured", "two", "both")
"""The groups that are harder: textures, and two people."""
NEAR = 24.0
"""Pixels within which a figure that is found is the one that stood there."""


@dataclass(frozen=True)
class Seen:
    """What the judge saw of one figure: its presentation and profession frame by frame."""

    profession: str
    asked: str | None
    shown: tuple[str | None, ...]
    professions: tuple[str | None, ...]

    def share(self, presentation: str | None) -> float:
        return fmean(each == presentation for each in self.shown)


@dataclass(frozen=True)
class Result:
    """A clip in an arm, or as it was. background_psnr: dB outside of the people asked for."""

    group: str
    figures: tuple[Seen, ...]
    background_psnr: float = float("nan")

    @property
    def right(self) -> bool:
        """Whether everybody who was asked for shows it in nearly all frames."""
        return all(f.share(f.asked) >= RIGHT_FRAMES for f in self.figures if f.asked is not None)


def run(
    scale: float = 1.0,
    steps: int = STEPS,
    keep: Path | None = None,
    table: Path | None = None,
) -> Figures:
    """Measure; keep: a folder in which what is done is kept, for a run that is stopped.

    table: write the prompts for real models there instead.
    """
    if table is not None:
        print(f"{write_table(table)} rows written to {table}")
        return {}
    cases, model = make_cases(scale), load(miniature.NAME)
    found: dict[str, list[Result]] = {arm: [] for arm in ("source", "ideal", "rebuilt", *ARMS)}
    for number, case in enumerate(cases):
        tried = partial(_measured, model, case, number, steps)
        for arm, told in kept(keep, f"fairve-{number:04}", (case, steps), tried).items():
            found[arm].append(_result(told))
    return judge_figures(cases, found) | summary(found)


def _measured(model: Model, case: Case, seed: int, steps: int) -> Told:
    """A `Result` of the clip, of a perfect edit of it, and of what each arm makes."""
    frames, masks = rendered(case.source, FRAMES)
    clip = torch.from_numpy(frames)
    inversion = invert(model, clip, case.source.prompt, steps=steps, keyframes="all")
    rebuilt = model.codec.decode(inversion.trajectory[0]).numpy()
    ideal, _ = rendered(case.ideal, FRAMES)
    seen = {"source": frames, "ideal": ideal, "rebuilt": rebuilt}
    seen |= {arm: edited(model, case, inversion, masks, arm, seed) for arm in ARMS}
    return {arm: asdict(judged(case, frames, masks, result)) for arm, result in seen.items()}


def edited(
    model: Model, case: Case, inversion: Inversion, masks: Array, arm: str, seed: int
) -> Array:
    """Edited frames (f, 128, 128, 3). masks: (figures, f, 128, 128), where they were drawn."""
    prompt: Any = case.explicit
    if arm != "prompt":
        how = {"strength": Settings.strength, "eos_scope": Settings.eos_scope}
        prompt = encode_fair(model, case.source.prompt, case.wishes, **how).prompt
    how = {"guidance_scale": GUIDANCE, "seed": seed}
    latents = edit(model, inversion, prompt, controls=controls(case, masks, arm), **how)
    return model.codec.decode(latents).numpy()


def controls(case: Case, masks: Array, arm: str) -> tuple[Control, ...]:
    """Of an arm: all share what keeps the clip outside of the people who are asked for."""
    usual, everybody = Settings(), range(len(masks))
    asked = [at for at in everybody if case.asked[at] is not None]
    people, edited = (_people(case, masks, who, usual.grow) for who in (everybody, asked))
    repeated = {"repeats": usual.repeats, "repeat_steps": usual.repeat_steps}
    shared = (usual.fusion, JointSampling(edited, **repeated))
    own = {
        "self": (replace(usual.modulator, regions=people),),
        "cross": (replace(usual.reweighter, regions=edited),),
    }
    own["full"] = own["self"] + own["cross"]
    return (*shared, *own.get(arm, ()))


def _people(case: Case, masks: Array, who: Iterable[int], grow: int) -> Regions:
    size, items = (SIZE, SIZE), []
    for at in who:
        mask, noun = torch.from_numpy(masks[at]), case.source.items[at].noun
        items.append(mask_region(mask, len(mask), size, name=noun, words=noun, grow=grow))
    return Regions(tuple(items), masks.shape[1], size)


def judged(case: Case, source: Array, masks: Array, result: Array) -> Result:
    """What a clip (f, 128, 128, 3) shows of each figure, found where it walks."""
    found = [analyse(frame).figures for frame in result]
    figures = []
    for item, asked in zip(case.source.items, case.asked, strict=True):
        own = [_nearest(each, *item.centre(at)) for at, each in enumerate(found)]
        shown = tuple(one and one.presentation for one in own)
        figures.append(Seen(item.noun, asked, shown, tuple(one and one.profession for one in own)))
    inside = masks[[at for at, asked in enumerate(case.asked) if asked is not None]].max(0)
    outside = (grown(torch.from_numpy(inside), RING) == 0).numpy()
    return Result(case.group, tuple(figures), psnr_where(result, source, outside))


def _nearest(figures: Sequence[FoundFigure], x: float, y: float) -> FoundFigure | None:
    near = [f for f in figures if np.hypot(f.x - x, f.y - y) <= NEAR]
    return min(near, key=lambda f: np.hypot(f.x - x, f.y - y)) if near else None


def judge_figures(cases: Sequence[Case], found: Mapping[str, Sequence[Result]]) -> Figures:
    """The judge's confusion matrix, in frames of figures: on truth as it is drawn, and as the
    autoencoder gives it back, which is how edits look."""
    figures: Figures = {}
    for name, arms in (("drawn", ("source", "ideal")), ("rebuilt", ("rebuilt",))):
        pairs = [
            (truth.presentation, shown)
            for arm in arms
            for case, result in zip(cases, found[arm], strict=True)
            for truth, seen in zip(_truth(case, arm), result.figures, strict=True)
            for shown in seen.shown
        ]
        for truth in PRESENTATIONS:
            for shown in (*PRESENTATIONS, None):
                key = f"judge.{name}.{truth}_as_{shown or 'undetermined'}"
                figures[key] = pairs.count((truth, shown))
    return figures


def _truth(case: Case, arm: str) -> tuple[Any, ...]:
    return (case.ideal if arm == "ideal" else case.source).items


def summary(found: Mapping[str, Sequence[Result]]) -> Figures:
    """Each arm's figures, and what each of FAME's controls gains over the prompt encoder alone."""
    figures: Figures = {}
    target, before = read_data()["target"], _female(found["source"])
    wanted = {name: target["female"] / sum(target.values()) for name in before}
    biased = [name for name, share in before.items() if share > wanted[name]]
    for arm in ARMS:
        key, after = f"fairve.{arm}", _female(found[arm], biased)
        figures[f"{key}.bias_correction"] = round(bias_correction(before, after, wanted), 1)
        figures |= share_of(f"{key}.right", [result.right for result in found[arm]])
        for group in dict.fromkeys(result.group for result in found[arm]):
            own = [result.right for result in found[arm] if result.group == group]
            figures |= share_of(f"{key}.right.{group}", own)
        figures |= _else(key, found["source"], found[arm])
    for first, second in COMPARED:
        for name, groups in (("all", None), ("hard", HARD)):
            before_after = (_right(found[arm], groups) for arm in (first, second))
            a, b = before_after
            lost, won = discordant(a, b)
            key = f"fairve.{first}_to_{second}.{name}"
            figures |= {f"{key}.won": won, f"{key}.lost": lost, f"{key}.p": paired_p(a, b)}
    return figures


def _right(results: Sequence[Result], groups: Sequence[str] | None) -> list[bool]:
    return [result.right for result in results if groups is None or result.group in groups]


def _female(results: Iterable[Result], biased: Sequence[str] = ()) -> dict[str, float]:
    """By profession, of the figures that are edited towards a target: the share of their frames
    that shows it.

    biased: professions that show it too often. What is undetermined counts as what there was too
    much of: nobody is corrected by being made unreadable.
    """
    told: dict[str, list[float]] = {}
    for result in results:
        for figure in result.figures:
            if figure.asked is not None and result.group != "neutral":
                lost = figure.share(None) if figure.profession in biased else 0.0
                told.setdefault(figure.profession, []).append(figure.share("female") + lost)
    return {profession: fmean(each) for profession, each in told.items()}


def _else(key: str, sources: Sequence[Result], results: Sequence[Result]) -> Figures:
    """What else an arm changed, and how steady it is."""
    pairs = [
        (now, then)
        for result, source in zip(results, sources, strict=True)
        for now, then in zip(result.figures, source.figures, strict=True)
    ]
    asked = [now for now, _ in pairs if now.asked is not None]
    held = [_alike(now.shown, then.shown) for now, then in pairs if now.asked is None]
    work = [_alike(now.professions, then.professions) for now, then in pairs]
    return {
        **share_of(f"{key}.others_kept", held),
        **share(f"{key}.professions_kept", sum(work), len(work), cases=len(results)),
        f"{key}.undetermined": round(fmean(each.share(None) for each in asked), 4),
        f"{key}.flips": round(fmean(flip_rate(each.shown) for each in asked), 4),
        f"{key}.background_psnr_db": round(fmean(r.background_psnr for r in results), 2),
    }


def _alike(now: Sequence[str | None], then: Sequence[str | None]) -> bool:
    return fmean(a == b for a, b in zip(now, then, strict=True)) >= RIGHT_FRAMES


def _result(told: Mapping[str, Any]) -> Result:
    return Result(told["group"], tuple(_figures(told["figures"])), told["background_psnr"])


def _figures(told: Iterable[Mapping[str, Any]]) -> Iterator[Seen]:
    for each in told:
        frames = tuple(each["shown"]), tuple(each["professions"])
        yield Seen(each["profession"], each["asked"], *frames)


if __name__ == "__main__":
    main(__file__)
