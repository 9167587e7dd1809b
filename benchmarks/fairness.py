"""What FAME does to an edit and what it costs: the keys `bias.*`, `kept.*`, `flip.*`, `cost.*`.

The built-in model is biased by its training data on purpose: its doctors and engineers are male,
its nurses female. Clips of such a figure are edited towards the other presentation, from the same
inversion in five ways, so that their clips are pairs: a plain edit without any fairness, the
attribute written into the prompt, the prompt encoder alone, with the self-attention modulator, and
with the cross-attention reweighter too. All five share what keeps the clip: attention fusion, and
joint sampling around the person's true region. So the scene is kept by them, in every arm, and the
figures of what is kept say that the controls leave it so. The judge reads pixels and knows no
prompt.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from .. import miniature
from ..miniature import measure, sampling
from ..miniature.judge import FoundFigure, analyse
from ..miniature.scenes import Scene, compose, make_figure
from ..miniature.vocabulary import HELD_OUT_FIGURES, PLAIN_BACKGROUNDS, SIZE
from ..pipelines.controls.base import Control
from ..pipelines.controls.fame.cross_reweighter import CrossReweighter
from ..pipelines.controls.fame.self_modulator import SelfModulator
from ..pipelines.controls.fatezero.fusion import Fusion
from ..pipelines.controls.reatco.joint_sampling import JointSampling
from ..pipelines.editing import edit
from ..pipelines.fairness.encoder import Wish, encode_fair
from ..pipelines.measure.statistics import discordant, flip_rate
from ..pipelines.models.families import load
from ..pipelines.models.model import Model
from ..pipelines.regions.edges import grown
from ..pipelines.regions.region import mask_region
from ..pipelines.regions.regions import Regions
from ..pipelines.text.conditioning import Conditioning
from . import fairness_cost, main
from .clips import Array, Clip, inverted, outcomes, psnr_where
from .plot import plot_shares
from .shares import RIGHT_FRAMES, Figures, gain, paired_p, share_of, with_interval

SEED, CLIPS, DRAWN, FRAMES, STEPS, GUIDANCE = 7200, 80, 60, 8, 25, 4.0
RING = 9
"""Pixels around a figure that are no background: its edge is soft."""
MINORITY = {"doctor": "female", "engineer": "female", "nurse": "male"}
SWEPT, STRENGTHS = ("alpha", "lambda"), (0.0, 0.25, 0.5, 0.75, 1.0)
ARMS = {
    "plain": "bias.plain_edit_share",
    "prompt": "bias.prompt_only_share",
    "soft": "bias.soft_prompt_share",
    "self": "bias.self_share",
    "full": "bias.corrected_share",
}
"""The ways to edit, and the key of the share of corrected clips of each."""
COMPARED = (("prompt", "full"), ("soft", "self"), ("self", "full"), ("soft", "full"))

TARGETS = {
    "bias.minority_share_before": 0.20,
    "kept.background_psnr_loss_db": 1.0,
    "kept.path_error_px": 1.5,
    "flip.rate": 0.02,
    "cost.modulator_ratio": 1.10,
}
"""The most that a figure may be."""
FLOORS = {
    "bias.corrected_share": 0.80,
    "bias.gain_over_prompt_only": 1e-9,
    "bias.gain_over_soft_prompt": 1e-9,
    "kept.profession_share": 0.90,
}
"""The least that a figure may be."""

ANYBODY = ("figure",)
"""A subject until there is a clip, whose region wins over it."""


@dataclass(frozen=True)
class Settings:
    """How the clips are edited.

    strength, eos_scope: of the prompt encoder. fusion: what all arms share; the words stay where
    the source has them. repeats, repeat_steps: of joint sampling, which all arms share, too: the
    clip's noise remembers the person as it was, and the first steps decide what it shows. grow:
    pixels around the figure that belong to its region, for longer hair.
    """

    strength: float = 1.0
    eos_scope: str = "first+padding"
    modulator: SelfModulator = field(default_factory=lambda: SelfModulator(subject=ANYBODY))
    reweighter: CrossReweighter = field(default_factory=CrossReweighter)
    fusion: Fusion = field(default_factory=lambda: Fusion("refine", 1.0, 0.5))
    repeats: int = 8
    repeat_steps: float = 0.12
    grow: int = 4

    def controls(self, arm: str, person: Regions) -> tuple[Control, ...]:
        """The controls of an arm."""
        kept = JointSampling(person, repeats=self.repeats, repeat_steps=self.repeat_steps)
        shared = (self.fusion, kept)
        modulator = replace(self.modulator, regions=person)
        reweighter = replace(self.reweighter, regions=person)
        return (*shared, modulator, reweighter)[: {"self": 3, "full": 4}.get(arm, 2)]


@dataclass(frozen=True)
class Task:
    """A clip of a figure as the model's bias has it, and the presentation that is asked for."""

    source: Scene
    target: str
    item = 0

    @property
    def asked(self) -> str:
        return self.target

    @property
    def profession(self) -> str:
        """The word for the figure."""
        return self.source.items[0].noun

    @property
    def explicit(self) -> str:
        """The prompt with the attribute written into it."""
        item = self.source.items[0]
        figure = make_figure(item.noun, self.target, item.x, item.y, explicit=True)
        return compose("figure", (figure,), self.source.background).prompt


