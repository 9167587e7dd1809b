"""Two objects replaced, each on its own side, where the truth is known: `refocus.*`, `invariant.*`.

Clips of the miniature's world in which two equal objects move; the target prompt names two others
and which is on which side. Regions are boxes around the objects' true places. The miniature's own
judge looks at the pixels.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil, floor
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..miniature.judge import analyse
from ..miniature.sample_scenes import sample_scene
from ..miniature.scenes import Item, Scene, compose
from ..miniature.verdict import Verdict, judge_scene
from ..miniature.vocabulary import OBJECT_COLOURS, SHAPES, SIZE, plural
from ..pipelines.common.grids import Box
from ..pipelines.controls.reatco.joint_sampling import JointSampling
from ..pipelines.controls.reatco.refocus import Refocus
from ..pipelines.controls.span import Span
from ..pipelines.editing import edit
from ..pipelines.measure.psnr import psnr
from ..pipelines.models.model import Model
from ..pipelines.pasting.edge import Edge
from ..pipelines.regions.region import box_region
from ..pipelines.regions.regions import Regions
from ..pipelines.source.inversion import Inversion, invert
from .clips import rendered
from .shares import gain, paired_p, share_of

SEED = 4000
FRAMES, EVERY, STEPS, GUIDANCE_SCALE = 4, 3, 25, 7.5
MARGIN, CELL = 2.0, 8
"""Least pixels between an object and the edge of its box, and a latent's side in pixels."""
FRACTIONS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.0)


@dataclass(frozen=True, eq=False)
class Case:
    """A clip and what shall become of it. frames: (f, h, w, 3)."""

    source: Scene
    target: Scene
    frames: Tensor
    regions: Regions

    @property
    def unsaid(self) -> str:
        """The target prompt with "and" in the place of the sides."""
        return compose(self.target.kind, self.target.items, self.target.background).prompt


def cases(count: int, seed: int = SEED, margin: float = MARGIN) -> list[Case]:
    """Seeded cases; the same for every setting that is compared."""
    made = _cases(np.random.default_rng(seed), margin)
    return [next(made) for _ in range(count)]


def _cases(rng: np.random.Generator, margin: float) -> Iterator[Case]:
    while True:
        target = sample_scene(rng, "two")
        first, second = target.items
        sideways = target.relation in ("left of", "right of")
        alike = first.colour == second.colour or first.noun == second.noun
        if not sideways or alike or not target.says_background:
            continue
        colours = [c for c in OBJECT_COLOURS if c not in (first.colour, second.colour)]
        shapes = [s for s in SHAPES if s not in (first.noun, second.noun)]
        colour, shape = str(rng.choice(colours)), str(rng.choice(shapes))
        items = tuple(
            replace(item, colour=colour, noun=shape, word=plural(shape)) for item in target.items
        )
        source = compose("count", items, target.background)
        frames, _ = rendered(source, FRAMES, EVERY)
        yield Case(source, target, torch.from_numpy(frames), _regions(target, margin))


def _regions(scene: Scene, margin: float) -> Regions:
    size = (SIZE, SIZE)
    items = tuple(
        box_region(
            [_box(item, EVERY * frame, margin) for frame in range(FRAMES)],
            size,
            name=item.phrase(),
            words=f"{item.colour}, {item.word}",
        )
        for item in scene.items
    )
    return Regions(items, FRAMES, size)


def _box(item: Item, frame: int, margin: float) -> Box:
    """Around an object, on the grid of the latents: what lies outside is whole cells."""
    (x, y), reach = item.centre(frame), item.radius + margin
    left, top = (max(0, CELL * floor((v - reach) / CELL)) for v in (x, y))
    right, bottom = (min(SIZE, CELL * ceil((v + reach) / CELL)) for v in (x, y))
    return left, top, right, bottom


def inverted(model: Model, case: Case) -> Inversion:
    """The inversion that all edits of a case start from."""
    return invert(model, case.frames, case.source.prompt, steps=STEPS, store="recompute")


def edited(
    model: Model,
    case: Case,
    inversion: Inversion,
    *controls: Any,
    prompt: str | None = None,
) -> Tensor:
    """The frames of an edit with these controls, (f, h, w, 3). prompt: another than the case's."""
    asked = case.target.prompt if prompt is None else prompt
    latents = edit(model, inversion, asked, controls=controls, guidance_scale=GUIDANCE_SCALE)
    return model.codec.decode(latents, slice_size=FRAMES)


