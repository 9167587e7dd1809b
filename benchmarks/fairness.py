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

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray

from ..miniature import measure, sampling
from ..miniature.contact_sheet import save_rows
from ..miniature.judge import FoundFigure, analyse
from ..miniature.scenes import Scene, compose, make_figure, render
from ..miniature.vocabulary import HELD_OUT_FIGURES, PLAIN_BACKGROUNDS, SIZE
from ..pipelines.backbone import Backbone, load
from ..pipelines.controls.base import Control
from ..pipelines.controls.cross_reweighter import CrossReweighter
from ..pipelines.controls.fusion import Fusion
from ..pipelines.controls.joint_sampling import JointSampling
from ..pipelines.controls.self_modulator import SelfModulator
from ..pipelines.editing import edit
from ..pipelines.fairness.encoder import Wish, encode_fair
from ..pipelines.inversion import Inversion, invert
from ..pipelines.measure.statistics import discordant, flip_rate, mcnemar
from ..pipelines.prompt import Prompt
from ..pipelines.region import Regions, grown, mask_region
from . import fairness_cost
from .plot import plot_shares
from .shares import share_of

SEED, CLIPS, DRAWN, FRAMES, STEPS, GUIDANCE = 7200, 80, 60, 8, 25, 4.0
RIGHT_FRAMES = 0.9
"""Share of a clip's frames that must show the target for the clip to count."""
RING = 9
"""Pixels around a figure that are no background: its edge is soft."""
MINORITY = {"doctor": "female", "engineer": "female", "nurse": "male"}
SWEPT = (0.0, 0.25, 0.5, 0.75, 1.0)
ARMS = ("plain", "prompt", "soft", "self", "full")

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
    "kept.profession_share": 0.90,
}
"""The least that a figure may be."""