@dataclass(frozen=True)
class Outcome:
    """What one arm made of one clip.

    shown: share of frames that show the target presentation. unclear: share of frames in which the
    judge finds no figure, or cannot tell its presentation. profession: share of frames with the
    right profession. flips: flip rate of the presentation. background_psnr: dB to the source.
    path_error: mean distance in pixels from where the judge sees the source's centre, over
    frames with a figure.
    """

    shown: float
    unclear: float
    profession: float
    flips: float
    background_psnr: float
    path_error: float


def run(
    clips: int = CLIPS,
    steps: int = STEPS,
    model: Path | None = None,
    sheet: Path | None = None,
    sweep: bool = False,
    plot: Path | None = None,
) -> Figures:
    """Measure; each share comes with its 95 % Wilson interval.

    model: a folder with another than the built-in one. sweep: the strengths instead, and a plot of
    them.
    """
    loaded = load(model or miniature.NAME)
    made = inverted(loaded, make_tasks(clips), FRAMES, steps, keyframes="all")
    if sweep:
        figures = strengths(loaded, made)
        if plot is not None:
            plot_sweep(plot, figures)
        return figures
    figures = bias_before(sampling.load(model), min(DRAWN, clips))
    ways = partial(edited, loaded, Settings())
    return figures | summary(outcomes(made, ARMS, ways, assess, sheet)) | fairness_cost.run()


def strengths(model: Model, clips: Iterable[Clip]) -> Figures:
    """Correction against kept scene for strengths 0..1 of the controls (alpha), and of the prompt
    encoder (lambda), the other at its default; every setting on the same clips."""
    found: defaultdict[Settings, list[Outcome]] = defaultdict(list)
    settings = {(name, value): _swept(name, value) for name in SWEPT for value in STRENGTHS}
    different = tuple(dict.fromkeys(settings.values()))
    for clip in clips:
        for chosen in different:
            result = edited(model, chosen, clip, "full")
            found[chosen].append(assess(clip.task, clip.frames, clip.inside, result))
    figures: Figures = {}
    for (name, value), chosen in settings.items():
        key, swept = f"sweep.{name}.{value:g}", found[chosen]
        figures |= share_of(f"{key}.corrected", [o.shown >= RIGHT_FRAMES for o in swept])
        figures |= {f"{key}.{of}": measured for of, measured in _row(swept).items()}
    return figures


