"""Controls in ComfyUI's own models: the keys `native.*`.

Needs a ComfyUI ($COMFYUI_PATH, else ~/comfy/ComfyUI); without one it says so and measures nothing.
The models are small, in ComfyUI's own classes (`host_models.py`).
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from ..pipelines.controls.base import Control
from ..pipelines.controls.fame.cross_reweighter import CrossReweighter
from ..pipelines.controls.fame.self_modulator import SelfModulator
from ..pipelines.controls.fatezero.fusion import Fusion
from ..pipelines.controls.reatco.joint_sampling import JointSampling
from ..pipelines.controls.reatco.refocus import Refocus
from ..pipelines.controls.span import Span
from ..pipelines.controls.videograin.videograin import VideoGrain
from ..pipelines.editing import edit
from ..pipelines.models.model import Model
from ..pipelines.regions.region import BoxRegion
from ..pipelines.regions.regions import Regions
from ..pipelines.source.inversion import Inversion, invert
from . import host_models, main

TARGETS = {
    "native.engines_rel_error": 1e-4,
    "native.wan_engines_rel_error": 1e-4,
    "native.identity_rel_error": 1e-6,
    "native.uncond_rel_change": 1e-6,
    "native.lora_effect": 1e-4,
    "native.fp8_effect": 1e-4,
    "native.controlnet_effect": 1e-4,
    "native.plain_ratio": 1.05,
}
"""The most that a figure may be."""
STEPS, FRAMES, CLIP, SCALE, PIXELS = 6, 4, 9, 3.0, (96, 64)
SOURCE, TARGET = "a red circle on a gray background", "a yellow circle on a gray background"


def run() -> dict[str, float]:
    """Measure, on the CPU."""
    reason = host_models.find()
    if reason:
        print(f"native: not measured, {reason}")
        return {}
    with torch.inference_mode():  # as ComfyUI runs nodes
        own, theirs = host_models.miniature()
        sd, eight = host_models.sd(), host_models.sd(torch.float8_e4m3fn)
        twins = host_models.wan_twins()
        frames = _frames(FRAMES)
        return {
            "native.engines_rel_error": max(_engines(own, theirs, frames).values()),
            "native.wan_engines_rel_error": max(_engines(*twins, _frames(CLIP)).values()),
            "native.identity_rel_error": max(
                identity(model) for model in (sd, host_models.sdxl(), twins[1])
            ),
            "native.uncond_rel_change": _uncond_change(theirs, frames),
            "native.lora_effect": effect(sd, host_models.with_lora(sd)),
            "native.controlnet_effect": effect(sd, host_models.with_controlnet(sd, PIXELS)),
            "native.fp8_effect": effect(sd, eight),
            "native.plain_ratio": plain_ratio(theirs),
        }


def controls(frames: int = FRAMES, size: tuple[int, int] = (128, 128)) -> dict[str, list[Control]]:
    """The edits of a clip by which two engines are compared."""
    boxes = torch.tensor([[0.125, 0.125, 0.75, 0.75]]).expand(frames, 4) * size[1]
    regions = Regions((BoxRegion("it", "yellow, circle", boxes, size),), frames, size)
    once = Span(0, 1 / STEPS)
    return {
        "plain": [],
        "fusion": [Fusion()],
        "fusion with masks": [Fusion(blend_words=("circle",))],
        "RAD, one step": [Refocus(regions, steps=once, refine=False)],
        "IRJS": [JointSampling(regions)],
        "FAME": [SelfModulator(regions=regions), CrossReweighter(("yellow",), regions=regions)],
        "VideoGrain": [VideoGrain(regions, local_words=False)],  # in a host's sampler, too
    }


def _engines(own: Model, theirs: Model, frames: Tensor) -> dict[str, float]:
    """|a - b| / |b| of the final latents, by edit."""
    first, second = (invert(model, frames, SOURCE, steps=STEPS) for model in (own, theirs))
    changed = {"inversion": rel_error(second.trajectory, first.trajectory)}
    given = {"steps": STEPS, "solver": "uni-inv"}
    a, b = (invert(model, frames, SOURCE, **given).trajectory for model in (own, theirs))
    changed["uni-inv"] = rel_error(b, a)
    for name, each in controls(len(frames)).items():
        a, b = edit(own, first, TARGET, controls=each), edit(theirs, second, TARGET, controls=each)
        changed[name] = rel_error(b, a)
    return changed


def identity(model: Model) -> float:
    """An edit without controls against ComfyUI's own Euler sampler at the same levels."""
    inversion = noise(model)
    ours = edit(model, inversion, TARGET, negative="blurry", guidance_scale=SCALE)
    return rel_error(ours, by_host(model, inversion))