def placed(case: Case, frames: Tensor) -> bool:
    """Whether most frames show both objects, right in colour and shape, each on its side."""
    seen = [judge_scene(case.target, analyse(frame.numpy())) for frame in frames]
    return sum(map(_right, seen)) > len(seen) / 2


def _right(verdict: Verdict) -> bool:
    return all(all(verdict.answers[aspect]) for aspect in ("color", "shape", "relation"))


def _refocus(case: Case, top_fraction: float = Refocus.top_fraction) -> Refocus:
    """RAD as this model follows it best: refined, on the maps as they are (the paper's losses,
    without the public code's sharpening), and over before the outlines are drawn."""
    return Refocus(
        case.regions, steps=Span(0.0, 0.4), top_fraction=top_fraction, sharpen=False, refine=True
    )


def refocusing(model: Model, count: int, swept: int) -> dict[str, float]:
    """Shares of clips with both objects in their places, with RAD and without, paired.

    `share_*`: the prompt names the sides. `unsaid_share_*`: it says "and", and only the regions say
    which object is where. swept: clips on which each of FRACTIONS is tried, the sides unsaid.
    """
    right: defaultdict[str, list[bool]] = defaultdict(list)
    for index, case in enumerate(cases(count)):
        inversion = inverted(model, case)
        for key, prompt in (("share", case.target.prompt), ("unsaid_share", case.unsaid)):
            for arm, controls in (("with", [_refocus(case)]), ("without", [])):
                frames = edited(model, case, inversion, *controls, prompt=prompt)
                right[f"{key}_{arm}"].append(placed(case, frames))
        for fraction in FRACTIONS if index < swept else ():
            held = right["unsaid_share_with"][-1]
            if fraction != Refocus.top_fraction:
                control = _refocus(case, fraction)
                held = placed(case, edited(model, case, inversion, control, prompt=case.unsaid))
            right[f"unsaid_share_k{fraction * 100:.0f}"].append(held)
    figures = {}
    for key, held in right.items():
        figures |= share_of(f"refocus.{key}", held)
    for name, key in (("gain", "share"), ("unsaid_gain", "unsaid_share")):
        without, with_it = right[f"{key}_without"], right[f"{key}_with"]
        figures[f"refocus.{name}"] = gain(without, with_it)
        figures[f"refocus.{name}.p"] = paired_p(without, with_it)
    return figures


def invariant(model: Model, count: int) -> dict[str, float]:
    """How well the surroundings are kept: PSNR in dB outside of the regions, mean over clips.

    Regions have room for a cell more than the objects need, and IRJS keeps that cell too (its
    inset); `flush` is without. The autoencoder's own reconstruction is of the source. `pasted` is
    its reconstruction of the edit with the source pasted outside: what it makes of the same
    surroundings where something else stands inside.
    """
    found: defaultdict[str, list[float]] = defaultdict(list)
    equal = True
    for case in cases(count, margin=MARGIN + CELL):
        inversion = inverted(model, case)
        refocus = _refocus(case)
        off, flush, kept = (
            edited(model, case, inversion, refocus, *joint)
            for joint in (
                (),
                (JointSampling(case.regions),),
                (JointSampling(case.regions, inset=1),),
            )
        )
        edge, mask = Edge(), case.regions.coverage(case.regions.frame_size)
        pasted, outside = edge.mixed(case.frames, kept, edge.inside(mask[None])), mask == 0
        for name, frames in (
            ("off", off),
            ("flush", flush),
            ("on", kept),
            ("autoencoder", _rebuilt(model, case.frames)),
            ("pasted", _rebuilt(model, pasted)),
        ):
            found[name].append(psnr(frames[outside], case.frames[outside]))
        equal &= torch.equal(pasted[outside], case.frames[outside])
    mean = {name: fmean(values) for name, values in found.items()}
    return {
        "invariant.psnr_off_db": mean["off"],
        "invariant.psnr_on_db": mean["on"],
        "invariant.psnr_gain_db": mean["on"] - mean["off"],
        "invariant.psnr_to_autoencoder_db": mean["autoencoder"] - mean["on"],
        "invariant.psnr_to_pasted_autoencoder_db": mean["pasted"] - mean["on"],
        "invariant.psnr_flush_to_autoencoder_db": mean["autoencoder"] - mean["flush"],
        "invariant.pasted_equal": float(equal),
    }


def _rebuilt(model: Model, frames: Tensor) -> Tensor:
    return model.codec.decode(model.codec.encode(frames), slice_size=len(frames))