def _swept(name: str, value: float) -> Settings:
    """The bench's settings with one strength changed."""
    usual = Settings()
    if name == "lambda":
        return replace(usual, strength=value)
    return replace(
        usual,
        modulator=replace(usual.modulator, strength=value),
        reweighter=replace(usual.reweighter, strength=value),
    )


def plot_sweep(path: Path, figures: Figures) -> None:
    """Draw correction over the strengths, a picture for each: `path` with the name added."""
    for name in SWEPT:
        bars = []
        for value in STRENGTHS:
            key = f"sweep.{name}.{value:g}"
            kept, moved = (figures[f"{key}.{of}"] for of in ("background_psnr_db", "path_error_px"))
            label = f"{value:g}\n{kept:.1f} dB\n{moved:.1f} px"
            bars.append((label, *with_interval(figures, f"{key}.corrected")))
        title = f"Corrected clips over {name}; below, background PSNR and path error"
        plot_shares(path.with_stem(f"{path.stem}-{name}"), title, bars, "")


def bias_before(model: sampling.Miniature, count: int) -> Figures:
    """How often the model draws the minority presentation where the prompt names none."""
    figures: Figures = {}
    for profession, minority in MINORITY.items():
        drawn = measure.draw(model, measure.figure_scenes(profession, None, count), SEED)
        seen = measure.presentations(drawn.verdicts)
        figures |= share_of(f"bias.before.{profession}", [s == minority for s in seen])
        figures[f"bias.before.{profession}.undetermined"] = seen.count(None)
    doctors = {"bias.minority_share_before": figures["bias.before.doctor"]}
    return doctors | figures


def make_tasks(count: int, seed: int = SEED) -> list[Task]:
    """Seeded clips of one walking figure, of each profession and background in turn."""
    rng = np.random.default_rng(seed)
    pairs = [
        (profession, background)
        for background in PLAIN_BACKGROUNDS
        for profession in MINORITY
        if (profession, background) not in HELD_OUT_FIGURES
    ]
    tasks = []
    for index in range(count):
        profession, background = pairs[index % len(pairs)]
        target = MINORITY[profession]
        majority = "male" if target == "female" else "female"
        way = 1 if rng.random() < 0.5 else -1
        place = (SIZE / 2 - way * rng.uniform(4, 12), SIZE / 2 + rng.uniform(-4, 4))
        velocity = (way * float(rng.uniform(1.0, 2.5)), 0.0)
        figure = make_figure(profession, majority, *place, velocity=velocity)
        tasks.append(Task(compose("figure", (figure,), background), target))
    return tasks


def edited(model: Model, settings: Settings, clip: Clip, arm: str) -> Array:
    """Edited frames (f, 128, 128, 3)."""
    task: Task = clip.task
    prompt: str | Conditioning = task.source.prompt
    if arm == "prompt":
        prompt = task.explicit
    elif arm != "plain":
        wish, scope = Wish(task.target, task.profession), settings.eos_scope
        prompt = encode_fair(
            model, prompt, [wish], strength=settings.strength, eos_scope=scope
        ).prompt
    latents = edit(
        model,
        clip.inversion,
        prompt,
        controls=settings.controls(arm, _person(clip, settings.grow)),
        guidance_scale=GUIDANCE,
        seed=clip.seed,
    )
    return model.codec.decode(latents).numpy()


def _person(clip: Clip, grow: int) -> Regions:
    """The figure's region, as a tracker would give it."""
    masks, size, word = torch.from_numpy(clip.inside), (SIZE, SIZE), clip.task.profession
    region = mask_region(masks, len(masks), size, name=word, words=word, grow=grow)
    return Regions((region,), len(masks), size)


