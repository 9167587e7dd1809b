"""Edits by ComfyUI's euler, paired with this pack's own loop: the keys `sampler.*` that need clips.

Clips of the built-in world in which one object takes another colour, edited by four chains of
controls. Both loops run ComfyUI's own classes over the miniature's weights, from one inversion.
Needs a ComfyUI, as `sampler` does.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any

import torch

from ..pipelines.controls.base import Control
from ..pipelines.controls.fame.cross_reweighter import CrossReweighter
from ..pipelines.controls.fatezero.fusion import Fusion
from ..pipelines.controls.reatco.joint_sampling import JointSampling
from ..pipelines.controls.reatco.refocus import Refocus
from ..pipelines.editing import edit
from ..pipelines.models.model import Model
from ..pipelines.regions.region import mask_region
from ..pipelines.regions.regions import Regions
from . import host_models, main, sampler
from .clips import Array, Clip, inverted, outcomes
from .fusion import FRAMES, GUIDANCE, Outcome, Task, assess, make_tasks
from .shares import RIGHT_FRAMES, Figures, share_of

CLIPS, STEPS, REACH = 40, 25, 8
"""REACH: pixels by which a region is larger than its object."""
CHAINS = "fusion", "boost", "irjs", "fame"
BY_SAMPLER = ".ksampler"


def run(clips: int = CLIPS, steps: int = STEPS) -> Figures:
    """Measure; each share comes with its 95 % Wilson interval."""
    reason = host_models.find()
    if reason:
        print(f"sampler_shares: not measured, {reason}")
        return {}
    arms = [f"{chain}{by}" for chain in CHAINS for by in ("", BY_SAMPLER)]
    with torch.inference_mode():
        _, model = host_models.miniature()
        made = inverted(model, make_tasks(clips), FRAMES, steps, keyframes="mid")
        return summary(outcomes(made, arms, partial(edited, model), assess))


def controls(clip: Clip, chain: str) -> list[Control]:
    """Of a chain: fusion, and what else there is."""
    task: Task = clip.task
    item, [fusion] = task.target.items[task.item], task.controls("fusion")
    size = clip.frames.shape[1], clip.frames.shape[2]
    named: dict[str, Any] = {"name": "it", "words": f"{item.colour}, {item.word}"}
    named |= {"grow": REACH, "soften": 0}
    mask = torch.from_numpy(clip.inside >= 0.5).float()
    regions = Regions((mask_region(mask, len(mask), size, **named),), len(mask), size)
    more: dict[str, list[Control]] = {
        "fusion": [],
        "boost": [Refocus(regions, guide_by="boost")],
        "irjs": [JointSampling(regions)],
        "fame": [CrossReweighter((str(item.colour),), regions=regions)],
    }
    own: Fusion = fusion
    return [own, *more[chain]]


def edited(model: Model, clip: Clip, arm: str) -> Array:
    """Edited frames (f, 128, 128, 3)."""
    chain = controls(clip, arm.removesuffix(BY_SAMPLER))
    way = by_sampler if arm.endswith(BY_SAMPLER) else by_loop
    return model.codec.decode(way(model, clip, chain)).numpy()


def by_loop(model: Model, clip: Clip, chain: Sequence[Control]) -> torch.Tensor:
    """The latents that this pack's own loop ends with."""
    prompt = clip.task.target.prompt
    return edit(model, clip.inversion, prompt, controls=chain, guidance_scale=GUIDANCE)


def by_sampler(model: Model, clip: Clip, chain: Sequence[Control]) -> torch.Tensor:
    """Those of ComfyUI's euler, from the inversion's noise at its levels."""
    from ..nodes.host.native.attached import Source
    from ..nodes.host.native.inverting import starting_noise

    inversion, target = clip.inversion, model.text.encode(clip.task.target.prompt)
    known: dict[str, Any] = {"inversion": inversion, "keyframes": inversion.keyframes}
    source = Source(model, inversion.prompt, target, inversion.trajectory[0], **known)
    levels = inversion.levels(model.schedule)[:-1]
    sigmas = [level.noise / level.signal for level in levels]
    patcher: Any = sampler.patcher_of(model)
    sampling = patcher.get_model_object("model_sampling")
    given: dict[str, Any] = {"sigmas": torch.tensor([*sigmas, 0.0]), "scale": GUIDANCE}
    given["noise"] = starting_noise(source, sampling, sigmas[0], inversion.trajectory[-1])
    given |= {"positive": sampler.conditioned(target), "negative": ""}
    return sampler.sampled(sampler.steered(model, source, *chain), model, **given)


def summary(outcomes: Mapping[str, Sequence[Outcome]]) -> Figures:
    """Shares of clips that show what was asked, and by how much the background differs, in dB."""
    figures: Figures = {}
    for arm, found in outcomes.items():
        figures |= share_of(f"sampler.{arm}.share", [o.right >= RIGHT_FRAMES for o in found])
    for chain in CHAINS:
        ours, theirs = (
            fmean(o.background_psnr for o in outcomes[f"{chain}{by}"]) for by in ("", BY_SAMPLER)
        )
        figures[f"sampler.{chain}.background_change_db"] = round(theirs - ours, 2)
    return figures


if __name__ == "__main__":
    main(__file__)
