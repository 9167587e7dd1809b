"""Controls in ComfyUI's own samplers: the keys `sampler.*`.

Needs a ComfyUI ($COMFYUI_PATH, else ~/comfy/ComfyUI); without one it says so and measures nothing.
The models are small and random, in ComfyUI's own classes (`host_models.py`). Work is counted as
operations of a whole run, over those of the sampler alone.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..pipelines.controls.base import Control
from ..pipelines.controls.fatezero.fusion import Fusion
from ..pipelines.controls.reatco.refocus import Refocus
from ..pipelines.controls.span import WHOLE
from ..pipelines.editing import edit
from ..pipelines.models.listed_schedule import ListedSchedule
from ..pipelines.models.model import Model
from ..pipelines.source.between import Blurred
from ..pipelines.source.inversion import Inversion
from . import host_models, main, native
from .counting import flops

TARGETS = {
    "sampler.neutral_rel_error": 1e-5,
    "sampler.engines_rel_error": 1e-4,
    "sampler.overhead_fusion": 1.55,
    "sampler.overhead_boost": 1.01,
}
"""The most that a figure may be."""
FAMILIES = {
    "SD": host_models.sd,
    "SDXL": host_models.sdxl,
    "Wan": partial(host_models.wan, layers=2, heads=2),
}
SAMPLERS = ("euler", "heun", "dpmpp_2m", "ipndm", "uni_pc", "ddim")
STEPS, SCALE, SIZE, SEED, NEGATIVE = 8, 3.0, (8, 8), 3, "blurry"
OPEN = Fusion("reweight", self_steps=0, blend_words=("circle",), threshold=0, latent_blend=True)
"""Masks are read from the source, and all is free: it changes nothing."""
ALL_STEPS = Fusion(cross_steps=1.0, self_steps=1.0)


def run() -> dict[str, float]:
    """Measure, on the CPU."""
    reason = host_models.find()
    if reason:
        print(f"sampler: not measured, {reason}")
        return {}
    with torch.inference_mode():
        models = [make() for make in FAMILIES.values()]
        changed = [found for model in models for found in neutral(model).values()]
        apart = [found for model in models for found in engines(model, edits_of(model)).values()]
        wan = host_models.wan(layers=4, heads=4, ffn_dim=512)
        return {
            "sampler.neutral_rel_error": max(changed),
            "sampler.engines_rel_error": max(apart),
            "sampler.overhead_fusion": overhead(wan, ALL_STEPS),
            "sampler.overhead_boost": overhead(wan, boost(wan)),
        }


def video_frames(model: Model) -> int:
    return 9 if model.codec.time_stride > 1 else 3


def latents(model: Model, seed: int = 1) -> Tensor:
    """A clip (3, c, h, w) of noise."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((3, model.codec.channels, *SIZE), generator=generator)


def patcher_of(model: Model) -> Any:
    return model.denoiser.patcher  # type: ignore[attr-defined]


def sampling_of(model: Model) -> Any:
    return patcher_of(model).get_model_object("model_sampling")


def source(model: Model, **given: Any) -> Any:
    from ..nodes.host.native.attached import Source

    before, target = (model.text.encode(text) for text in (native.SOURCE, native.TARGET))
    return Source(model, before, target, latents(model), **given)


def sigmas_of(model: Model, steps: int = 0, scheduler: str = "simple") -> Tensor:
    from comfy.samplers import calculate_sigmas

    return calculate_sigmas(sampling_of(model), scheduler, steps or STEPS)


def steered(
    model: Model, own: Any, *controls: Control, patcher: Any = None, attached: Any = None
) -> Any:
    """The MODEL with a source, and controls if there are any. attached: one that has a source."""
    from ..nodes.host.native.attached import Attached
    from ..nodes.host.native.samplers import apply, put

    attached = attached or put(patcher or patcher_of(model), Attached(own))
    return apply(attached, controls) if controls else attached


def conditioned(prompt: Any) -> Any:
    """CONDITIONING of a prompt."""
    from ..nodes.host.native.prompts import conditioning_of

    return conditioning_of(prompt)


def sampled(patcher: Any, model: Model, sampler: Any = "euler", **given: Any) -> Tensor:
    """What a sampler of ComfyUI's ends with, as the model scales latents: (t, c, h, w).

    given: what else than usual: positive, negative (a text), scale, noise and start (in ComfyUI's
    layout), sigmas, and what goes to the guider.
    """
    from comfy.samplers import CFGGuider, sampler_object

    denoiser: Any = model.denoiser
    noise = given.pop("noise", denoiser.outward(latents(model, SEED)))
    positive = given.pop("positive", None) or conditioned(model.text.encode(native.TARGET))
    guider = CFGGuider(patcher)
    guider.set_conds(positive, conditioned(model.text.encode(given.pop("negative", NEGATIVE))))
    guider.set_cfg(given.pop("scale", SCALE))
    start, sigmas = given.pop("start", torch.zeros_like(noise)), given.pop("sigmas", None)
    chosen = sampler_object(sampler) if isinstance(sampler, str) else sampler
    sigmas = sigmas_of(model) if sigmas is None else sigmas
    given = {"disable_pbar": True, "seed": 0, **given}
    return scaled(model, guider.sample(noise, start, chosen, sigmas, **given))