def effect(without: Model, changed: Model) -> float:
    """|ours - theirs| / |theirs| of what a change of the model does to an edit."""
    inversion = noise(without)
    same = replace(changed, fingerprint=without.fingerprint)
    given = {"negative": "blurry", "guidance_scale": SCALE}
    ours, plain = (edit(model, inversion, TARGET, **given) for model in (same, without))
    theirs = by_host(same, inversion) - by_host(without, inversion)
    return rel_error(ours - plain, theirs)


def noise(model: Model, pixels: tuple[int, int] = PIXELS) -> Inversion:
    """What stands for an inversion: random latents at every level."""
    size = pixels[0] // 8, pixels[1] // 8
    shape = STEPS + 1, FRAMES, model.codec.channels, *size
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    prompt, times = model.text.encode(SOURCE), model.schedule.times(STEPS)
    return Inversion(latents, prompt, times, ("own",), model.fingerprint)


def by_host(model: Model, inversion: Inversion) -> Tensor:
    """The latents (f, c, h, w) that ComfyUI's Euler sampler ends with, in this pack's scaling."""
    from comfy.samplers import CFGGuider, ksampler

    from ..nodes.host.native.prompts import conditioning_of

    denoiser: Any = model.denoiser
    levels, kind = inversion.levels(model.schedule), model.schedule.kind
    sigmas = [level.noise if kind == "flow" else level.noise / level.signal for level in levels]
    start = denoiser.outward(inversion.trajectory[-1])
    # What the sampler multiplies its noise by comes out of it again.
    start = start / (levels[0].noise if kind == "flow" else levels[0].signal * sigmas[0])
    guider = CFGGuider(denoiser.patcher)
    prompts = (model.text.encode(text) for text in (TARGET, "blurry"))
    guider.set_conds(*map(conditioning_of, prompts))
    guider.set_cfg(SCALE)
    empty = torch.zeros_like(start)
    given = {"disable_pbar": True, "seed": 0}
    samples = guider.sample(start, empty, ksampler("euler"), torch.tensor(sigmas), **given)
    latents = denoiser.inward(denoiser.patcher.model.process_latent_in(samples))
    return latents if kind == "flow" else latents * levels[-1].signal


def _uncond_change(model: Model, frames: Tensor) -> float:
    """How far fusion moves what the model says of the negative prompt, at the first step."""
    inversion = invert(model, frames, SOURCE, steps=2)
    said: list[Tensor] = []

    def note(outputs: Any, *_: Any) -> Tensor:
        said.append(outputs["negative"])
        return outputs["target"]

    def noting(model: Model, prompts: Any, latents: Tensor, work: Any) -> Any:
        return session(model, prompts, latents, lambda it: work(replace(it, guidance=note)))

    from ..nodes.host.native.session import session

    for each in ([], [Fusion(cross_steps=1, self_steps=1)]):
        edit(replace(model, session=noting), inversion, TARGET, controls=each)
    return rel_error(said[2], said[0])


def plain_ratio(model: Model, rounds: int = 5) -> float:
    """The time of an edit without controls over that of ComfyUI's sampler: medians, interleaved."""
    inversion = noise(model, (256, 256))
    ours, theirs = [], []
    given = {"negative": "blurry", "guidance_scale": SCALE}
    for _ in range(rounds):
        ours.append(_seconds(lambda: edit(model, inversion, TARGET, **given)))
        theirs.append(_seconds(lambda: by_host(model, inversion)))
    return median(ours) / median(theirs)


def _seconds(work: Callable[[], Any]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


def rel_error(one: Tensor, other: Tensor) -> float:
    """|one - other| / |other|."""
    return float((one.cpu() - other.cpu()).norm() / other.cpu().norm())


def _frames(count: int) -> Tensor:
    """A red circle that moves over gray: (f, 128, 128, 3)."""
    rows, columns = torch.meshgrid(torch.arange(128), torch.arange(128), indexing="ij")
    frames = torch.full((count, 128, 128, 3), 0.5)
    for index, frame in enumerate(frames):
        frame[(rows - 56) ** 2 + (columns - 50 - 4 * index) ** 2 < 26**2] = torch.tensor(
            [0.85, 0.1, 0.1]
        )
    return frames


if __name__ == "__main__":
    main(__file__)