Array = NDArray[np.float32]
Figures = dict[str, float | int | str]


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
    modulator: SelfModulator = field(default_factory=SelfModulator)
    reweighter: CrossReweighter = field(default_factory=CrossReweighter)
    fusion: Fusion = field(default_factory=lambda: Fusion("refine", 1.0, 0.5))
    repeats: int = 8
    repeat_steps: float = 0.15
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

    shown: share of frames that show the target presentation. profession: share of frames with the
    right profession. flips: flip rate of the presentation. background_psnr: dB to the source.
    path_error: mean distance in pixels from where the judge sees the source's centre, over
    frames with a figure.
    """

    shown: float
    profession: float
    flips: float
    background_psnr: float
    path_error: float


def run(
    model: Backbone | None = None,
    sampler: sampling.Miniature | None = None,
    clips: int = CLIPS,
    steps: int = STEPS,
    settings: Settings | None = None,
    sheet: Path | None = None,
) -> Figures:
    """Measure; each share comes with its 95 % Wilson interval.

    model, sampler: another than the built-in one, to edit and to draw with. sheet: a picture to
    write, of the first clips' middle frames: the source, then each arm.
    """
    chosen = Settings() if settings is None else settings
    figures = bias_before(sampling.load() if sampler is None else sampler, min(DRAWN, clips))
    figures |= summary(edit_all(load() if model is None else model, clips, steps, chosen, sheet))
    return figures | fairness_cost.cost()


def sweep(model: Backbone, clips: int, steps: int) -> Figures:
    """Correction against kept scene for strengths 0..1 of the controls (alpha), and of the prompt
    encoder (lambda), the other at its default."""
    figures: Figures = {}
    for value in SWEPT:
        both = Settings()
        alpha = replace(
            both,
            modulator=replace(both.modulator, strength=value),
            reweighter=replace(both.reweighter, strength=value),
        )
        for name, settings in (("alpha", alpha), ("lambda", replace(both, strength=value))):
            found = edit_all(model, clips, steps, settings, arms=("full",))["full"]
            key = f"sweep.{name}.{value:g}"
            figures |= share_of(f"{key}.corrected", [o.shown >= RIGHT_FRAMES for o in found])
            figures[f"{key}.background_psnr_db"] = _mean([o.background_psnr for o in found], 2)
            figures[f"{key}.profession"] = _mean([o.profession for o in found])
            figures[f"{key}.flips"] = _mean([o.flips for o in found], 4)
    return figures


def plot_sweep(path: Path, figures: Figures) -> None:
    """Draw correction over the strengths, a picture for each: `path` with the name added."""
    for name in ("alpha", "lambda"):
        bars = []
        for value in SWEPT:
            key = f"sweep.{name}.{value:g}.corrected"
            share, low, high = (float(figures[end]) for end in (key, f"{key}.low", f"{key}.high"))
            kept = figures[f"sweep.{name}.{value:g}.background_psnr_db"]
            bars.append((f"{value:g}\n{kept} dB", share, low, high))
        title = f"Corrected clips over {name}; background PSNR below"
        plot_shares(path.with_stem(f"{path.stem}-{name}"), title, bars, "")


def bias_before(model: sampling.Miniature, count: int) -> Figures:
    """How often the model draws the minority presentation where the prompt names none."""
    figures: Figures = {}
    for profession, minority in MINORITY.items():
        drawn = measure.draw(model, measure.figure_scenes(profession, None, count), SEED)
        seen = measure.presentations(drawn)
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


def edit_all(
    model: Backbone,
    clips: int,
    steps: int,
    settings: Settings,
    sheet: Path | None = None,
    arms: Sequence[str] = ARMS,
) -> dict[str, list[Outcome]]:
    """Edit and judge every clip in every way."""
    outcomes: dict[str, list[Outcome]] = {arm: [] for arm in arms}
    rows: list[Array] = []
    tasks = make_tasks(clips)
    for task in tasks:
        rendered = [render(task.source, frame) for frame in range(FRAMES)]
        frames = np.stack([image for image, _ in rendered])
        inside = np.stack([masks[0] for _, masks in rendered])
        inversion = invert(
            model,
            torch.from_numpy(frames),
            task.source.prompt,
            steps=steps,
            keyframes="all",
            store="resident",
        )
        person = _person(task, inside, settings.grow)
        made = {arm: _edited(model, inversion, task, person, arm, settings) for arm in arms}
        for arm, result in made.items():
            outcomes[arm].append(assess(task, frames, inside, result))
        middle = FRAMES // 2
        rows.append(np.stack([frames[middle], *(result[middle] for result in made.values())]))
    if sheet is not None:
        save_rows(
            sheet, rows, [(t.source.prompt, *(f"{arm}: {t.target}" for arm in arms)) for t in tasks]
        )
    return outcomes


def _person(task: Task, inside: Array, grow: int) -> Regions:
    """The figure's region, as a tracker would give it. inside: (f, 128, 128)."""
    size = (SIZE, SIZE)
    masks = torch.from_numpy(inside)
    region = mask_region(
        masks, len(masks), size, name=task.profession, words=task.profession, grow=grow
    )
    return Regions((region,), len(masks), size)


def _edited(
    model: Backbone,
    inversion: Inversion,
    task: Task,
    person: Regions,
    arm: str,
    settings: Settings,
) -> Array:
    prompt: str | Prompt = task.source.prompt
    if arm == "prompt":
        prompt = task.explicit
    elif arm != "plain":
        wish = Wish(task.target, task.profession)
        prompt = encode_fair(
            model, prompt, [wish], strength=settings.strength, eos_scope=settings.eos_scope
        ).prompt
    controls = settings.controls(arm, person)
    latents = edit(model, inversion, prompt, controls=controls, guidance_scale=GUIDANCE)
    return model.decode(latents).numpy()


