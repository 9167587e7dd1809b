"""Edits by ComfyUI's euler, paired with this pack's own loop: the keys `sampler.*` that need clips.

Clips of the built-in world in which one object takes another colour, edited by one control alone.
Both run ComfyUI's own classes over the miniature's weights, at the same levels but for the last,
each from its own inversion: that of the loop ends where its schedule does, with a little noise, and
that of Invert for Sampler at 0, as every scheduler there does. Needs a ComfyUI, as `sampler` does.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from ..pipelines.controls.base import Control
from ..pipelines.controls.fame.cross_reweighter import CrossReweighter
from ..pipelines.controls.fame.self_modulator import SelfModulator
from ..pipelines.controls.fatezero.fusion import Fusion
from ..pipelines.controls.reatco.joint_sampling import JointSampling
from ..pipelines.controls.reatco.refocus import Refocus
from ..pipelines.editing import edit
from ..pipelines.models.listed_schedule import ListedSchedule
from ..pipelines.models.model import Model
from ..pipelines.regions.region import mask_region
from ..pipelines.regions.regions import Regions
from . import host_models, main, sampler
from .clips import Array, Clip, inverted
from .fusion import GUIDANCE, Outcome, Task, assess, make_tasks
from .kept import kept
from .native import rel_error
from .shares import RIGHT_FRAMES, Figures, paired_p, share_of, with_interval

CLIPS, FRAMES, STEPS, REACH, SAME = 40, 5, 12, 8, 3
"""REACH: pixels by which a region is larger than its object. SAME: clips that both edit from one
inversion, too."""
CHAINS = "fusion", "boost", "irjs", "fame"
WAYS = "loop", "ksampler"
TARGETS = {
    f"sampler.{chain}.{figure}": most
    for chain in CHAINS
    for figure, most in (("below_interval", 0.0), ("background_change_db", 0.5))
} | {"sampler.same_inversion_rel_error": 1e-4}
"""The most that a figure may be."""


def run(clips: int = CLIPS, steps: int = STEPS, keep: Path | None = None) -> Figures:
    """Measure; each share comes with its 95 % Wilson interval. keep: see `kept`."""
    reason = host_models.find()
    if reason:
        print(f"sampler_shares: not measured, {reason}")
        return {}
    with torch.inference_mode():
        _, model = host_models.miniature()
        tasks = make_tasks(clips)
        told = [
            kept(keep, f"sampler-{i:03}", (task, steps), partial(measured, model, steps, task))
            for i, task in enumerate(tasks)
        ]
        figures = summary([{arm: Outcome(**o) for arm, o in one.items()} for one in told])
        same = inverted(model, tasks[:SAME], FRAMES, steps, keyframes="mid")
        apart = [
            Pair(model, clip).apart(controls(clip, chain)) for clip in same for chain in CHAINS
        ]
        return {"sampler.same_inversion_rel_error": max(apart), **figures}


def measured(model: Model, steps: int, task: Task) -> dict[str, dict[str, float]]:
    """The outcome of every arm, `CHAIN.WAY`, for a clip."""
    [clip] = inverted(model, [task], FRAMES, steps, keyframes="mid")
    pair = Pair(model, clip)
    found: dict[str, dict[str, float]] = {}
    for chain in CHAINS:
        for way, latents in zip(WAYS, (pair.by_loop, pair.by_sampler), strict=True):
            frames: Array = model.codec.decode(latents(controls(clip, chain))).numpy()
            outcome = assess(task, clip.frames, clip.inside, frames)
            found[f"{chain}.{way}"] = asdict(outcome)
    return found


def controls(clip: Clip, chain: str) -> list[Control]:
    """Of a chain: each acts alone, for fusion's attention knows nothing of what others raise."""
    task: Task = clip.task
    item, [fusion] = task.target.items[task.item], task.controls("fusion")
    size = clip.frames.shape[1], clip.frames.shape[2]
    named: dict[str, Any] = {"name": "it", "words": item.phrase()}
    named |= {"grow": REACH, "soften": 0}
    mask = torch.from_numpy(clip.inside >= 0.5).float()
    regions = Regions((mask_region(mask, len(mask), size, **named),), len(mask), size)
    own: Fusion = fusion
    words = CrossReweighter((str(item.colour),), regions=regions)
    every: dict[str, list[Control]] = {
        "fusion": [own],
        "boost": [Refocus(regions, guide_by="boost")],
        "irjs": [JointSampling(regions)],
        "fame": [SelfModulator(regions=regions), words],
    }
    return every[chain]


