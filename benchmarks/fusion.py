"""What FateZero's fusion does to an edit, judged from pixels: the keys `fusion.*`.

Clips of the built-in world in which one object takes another colour; each is edited plainly, with
fusion, with a mask for its self-attention, with the latents kept outside that mask, too, and with
the mask for the latents alone, which is what a change of colour wants. All five start from the same
inversion, so their clips are pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean

import numpy as np

from ..miniature import NAME
from ..miniature.judge import analyse
from ..miniature.sample_scenes import sample_scene
from ..miniature.scenes import Scene, compose
from ..miniature.verdict import Verdict, judge_scene
from ..miniature.vocabulary import HELD_OUT_OBJECTS, OBJECT_COLOURS
from ..pipelines.controls.fatezero.fusion import Fusion
from ..pipelines.controls.span import Span
from ..pipelines.editing import edit
from ..pipelines.models.families import load
from ..pipelines.models.model import Model
from . import main
from .clips import Array, Clip, inverted, outcomes, psnr_where
from .shares import RIGHT_FRAMES, Figures, paired_p, share_of

SEED, CLIPS, FRAMES, STEPS, GUIDANCE = 7100, 60, 8, 25, 4.0
REACH = 6.0
"""Distance in pixels from its true place within which an object counts as kept in place."""

ARMS = ("plain", "fusion", "mask", "blend", "latents")


@dataclass(frozen=True)
class Task:
    """A clip and its edit: `item` of the source scene has another colour in the target."""

    source: Scene
    target: Scene
    item: int

    @property
    def asked(self) -> str:
        return self.target.prompt

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


def run(clips: int = CLIPS, steps: int = STEPS, sheet: Path | None = None) -> Figures:
    """Measure; each share comes with its 95 % Wilson interval."""
    model = load(NAME)
    made = inverted(model, make_tasks(clips), FRAMES, steps, keyframes="mid")
    return summary(outcomes(made, ARMS, partial(edited, model), assess, sheet))


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


def edited(model: Model, clip: Clip, arm: str) -> Array:
    """Edited frames (f, 128, 128, 3)."""
    task: Task = clip.task
    latents = edit(
        model,
        clip.inversion,
        task.target.prompt,
        controls=task.controls(arm),
        guidance_scale=GUIDANCE,
    )
    return model.codec.decode(latents).numpy()


def assess(task: Task, source: Array, inside: Array, edited: Array) -> Outcome:
    """Judge an edit.

    source, edited: (f, 128, 128, 3) in 0..1. inside: (f, 128, 128), the edited object's true mask.
    """
    verdicts = [judge_scene(task.target, analyse(frame)) for frame in edited]
    colours = np.stack([f[m >= 0.5].mean(0) for f, m in zip(edited, inside, strict=True)])  # f 3
    return Outcome(
        right=fmean(verdict.right for verdict in verdicts),
        placed=fmean(_in_place(task.source, v, frame) for frame, v in enumerate(verdicts)),
        background_psnr=psnr_where(edited, source, inside == 0),
        flicker=float(np.abs(np.diff(colours, axis=0)).mean()),
    )


def _in_place(scene: Scene, verdict: Verdict, frame: int) -> bool:
    for item, found in zip(scene.items, verdict.matched, strict=True):
        if found is None or np.hypot(*np.subtract(item.centre(frame), (found.x, found.y))) > REACH:
            return False
    return True


def summary(outcomes: Mapping[str, Sequence[Outcome]]) -> Figures:
    """Figures of every arm, and those of `latents` against the plain edit."""
    right = {arm: [o.right >= RIGHT_FRAMES for o in found] for arm, found in outcomes.items()}
    background = {arm: fmean(o.background_psnr for o in found) for arm, found in outcomes.items()}
    figures: Figures = {
        "fusion.right_share": round(fmean(right["latents"]), 3),
        "fusion.right_gain_p": paired_p(right["plain"], right["latents"]),
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


if __name__ == "__main__":
    main(__file__)