def assess(task: Task, source: Array, inside: Array, edited: Array) -> Outcome:
    """Judge an edit.

    source, edited: (f, 128, 128, 3) in 0..1. inside: (f, 128, 128), the figure's true mask.
    """
    figures, before = ([_figure(frame) for frame in frames] for frames in (edited, source))
    shown = [None if figure is None else figure.presentation for figure in figures]
    outside = (grown(torch.from_numpy(inside), RING) == 0).numpy()
    apart = [
        float(np.hypot(now.x - then.x, now.y - then.y))
        for now, then in zip(figures, before, strict=True)
        if now is not None and then is not None
    ]
    return Outcome(
        shown=fmean(one == task.target for one in shown),
        unclear=fmean(one is None for one in shown),
        profession=fmean(f is not None and f.profession == task.profession for f in figures),
        flips=flip_rate(shown),
        background_psnr=psnr_where(edited, source, outside),
        path_error=fmean(apart) if apart else float("nan"),
    )


def _figure(frame: Array) -> FoundFigure | None:
    found = analyse(frame).figures
    return found[0] if found else None


def summary(outcomes: Mapping[str, Sequence[Outcome]]) -> Figures:
    """The figures: the full method's, and each arm's as the rows of the ablation."""
    full, figures = outcomes["full"], _bias(outcomes)
    rows = {arm: _row(found) for arm, found in outcomes.items()}
    for arm, row in rows.items():
        figures |= {f"ablation.{arm}.{name}": value for name, value in row.items()}
    figures |= share_of("kept.profession_share", [o.profession >= RIGHT_FRAMES for o in full])
    kept = float(rows["full"]["background_psnr_db"])
    return figures | {
        "kept.background_psnr_db": kept,
        "kept.background_psnr_loss_db": round(float(rows["plain"]["background_psnr_db"]) - kept, 2),
        "kept.path_error_px": rows["full"]["path_error_px"],
        "kept.path_found_share": round(fmean(not np.isnan(o.path_error) for o in full), 3),
        "flip.rate": rows["full"]["flips"],
    }


def _bias(outcomes: Mapping[str, Sequence[Outcome]]) -> Figures:
    """Corrected shares with intervals, of all clips and by profession, and the steps between arms:
    clips that only the second or only the first corrects, and McNemar's exact p. The clips of a
    profession are too few for a test."""
    shown = {arm: [o.shown >= RIGHT_FRAMES for o in found] for arm, found in outcomes.items()}
    figures: Figures = {}
    for arm, key in ARMS.items():
        figures |= share_of(key, shown[arm])
    tasks = make_tasks(len(shown["full"]))
    for profession in MINORITY:
        pairs = zip(tasks, shown["full"], strict=True)
        theirs = [right for task, right in pairs if task.profession == profession]
        figures |= share_of(f"bias.corrected.{profession}", theirs)
    for name, arm in (("prompt_only", "prompt"), ("soft_prompt", "soft")):
        figures[f"bias.gain_over_{name}"] = gain(shown[arm], shown["full"])
    for first, second in COMPARED:
        key = f"bias.{first}_to_{second}"
        lost, won = discordant(shown[first], shown[second])
        p = paired_p(shown[first], shown[second])
        figures |= {f"{key}.won": won, f"{key}.lost": lost, f"{key}.p": p}
    return figures


def _row(outcomes: Sequence[Outcome]) -> Figures:
    return {
        "profession": _mean([o.profession for o in outcomes]),
        "unclear": _mean([o.unclear for o in outcomes], 4),
        "flips": _mean([o.flips for o in outcomes], 4),
        "background_psnr_db": _mean([o.background_psnr for o in outcomes], 2),
        "path_error_px": _path_error(outcomes),
    }


def _path_error(outcomes: Sequence[Outcome]) -> float:
    """Mean over the clips in which the judge found the figure; NaN where there is none."""
    found = [o.path_error for o in outcomes if not np.isnan(o.path_error)]
    return _mean(found, 2) if found else float("nan")


def _mean(values: Sequence[float], digits: int = 3) -> float:
    return round(fmean(values), digits)


if __name__ == "__main__":
    main(__file__)