@dataclass(frozen=True, eq=False)
class Pair:
    """A clip in the hands of both."""

    model: Model
    clip: Clip

    def by_loop(self, chain: Sequence[Control]) -> torch.Tensor:
        """The latents (f, c, h, w) that this pack's own loop ends with."""
        prompt, inversion = self.clip.task.target.prompt, self.clip.inversion
        return edit(self.model, inversion, prompt, controls=chain, guidance_scale=GUIDANCE)

    def by_sampler(self, chain: Sequence[Control]) -> torch.Tensor:
        """Those of ComfyUI's euler, over an empty latent."""
        source, noise = self._inverted
        given: dict[str, Any] = {"sigmas": self._sigmas, "scale": GUIDANCE, "negative": ""}
        given |= {"noise": noise.noise, "positive": sampler.conditioned(source.source.target)}
        steered = sampler.steered(self.model, None, *chain, attached=self._attach(source))
        return sampler.sampled(steered, self.model, **given)

    def apart(self, chain: Sequence[Control]) -> float:
        """|loop - sampler| / |sampler| of the final latents, both from the sampler's inversion, at
        its levels."""
        from ..nodes.host.native.levels import level_of

        sampling, target = sampler.sampling_of(self.model), self.clip.task.target.prompt
        levels = [level_of(sampling, float(sigma)) for sigma in self._sigmas]
        listed, denoiser = ListedSchedule("epsilon", levels), self.model.denoiser
        model = replace(self.model, schedule=listed, denoiser=replace(denoiser, kind="epsilon"))  # type: ignore[type-var]
        inversion = replace(self._inverted[0].source.inversion, times=listed.times(len(levels) - 1))
        ours = edit(model, inversion, target, controls=chain, guidance_scale=GUIDANCE)
        return rel_error(ours, self.by_sampler(chain))

    @property
    def _sigmas(self) -> torch.Tensor:
        levels = self.clip.inversion.levels(self.model.schedule)[:-1]
        return torch.tensor([*(level.noise / level.signal for level in levels), 0.0])

    @cached_property
    def _inverted(self) -> tuple[Any, Any]:
        """What goes with the MODEL, and the noise to start with, by Invert for Sampler."""
        from ..nodes.host.native.attached import Source
        from ..nodes.host.native.inverting import inverted

        own = self.clip.inversion
        target = self.model.text.encode(self.clip.task.target.prompt)
        known: dict[str, Any] = {"keyframes": own.keyframes}
        source = Source(self.model, own.prompt, target, own.trajectory[0], **known)
        given = sampler.steered(self.model, source), self._sigmas, own.solver
        attached, _, noise = inverted(*given, on_step=lambda _: None)
        return attached, noise

    def _attach(self, attached: Any) -> Any:
        from ..nodes.host.native.samplers import put

        return put(sampler.patcher_of(self.model), attached)


def summary(clips: Sequence[Mapping[str, Outcome]]) -> Figures:
    """Shares of clips that show what was asked, and how far a control's two ways are apart.

    below_interval: by how much the share of the sampler lies below the loop's interval.
    background_change_db: |loop - sampler|, of their means.
    """
    figures: Figures = {}
    for chain in CHAINS:
        arms = [f"{chain}.{way}" for way in WAYS]
        right = [[clip[arm].right >= RIGHT_FRAMES for clip in clips] for arm in arms]
        for arm, held in zip(arms, right, strict=True):
            figures |= share_of(f"sampler.{arm}.share", held)
        key = f"sampler.{chain}"
        _, low, _ = with_interval(figures, f"{key}.loop.share")
        figures[f"{key}.below_interval"] = round(max(0.0, low - fmean(right[1])), 3)
        figures[f"{key}.paired_p"] = paired_p(*right)
        background = [fmean(clip[arm].background_psnr for clip in clips) for arm in arms]
        for arm, mean in zip(arms, background, strict=True):
            figures[f"sampler.{arm}.background_psnr_db"] = round(mean, 2)
        figures[f"{key}.background_change_db"] = round(abs(background[1] - background[0]), 2)
    return figures


if __name__ == "__main__":
    main(__file__)
