"""What FateZero's fusion does to an edit, judged from pixels: the keys `fusion.*`.

Clips of the built-in world in which one object takes another colour; each is edited plainly, with
fusion, with a mask for its self-attention, with the latents kept outside that mask, too, and with
the mask for the latents alone, which is what a change of colour wants. All five start from the same
inversion, so their clips are pairs.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray

from ..miniature.contact_sheet import save_rows
from ..miniature.judge import analyse
from ..miniature.sample_scenes import sample_scene
from ..miniature.scenes import Scene, compose, render
from ..miniature.verdict import Verdict, judge_scene
from ..miniature.vocabulary import HELD_OUT_OBJECTS, OBJECT_COLOURS
from ..pipelines.controls.fatezero.fusion import Fusion
from ..pipelines.controls.span import Span
from ..pipelines.editing import edit
from ..pipelines.measure.statistics import discordant, mcnemar
from ..pipelines.models.families import load
from ..pipelines.models.model import Model
from ..pipelines.source.inversion import invert
from .shares import share_of

SEED, CLIPS, FRAMES, STEPS, GUIDANCE = 7100, 60, 8, 25, 4.0
RIGHT_FRAMES = 0.9
"""Share of a clip's frames that must be right for the clip to count as right."""
REACH = 6.0
"""Distance in pixels from its true place within which an object counts as kept in place."""

Array = NDArray[np.float32]
Figures = dict[str, float | int | str]


@dataclass(frozen=True)
class Task:
    """A clip and its edit: `item` of the source scene has another colour in the target."""

    source: Scene
    target: Scene
    item: int

    def controls(self, arm: str) -> tuple[Fusion, ...]:
        """The controls of an arm, one of `ARMS`."""
        words = (self.source.items[self.item].phrase(),)
        # A colour changes no outline, so the structure is the source's in almost all steps.
        fusion = Fusion("replace", cross_steps=0.9, self_steps=0.9)
        masked = replace(fusion, blend_words=words)
        blend = replace(masked, latent_blend=True, blend_window=Span(0.2, 1.0))
        return {
            "plain": (),
            "fusion": (fusion,),
            "mask": (masked,),
            "blend": (blend,),
            "latents": (replace(blend, self_blend=False),),
        }[arm]


ARMS = ("plain", "fusion", "mask", "blend", "latents")


@dataclass(frozen=True)
class Outcome:
    """What one arm made of one clip.

    right: share of frames that show everything the target prompt says. placed: share of frames in
    which every object is where it was. background_psnr: dB, to the source, where the edited object
    covers nothing of a pixel: its soft edge changes in a perfect edit too. flicker: mean change of
    the edited object's mean colour from frame to frame, 0..1.
    """

    right: float
    placed: float
    background_psnr: float
    flicker: float


def run(
    model: Model | None = None,
    clips: int = CLIPS,
    steps: int = STEPS,
    sheet: Path | None = None,
) -> Figures:
    """Measure; each share comes with its 95 % Wilson interval.

    model: another than the built-in one. sheet: a picture to write, of the first clips' middle
    frames: the source, then each arm.
    """
    backbone = load("miniature") if model is None else model
    tasks = make_tasks(clips)
    outcomes: dict[str, list[Outcome]] = {arm: [] for arm in ARMS}
    rows: list[Array] = []
    for task in tasks:
        rendered = [render(task.source, frame) for frame in range(FRAMES)]
        frames = np.stack([image for image, _ in rendered])
        inside = np.stack([masks[task.item] for _, masks in rendered])
        edited = edits(backbone, task, frames, steps)
        for arm, result in edited.items():
            outcomes[arm].append(assess(task, frames, inside, result))
        middle = FRAMES // 2
        rows.append(np.stack([frames[middle], *(result[middle] for result in edited.values())]))
    if sheet is not None:
        texts = [(t.source.prompt, *(f"{arm}: {t.target.prompt}" for arm in ARMS)) for t in tasks]
        save_rows(sheet, rows, texts)
    return summary(outcomes)


