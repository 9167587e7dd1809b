"""Two objects replaced, each on its own side, where the truth is known: `refocus.*`, `invariant.*`.

Clips of the miniature's world in which two equal objects move; the target prompt names two others
and which is on which side. Regions are boxes around the objects' true places. The miniature's own
judge looks at the pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil, floor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..miniature.judge import analyse
from ..miniature.scenes import Item, Scene, compose, render, sample_scene
from ..miniature.verdict import Verdict, judge_scene
from ..miniature.vocabulary import OBJECT_COLOURS, SHAPES, SIZE, plural
from ..pipelines.backbone import Backbone
from ..pipelines.controls.joint_sampling import JointSampling
from ..pipelines.controls.refocus import Refocus
from ..pipelines.editing import edit
from ..pipelines.inversion import Inversion, invert
from ..pipelines.measure.psnr import psnr
from ..pipelines.paste import paste_outside
from ..pipelines.region import Box, Regions, box_region, grown
from .shares import share

SEED = 4000
FRAMES, EVERY, STEPS, GUIDANCE_SCALE = 4, 3, 25, 5.0
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


def cases(count: int, seed: int = SEED) -> list[Case]:
    """Seeded cases; the same for every setting that is compared."""
    made = _cases(np.random.default_rng(seed))
    return [next(made) for _ in range(count)]


def _cases(rng: np.random.Generator) -> Iterator[Case]:
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
        yield Case(source, target, _clip(source), _regions(target))


def _clip(scene: Scene) -> Tensor:
    return torch.from_numpy(np.stack([render(scene, EVERY * f)[0] for f in range(FRAMES)]))


def _regions(scene: Scene) -> Regions:
    size = (SIZE, SIZE)
    items = tuple(
        box_region(
            [_box(item, EVERY * frame) for frame in range(FRAMES)],
            size,
            name=item.phrase(),
            words=f"{item.colour}, {item.word}",
        )
        for item in scene.items
    )
    return Regions(items, FRAMES, size)


def _box(item: Item, frame: int) -> Box:
    """Around an object, on the grid of the latents: what lies outside is whole cells."""
    (x, y), reach = item.centre(frame), item.radius + MARGIN
    left, top = (max(0, CELL * floor((v - reach) / CELL)) for v in (x, y))
    right, bottom = (min(SIZE, CELL * ceil((v + reach) / CELL)) for v in (x, y))
    return left, top, right, bottom


def inverted(model: Backbone, case: Case) -> Inversion:
    """The inversion that all edits of a case start from."""
    return invert(model, case.frames, case.source.prompt, steps=STEPS, store="recompute")


def edited(
    model: Backbone,
    case: Case,
    inversion: Inversion,
    *controls: Any,
    prompt: str | None = None,
) -> Tensor:
    """The frames of an edit with these controls, (f, h, w, 3). prompt: another than the case's."""
    asked = case.target.prompt if prompt is None else prompt
    latents = edit(model, inversion, asked, controls=controls, guidance_scale=GUIDANCE_SCALE)
    return model.decode(latents, slice_size=FRAMES)


def placed(case: Case, frames: Tensor, aspects: Sequence[str] = ("color", "shape")) -> bool:
    """Whether most frames show both objects, right in these aspects, each on its side."""
    seen = [judge_scene(case.target, analyse(frame.numpy())) for frame in frames]
    return sum(_right(verdict, aspects) for verdict in seen) > len(seen) / 2


def _right(verdict: Verdict, aspects: Sequence[str]) -> bool:
    return all(all(verdict.answers[aspect]) for aspect in (*aspects, "relation"))


