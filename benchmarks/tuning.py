"""What one-shot tuning does for a shape edit, judged from pixels: the keys `tuning.*`.

Clips of the built-in world in which one object becomes another shape, edited by the model as it is
(`without`), with group norm over the clip alone (`norm`), and tuned on the clip (`with`): as
Tune-A-Video edits, inverted with the empty prompt, at a guidance of 12.5, and with nothing else to
hold on to. All from the same frames, so their clips are pairs. The target scene is known, and with
it how each pixel should move: `wobble` is what changes from frame to frame beside that. With a
folder to keep results in, a run that was cut goes on where it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from time import process_time

import numpy as np
import torch

from ..miniature import NAME
from ..miniature.judge import analyse
from ..miniature.scenes import render
from ..miniature.verdict import judge_scene
from ..pipelines.editing import edit
from ..pipelines.models.delta import Delta
from ..pipelines.models.families import load
from ..pipelines.models.model import Model
from ..pipelines.source.inversion import invert
from ..pipelines.tuning.one_shot import tune
from ..pipelines.tuning.settings import Tuning
from . import main
from .clips import Array, psnr_where, rendered
from .first_frame import Task, make_tasks
from .kept import Told, kept
from .shares import RIGHT_FRAMES, Figures, gain, paired_p, share_of

SEED, CLIPS, FRAMES, STEPS, GUIDANCE = 7700, 40, 5, 12, 12.5
TUNING = Tuning(steps=100, learning_rate=3e-4, checkpointing="off")
ARMS = ("without", "norm", "with")
SWEEP = ((50, 3e-4), (200, 3e-4), (100, 1e-4), (100, 1e-3))
"""Steps and learning rate beside those of `TUNING`."""
FLOORS = {"tuning.right_gain": 0.15}
TARGETS = {"tuning.wobble_ratio": 0.8}


@dataclass(frozen=True)
class Outcome:
    """What one arm made of one clip.

    right: share of frames that show what the target prompt says. wobble: mean change of a pixel
    from frame to frame, 0..1, beside the one that the target scene has. outside_db: PSNR to the
    source where neither object is. seconds: of the CPU.
    """

    right: float
    wobble: float
    outside_db: float
    seconds: float


def run(
    clips: int = CLIPS, steps: int = STEPS, keep: Path | None = None, sweep: bool = False
) -> Figures:
    """Measure; each share comes with its 95 % Wilson interval."""
    model, arms = load(NAME), dict.fromkeys(ARMS, TUNING)
    if sweep:
        more = (Tuning(count, rate, checkpointing="off") for count, rate in SWEEP)
        arms |= {f"with_{each.steps}_{each.learning_rate:g}": each for each in more}
    found: dict[str, list[Outcome]] = {arm: [] for arm in arms}
    for index, task in enumerate(_tasks(clips)):
        for arm, tuning in arms.items():
            facts = task, tuning, steps
            tried = partial(outcome_of, model, task, arm, tuning, steps)
            told = kept(keep, f"tuning-{index:03}-{arm}", facts, tried)
            found[arm].append(Outcome(**told))
    return summary(found)


def _tasks(count: int) -> list[Task]:
    """Of the scenes of First Frame those in which a shape becomes another."""
    return [task for task in make_tasks(2 * count, SEED) if not task.recoloured][:count]


def outcome_of(model: Model, task: Task, arm: str, tuning: Tuning, steps: int) -> Told:
    """Tune where the arm does, invert, edit, and judge; tells an `Outcome`."""
    start = process_time()
    pixels, _ = rendered(task.source, FRAMES)
    frames = torch.from_numpy(pixels)
    if arm == "norm":
        model = model.with_delta(Delta("norm", norm="clip"))
    elif arm != "without":
        model = model.with_delta(tune(model, frames, task.source.prompt, tuning))
    walk = {"steps": steps, "keyframes": tuning.keyframes, "layers": "all", "store": "recompute"}
    inversion = invert(model, frames, "", **walk)
    latents = edit(model, inversion, task.target.prompt, guidance_scale=GUIDANCE)
    made = model.codec.decode(latents).numpy()
    return asdict(_judged(task, pixels, made, process_time() - start))


def _judged(task: Task, source: Array, made: Array, seconds: float) -> Outcome:
    """source, made: (f, 128, 128, 3) in 0..1."""
    drawn = [(render(task.source, i), render(task.target, i)) for i in range(len(made))]
    outside = np.stack([(one[1][task.item] == 0) & (two[1][task.item] == 0) for one, two in drawn])
    truth = np.stack([target for _, (target, _) in drawn])
    verdicts = [judge_scene(task.target, analyse(frame)) for frame in made]
    return Outcome(
        right=fmean(verdict.right for verdict in verdicts),
        wobble=float(np.abs(np.diff(made, axis=0) - np.diff(truth, axis=0)).mean()),
        outside_db=psnr_where(made, source, outside),
        seconds=seconds,
    )


def summary(found: Mapping[str, Sequence[Outcome]]) -> Figures:
    """Figures of every arm, and what tuning adds."""
    right = {arm: [o.right >= RIGHT_FRAMES for o in each] for arm, each in found.items()}
    wobble = {arm: fmean(o.wobble for o in each) for arm, each in found.items()}
    lower = [o.wobble < p.wobble for o, p in zip(found["with"], found["without"], strict=True)]
    figures: Figures = {
        "tuning.right_gain": gain(right["without"], right["with"]),
        "tuning.right_gain_p": paired_p(right["without"], right["with"]),
        "tuning.wobble_ratio": round(wobble["with"] / wobble["without"], 3),
        **share_of("tuning.wobble_lower", lower),
    }
    for arm, each in found.items():
        figures |= share_of(f"tuning.{arm}.right", right[arm])
        figures[f"tuning.{arm}.right_frames"] = round(fmean(o.right for o in each), 3)
        figures[f"tuning.{arm}.wobble"] = round(wobble[arm], 5)
        figures[f"tuning.{arm}.outside_db"] = round(fmean(o.outside_db for o in each), 2)
        figures[f"tuning.{arm}.cpu_seconds"] = round(fmean(o.seconds for o in each), 1)
    return figures


if __name__ == "__main__":
    main(__file__)