def make_tasks(count: int, seed: int = SEED) -> list[Task]:
    """Seeded scenes of one or two objects, and another colour for one of them.

    The colours of a scene differ from each other before and after, so that no word is ambiguous,
    and no combination that was held out of the training is asked for.
    """
    rng = np.random.default_rng(seed)
    tasks: list[Task] = []
    while len(tasks) < count:
        scene = sample_scene(rng, ("one", "two")[len(tasks) % 2])
        colours = [item.colour for item in scene.items]
        if len(set(colours)) < len(colours) or not scene.says_background:
            continue
        chosen = int(rng.integers(len(scene.items)))
        item = scene.items[chosen]
        allowed = [
            colour
            for colour in OBJECT_COLOURS
            if colour not in colours and (colour, item.noun) not in HELD_OUT_OBJECTS
        ]
        items = list(scene.items)
        items[chosen] = replace(item, colour=str(rng.choice(allowed)))
        target = compose(scene.kind, tuple(items), scene.background, scene.relation)
        tasks.append(Task(scene, target, chosen))
    return tasks


def edits(backbone: Model, task: Task, frames: Array, steps: int) -> dict[str, Array]:
    """Edited frames (f, 128, 128, 3) by arm."""
    inversion = invert(
        backbone,
        torch.from_numpy(frames),
        task.source.prompt,
        steps=steps,
        keyframes="mid",
        store="resident",
    )
    apply = partial(edit, backbone, inversion, task.target.prompt, guidance_scale=GUIDANCE)
    return {arm: backbone.codec.decode(apply(controls=task.controls(arm))).numpy() for arm in ARMS}


def assess(task: Task, source: Array, inside: Array, edited: Array) -> Outcome:
    """Judge an edit.

    source, edited: (f, 128, 128, 3) in 0..1. inside: (f, 128, 128), the edited object's true mask.
    """
    verdicts = [judge_scene(task.target, analyse(frame)) for frame in edited]
    outside = inside == 0
    error = float(((edited - source) ** 2)[outside].mean())
    colours = np.stack([f[m >= 0.5].mean(0) for f, m in zip(edited, inside, strict=True)])  # f 3
    return Outcome(
        right=fmean(verdict.right for verdict in verdicts),
        placed=fmean(_in_place(task.source, v, frame) for frame, v in enumerate(verdicts)),
        background_psnr=-10 * float(np.log10(max(error, 1e-12))),
        flicker=float(np.abs(np.diff(colours, axis=0)).mean()),
    )


def _in_place(scene: Scene, verdict: Verdict, frame: int) -> bool:
    for item, found in zip(scene.items, verdict.matched, strict=True):
        if found is None or np.hypot(*np.subtract(item.centre(frame), (found.x, found.y))) > REACH:
            return False
    return True


def summary(outcomes: dict[str, list[Outcome]]) -> Figures:
    """Figures of every arm, and those of `latents` against the plain edit."""
    right = {arm: [o.right >= RIGHT_FRAMES for o in found] for arm, found in outcomes.items()}
    background = {arm: fmean(o.background_psnr for o in found) for arm, found in outcomes.items()}
    figures: Figures = {
        "fusion.right_share": round(fmean(right["latents"]), 3),
        "fusion.right_gain_p": mcnemar(*discordant(right["plain"], right["latents"])),
        "fusion.background_gain_db": round(background["latents"] - background["plain"], 2),
    }
    for arm, found in outcomes.items():
        placed = [o.placed >= RIGHT_FRAMES for o in found]
        figures |= share_of(f"fusion.{arm}.right", right[arm])
        figures |= share_of(f"fusion.{arm}.placed", placed)
        figures[f"fusion.{arm}.right_frames"] = round(fmean(o.right for o in found), 3)
        figures[f"fusion.{arm}.background_psnr_db"] = round(background[arm], 2)
        figures[f"fusion.{arm}.flicker"] = round(fmean(o.flicker for o in found), 4)
    return figures


def main() -> None:
    """``python -m evenframe.benchmarks.fusion``."""
    parser = argparse.ArgumentParser(description="Measure FateZero's fusion on the built-in world.")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path, help="picture of the first clips to write")
    parser.add_argument("--clips", type=int, default=CLIPS)
    args = parser.parse_args()
    text = json.dumps(run(clips=args.clips, sheet=args.sheet), indent=2)
    print(text)
    if args.json:
        args.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