def scaled(model: Model, samples: Tensor) -> Tensor:
    """(t, c, h, w) of a LATENT's samples, as the model scales them."""
    denoiser: Any = model.denoiser
    return denoiser.inward(patcher_of(model).model.process_latent_in(samples))


def regions(model: Model) -> Any:
    [control] = native.controls(video_frames(model), (64, 64))["RAD, one step"]
    assert isinstance(control, Refocus)
    return control.regions


def boost(model: Model, factor: float = 4.0) -> Refocus:
    return Refocus(regions(model), guide_by="boost", boost=factor, steps=WHOLE)


def neutral(model: Model, samplers: Sequence[str] = SAMPLERS) -> dict[str, float]:
    """By sampler, how far controls that change nothing move the latents that it ends with: some
    that ask for the source. Raises AssertionError where those that do not move a bit."""
    own, plain, found = source(model), patcher_of(model), {}
    for name in samplers:
        without = sampled(plain, model, name)
        idle = sampled(steered(model, own, boost(model, 1.0)), model, name)
        assert torch.equal(idle, without), name
        opened = sampled(steered(model, own, OPEN), model, name)
        found[name] = native.rel_error(opened, without)
    return found


def by_loop(model: Model, own: Any, controls: Any, **given: Any) -> Tensor:
    """This pack's own edit at the sampler's levels, from the source's shared noise."""
    from ..nodes.host.native.levels import level_of, scaling_of

    denoiser: Any = model.denoiser
    sampling = sampling_of(model)
    kind = scaling_of(sampling)
    levels = [level_of(sampling, float(sigma)) for sigma in sigmas_of(model)]
    schedule, rising = ListedSchedule(kind, levels), [*reversed(levels)]
    own_model = replace(model, schedule=schedule, denoiser=replace(denoiser, kind=kind))
    trajectory = torch.stack([Blurred(own.clean, own.shared).at(level) for level in rising])
    inversion = Inversion(
        trajectory,
        own.prompt,
        schedule.times(STEPS),
        own.keyframes,
        model.fingerprint,
        noise_seed=0,
    )
    given = {"negative": NEGATIVE, "guidance_scale": SCALE, **given}
    return edit(own_model, inversion, own.target, controls=controls, **given)


def from_source(model: Model, own: Any) -> dict[str, Any]:
    """A start at the source's latents, of ComfyUI's samplers."""
    denoiser: Any = model.denoiser
    noise, first = denoiser.outward(own.shared), float(sigmas_of(model)[0])
    if model.schedule.kind != "flow":  # at the most noise, there is a little more of it
        noise = noise * first / (1 + first**2) ** 0.5
    return {"start": over_clip(model, own), "noise": noise}


def over_clip(model: Model, own: Any) -> Tensor:
    """The clip's samples, as a LATENT holds them."""
    denoiser: Any = model.denoiser
    return patcher_of(model).model.process_latent_out(denoiser.outward(own.clean))


def edits_of(model: Model) -> dict[str, list[Control]]:
    """Those by which the two loops are compared."""
    edits = native.controls(video_frames(model), (64, 64))
    return edits | {"RAD, one step": [boost(model)], "bridge": [Fusion(bridge=2.0)]}


def engines(model: Model, edits: Mapping[str, list[Control]]) -> dict[str, float]:
    """|a - b| / |b| of the final latents, by edit: by ComfyUI's euler and by this pack's own loop;
    with key frames, where there are any."""
    names = ("own",) if model.codec.time_stride > 1 else ("own", "mid")
    own, found = source(model, shared=latents(model, SEED), keyframes=names), {}
    for name, controls in edits.items():
        theirs = sampled(steered(model, own, *controls), model, **from_source(model, own))
        found[name] = native.rel_error(theirs, by_loop(model, own, controls))
    return found


def overhead(model: Model, *controls: Control) -> float:
    """Operations of a run with controls over those of one without."""
    own, two = source(model), {"sigmas": sigmas_of(model, 2)}
    plain = flops(lambda: sampled(patcher_of(model), model, **two))
    return flops(lambda: sampled(steered(model, own, *controls), model, **two)) / plain


if __name__ == "__main__":
    main(__file__)