def assess(task: Task, source: Array, inside: Array, edited: Array) -> Outcome:
    """Judge an edit.

    source, edited: (f, 128, 128, 3) in 0..1. inside: (f, 128, 128), the figure's true mask.
    """
    figures, before = ([_figure(frame) for frame in frames] for frames in (edited, source))
    shown = [None if figure is None else figure.presentation for figure in figures]
    outside = (grown(torch.from_numpy(inside), RING) == 0).numpy()
    error = float(((edited - source) ** 2)[outside].mean())
    apart = [
        float(np.hypot(now.x - then.x, now.y - then.y))
        for now, then in zip(figures, before, strict=True)
        if now is not None and then is not None
    ]
    return Outcome(
        shown=fmean(one == task.target for one in shown),
        profession=fmean(f is not None and f.profession == task.profession for f in figures),
        flips=flip_rate(shown),
        background_psnr=-10 * float(np.log10(max(error, 1e-12))),
        path_error=fmean(apart) if apart else float("nan"),
    )


def _figure(frame: Array) -> FoundFigure | None:
    found = analyse(frame).figures
    return found[0] if found else None


def summary(outcomes: Mapping[str, Sequence[Outcome]]) -> Figures:
    """The figures, and the ablation: each step with its interval and its test against the last."""
    shown = {arm: [o.shown >= RIGHT_FRAMES for o in found] for arm, found in outcomes.items()}
    full, plain = outcomes["full"], outcomes["plain"]
    figures: Figures = {}
    for arm, key in {
        "plain": "plain_edit_share",
        "prompt": "prompt_only_share",
        "soft": "soft_prompt_share",
        "self": "self_share",
        "full": "corrected_share",
    }.items():
        figures |= share_of(f"bias.{key}", shown[arm])
    share: Callable[[str], float] = lambda arm: fmean(shown[arm])  # noqa: E731
    figures["bias.gain_over_prompt_only"] = round(share("full") - share("prompt"), 3)
    figures["bias.gain_over_soft_prompt"] = round(share("full") - share("soft"), 3)
    for first, second in (("prompt", "full"), ("soft", "self"), ("self", "full"), ("soft", "full")):
        p = mcnemar(*discordant(shown[first], shown[second]))
        figures[f"bias.p.{first}_to_{second}"] = round(p, 5)
    kept = [o.profession >= RIGHT_FRAMES for o in full]
    found = [o.path_error for o in full if not np.isnan(o.path_error)]
    loss = _mean([o.background_psnr for o in plain], 2) - _mean(
        [o.background_psnr for o in full], 2
    )
    return figures | {
        **share_of("kept.profession_share", kept),
        "kept.background_psnr_db": _mean([o.background_psnr for o in full], 2),
        "kept.background_psnr_loss_db": round(loss, 2),
        "kept.path_error_px": _mean(found, 2) if found else float("nan"),
        "kept.path_found_share": round(len(found) / len(full), 3),
        "flip.rate": _mean([o.flips for o in full], 4),
        "flip.rate_plain": _mean([o.flips for o in plain], 4),
    }


def _mean(values: Sequence[float], digits: int = 3) -> float:
    return round(fmean(values), digits)


def main() -> None:
    """``python -m evenframe.benchmarks.fairness``."""
    parser = argparse.ArgumentParser(description="Measure fairness-aware editing.")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path, help="picture of the first clips to write")
    parser.add_argument("--clips", type=int, default=CLIPS)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--model", type=Path, help="folder of another model than the built-in one")
    parser.add_argument("--sweep", action="store_true", help="the strengths instead")
    parser.add_argument("--plot", type=Path, help="pictures of the sweep to write")
    args = parser.parse_args()
    model = load() if args.model is None else load(args.model)
    if args.sweep:
        figures = sweep(model, args.clips, args.steps)
        if args.plot:
            plot_sweep(args.plot, figures)
    else:
        sampler = sampling.load(args.model)
        figures = run(model, sampler, args.clips, args.steps, sheet=args.sheet)
    text = json.dumps(figures, indent=2)
    print(text)
    if args.json:
        args.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