def refocusing(model: Backbone, count: int) -> dict[str, float]:
    """Shares of clips with both objects in their places, with RAD and without, paired.

    The prompt names the sides. `share_colour_*` asks for colours and sides only, not for shapes.
    """
    right: dict[str, int] = {}
    for case in cases(count):
        inversion = inverted(model, case)
        for name, controls in (("with", [Refocus(case.regions)]), ("without", [])):
            frames = edited(model, case, inversion, *controls)
            for key, aspects in ((name, ("color", "shape")), (f"colour_{name}", ("color",))):
                right[key] = right.get(key, 0) + placed(case, frames, aspects)
    figures = {}
    for name, number in right.items():
        figures |= share(f"refocus.share_{name}", number, count)
    figures["refocus.gain"] = figures["refocus.share_with"] - figures["refocus.share_without"]
    return figures


def unsaid(model: Backbone, count: int, swept: int) -> dict[str, float]:
    """The same where the prompt says "and", and only the regions say which object is where.

    swept: clips for each of FRACTIONS.
    """
    right = {"with": 0, "without": 0}
    by_fraction = dict.fromkeys(FRACTIONS, 0)
    for index, case in enumerate(cases(count)):
        inversion, prompt = inverted(model, case), case.unsaid
        plain = edited(model, case, inversion, prompt=prompt)
        refocused = edited(model, case, inversion, Refocus(case.regions), prompt=prompt)
        right["without"] += placed(case, plain)
        right["with"] += placed(case, refocused)
        for fraction in FRACTIONS if index < swept else ():
            known = fraction == Refocus.top_fraction
            control = Refocus(case.regions, top_fraction=fraction)
            frames = refocused if known else edited(model, case, inversion, control, prompt=prompt)
            by_fraction[fraction] += placed(case, frames)
    figures = {}
    for name, number in right.items():
        figures |= share(f"refocus.unsaid_share_{name}", number, count)
    figures["refocus.unsaid_gain"] = (
        figures["refocus.unsaid_share_with"] - figures["refocus.unsaid_share_without"]
    )
    for fraction, number in by_fraction.items():
        figures |= share(f"refocus.unsaid_share_k{fraction * 100:.0f}", number, swept)
    return figures


def invariant(model: Backbone, count: int) -> dict[str, float]:
    """How well the surroundings are kept: PSNR in dB outside of the regions, mean over clips.

    The autoencoder's own reconstruction is of the source. `pasted` is its reconstruction of the
    edit with the source pasted outside: what it makes of the same surroundings where something
    else stands inside. `cell_away` leaves out one latent's width beside the regions, where the
    decoder mixes both sides.
    """
    found: dict[str, list[float]] = {}
    equal = True
    for case in cases(count):
        inversion = inverted(model, case)
        refocus, joint = Refocus(case.regions), JointSampling(case.regions)
        kept = edited(model, case, inversion, refocus, joint)
        mask = case.regions.coverage(case.regions.frame_size)
        pasted, outside = paste_outside(kept, case.frames, mask), mask == 0
        away = grown(mask, CELL) == 0
        rebuilt = _rebuilt(model, case.frames)
        for name, frames, where in (
            ("off", edited(model, case, inversion, refocus), outside),
            ("on", kept, outside),
            ("autoencoder", rebuilt, outside),
            ("pasted", _rebuilt(model, pasted), outside),
            ("on_away", kept, away),
            ("autoencoder_away", rebuilt, away),
        ):
            found.setdefault(name, []).append(psnr(frames[where], case.frames[where]))
        equal &= torch.equal(pasted[outside], case.frames[outside])
    mean = {name: sum(values) / len(values) for name, values in found.items()}
    return {
        "invariant.psnr_off_db": mean["off"],
        "invariant.psnr_on_db": mean["on"],
        "invariant.psnr_gain_db": mean["on"] - mean["off"],
        "invariant.psnr_to_autoencoder_db": mean["autoencoder"] - mean["on"],
        "invariant.psnr_to_pasted_autoencoder_db": mean["pasted"] - mean["on"],
        "invariant.psnr_to_autoencoder_cell_away_db": mean["autoencoder_away"] - mean["on_away"],
        "invariant.pasted_equal": float(equal),
    }


def _rebuilt(model: Backbone, frames: Tensor) -> Tensor:
    return model.decode(model.encode(frames), slice_size=len(frames))
