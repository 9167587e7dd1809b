"""Run by test_native_sampler.py in a process of its own: what else serves ComfyUI's samplers, and
what is refused before they start.

Not a test itself: it ends with an AssertionError where something is done or said otherwise.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import native_sampler_cases as cases
import native_sampler_runs as runs
import native_sampler_windows as windows
import pytest
import torch
from native_sampler_runs import refused

from evenframe.benchmarks import host_models, native
from evenframe.benchmarks import sampler as own
from evenframe.benchmarks.sampler import regions, sampled, source, steered
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.controls.reatco.joint_sampling import JointSampling
from evenframe.pipelines.controls.reatco.refocus import Refocus
from evenframe.pipelines.controls.span import Span
from evenframe.pipelines.controls.token_flow.token_flow import TokenFlow
from evenframe.pipelines.controls.videograin.videograin import VideoGrain
from evenframe.pipelines.models.guidance import source_oriented
from evenframe.pipelines.models.model import Model


def chosen(name: str) -> Any:
    from comfy.samplers import sampler_object

    return sampler_object(name)


def steps_one_by_one_are_those_of_the_loop(model: Model) -> None:
    """RAD by its gradient, IRJS with soft edges, fresh noise and repeats, as in the pack's own."""
    from evenframe.nodes.host.native.samplers import refocus

    clip = source(model, shared=own.latents(model, own.SEED))
    given = own.from_source(model, clip)
    [rad] = native.controls(own.video_frames(model), (64, 64))["RAD, one step"]
    rad = replace(rad, guide_by="gradient", scale=1.0)  # type: ignore[type-var]
    soft = JointSampling(cases.soft(model))
    again = replace(soft, noise="fresh", repeats=2, repeat_steps=0.4)
    stepwise = refocus(refocus(chosen("euler")))
    for controls in ([rad], [soft], [again], [Fusion(blend_words=("circle",), latent_blend=True)]):
        ours = own.by_loop(model, clip, controls, seed=5)
        theirs = sampled(steered(model, clip, *controls), model, stepwise, seed=5, **given)
        assert native.rel_error(theirs, ours) < 1e-4, controls
    told: list[int] = []
    note = {"callback": lambda step, clean, x, total: told.append(step * 100 + total)}
    sampled(steered(model, clip, soft), model, refocus(chosen("heun")), **given, **note)
    assert told == [100 * step + own.STEPS for step in range(own.STEPS)]


def an_inversion_leads_back_to_the_clip(model: Model) -> None:
    """Walked at the SIGMAS of the edit; its noise starts a sampler over an empty latent."""
    from evenframe.nodes.host.native.samplers import invert

    clip, denoiser = source(model), model.denoiser
    told: list[int] = []
    for sigmas in (own.sigmas_of(model, 16), own.sigmas_of(model, 16, "karras")[4:]):
        given = steered(model, clip)
        with_it, inversion, noise = invert(
            given, sigmas, "uni-inv", lambda report: told.append(report.done), seed=7
        )
        assert noise.seed == 7
        steps = len(sigmas) - 1
        assert len(inversion.trajectory) == steps + 1 and told.pop() == steps
        levels = inversion.levels(model.schedule)  # as any of the pack's nodes would read it
        ratios = [level.noise / max(level.signal, 1e-9) for level in levels[:-1]]
        flow = model.schedule.kind == "flow"
        known = [float(s) / max(1 - float(s), 1e-9) if flow else float(s) for s in sigmas[:-1]]
        assert ratios[1:] == pytest.approx(known[1:], rel=1e-3)
        empty: Any = torch.zeros_like(denoiser.outward(clip.clean))  # type: ignore[attr-defined]
        start = {"noise": noise.generate_noise({"samples": empty}), "sigmas": sigmas}
        prompt = model.text.encode(native.SOURCE)
        positive = own.conditioned(prompt)
        back = sampled(own.patcher_of(model), model, "euler", positive=positive, scale=1.0, **start)
        another = native.rel_error(own.latents(model, 9), clip.clean)
        assert native.rel_error(back, clip.clean) < 0.3 * another
        edited = steered(model, None, Fusion(), attached=with_it)
        assert sampled(edited, model, "dpmpp_2m", **start).isfinite().all()
    for wrong in (empty[..., :-1], empty + 1):
        with pytest.raises(EvenframeError, match="^The noise of an inversion goes with an empty"):
            noise.generate_noise({"samples": wrong})


def guidance_by_the_source(model: Model, patcher: Any) -> None:
    """The published correction of what the model says, reckoned here by passes of its own."""
    from evenframe.nodes.host.native.samplers import guide

    clip = source(model, shared=own.latents(model, own.SEED))
    given, plain = steered(model, clip), sampled(patcher, model)
    assert guide(given, 0) is given
    once = {"sigmas": torch.tensor([float(own.sigmas_of(model)[2]), 0.0]), "scale": 1.0}
    found = sampled(guide(given, 0.5), model, **once)
    assert native.rel_error(sampled(guide(given, 1.0), model), plain) > 1e-3
    denoiser: Any = model.denoiser
    sigma, noise = float(once["sigmas"][0]), own.latents(model, own.SEED)
    flow = model.schedule.kind == "flow"
    clean = sampled(patcher, model, **once)  # what the model makes of its start, in one step
    begun = sigma * noise
    latents = patcher.model.process_latent_out(denoiser.outward(clip.clean))
    shown = {"start": latents, "positive": own.conditioned(clip.prompt), **once}
    said = sampled(patcher, model, **shown)
    before = (1 - sigma) * clip.clean + sigma * noise if flow else clip.clean + sigma * noise
    ways = [(x - c) / sigma - (0 if flow else c) for x, c in ((begun, clean), (before, said))]
    more = source_oriented(said, clip.clean, ways[0] - ways[1], 0.5)
    assert native.rel_error(found, clean + more) < 1e-4
    assert native.rel_error(found, clean) > 1e-3


def a_mask_may_hold_for_some_steps(model: Model, patcher: Any) -> None:
    from evenframe.nodes.host.native.samplers import mask_steps
    from evenframe.nodes.sampler_tools import latent_mask

    clip, denoiser = source(model), model.denoiser
    shape = denoiser.outward(clip.clean).shape  # type: ignore[attr-defined]
    mask, start = latent_mask(regions(model), shape), own.over_clip(model, clip)
    seen: list[float] = []

    def noted(sigma: Any, mask: Any, extra_options: Any) -> Any:
        seen.append(float(mask.mean()))
        return mask

    watched = patcher.clone()
    watched.set_model_denoise_mask_function(noted)
    given = {"start": start, "denoise_mask": mask}
    always = sampled(patcher, model, **given)
    assert torch.equal(sampled(mask_steps(patcher, Span()), model, **given), always)
    assert torch.equal(
        sampled(mask_steps(patcher, Span(0, 0)), model, **given),
        sampled(patcher, model, start=start),
    )
    sampled(mask_steps(watched, Span(0.5, 1)), model, **given)
    assert len(seen) == own.STEPS // 2 and max(seen) < 1


def what_cannot_be_is_said_before_the_work(model: Model, patcher: Any) -> None:
    from comfy.samplers import KSAMPLER

    from evenframe.nodes.host.native.samplers import apply, invert, put, refocus

    clip = source(model)
    given = steered(model, clip, Fusion())
    shorter = torch.zeros(2, *own.latents(model).shape[1:])
    wide = torch.zeros(*own.latents(model).shape[:-1], 10)
    for latents in (shorter, wide):
        laid = model.denoiser.outward(latents)  # type: ignore[attr-defined]
        with refused("^The sampler's latents have the shape .* but the source's .*: give"):
            sampled(given, model, start=laid, noise=laid)
    with refused("^The SIGMAS rise"):
        sampled(given, model, sigmas=own.sigmas_of(model).flip(0))
    sigmas = own.sigmas_of(model)
    with refused("^Two SIGMAS in a row are equal"):
        sampled(given, model, sigmas=torch.cat([sigmas[:2], sigmas[1:] * (1 - 1e-6)]))
    with refused("^The SIGMAS have 1001 steps"):
        invert(given, torch.linspace(1, 0, 1002), "ddim", print)
    with refused("^The sampler starts without noise .* 'shared'"):
        sampled(given, model, noise=torch.zeros_like(model.denoiser.outward(clip.clean)))  # type: ignore[attr-defined]
    with refused("^The sampler's positive prompt is not the one of Source for Controls"):
        sampled(given, model, positive=own.conditioned(model.text.encode("a dog")))
    pictured = own.conditioned(clip.target)
    pictured = [[pictured[0][0], {**pictured[0][1], "concat_latent_image": torch.zeros(1)}]]
    with refused(r"^The sampler's positive prompt has a picture .* to source_conditioning"):
        sampled(given, model, positive=pictured)
    rad = Refocus(regions(model), guide_by="gradient")
    with refused("^RAD Refocuser moves the latents .* or put Refocus Sampler between"):
        sampled(steered(model, clip, rad), model)
    several: list[dict[str, Any]] = [{"noise": "fresh"}, {"repeats": 3}]
    for changes in several:
        with refused("^IRJS Blender draws fresh noise or takes steps again"):
            sampled(steered(model, clip, JointSampling(regions(model), **changes)), model)
    with refused("^TokenFlow must see what goes into self-attention, and .* does not show it"):
        sampled(steered(model, clip, TokenFlow()), model)
    with refused("^VideoGrain encodes words of the target prompt alone.* switch local_words off"):
        sampled(steered(model, clip, VideoGrain(regions(model))), model)
    with refused("^Refocus Sampler cannot take the steps of sample_unipc one by one"):
        sampled(given, model, refocus(chosen("uni_pc")))
    with refused("^Context Windows stands on the MODEL, and Refocus Sampler"):
        cut = cases.windowed(patcher, model)
        sampled(steered(model, clip, Fusion(), patcher=cut), model, refocus(chosen("euler")))
    with refused("^There is no source on the MODEL, so that Refocus Sampler"):
        sampled(patcher, model, refocus(chosen("euler")))
    with refused("^There are controls on the MODEL already"):
        apply(given, (Fusion(),))
    for work in (
        lambda: apply(patcher, ()),
        lambda: invert(patcher, own.sigmas_of(model), "ddim", print),
    ):
        with refused("^There is no source on the MODEL: put Source for Controls before"):
            work()
    with refused("^The SIGMAS do not fall"):
        invert(given, own.sigmas_of(model).flip(0), "ddim", print)
    if model.schedule.kind != "flow":
        with refused("^The SIGMAS 0.02, 0.01 are one level to the MODEL, which knows 0.0"):
            invert(given, torch.tensor([10, 1, 0.02, 0.01, 0]), "ddim", print)
    cached = put(patcher, given.model_options["transformer_options"]["evenframe"])
    cached.add_wrapper_with_key("outer_sample", "easycache", print)
    with refused("^A node that skips passes"):
        sampled(cached, model)
    with refused("nowhere|^The word|not in|does not"):
        sampled(steered(model, clip, Fusion(blend_words=("zebra",))), model)
    tiles = KSAMPLER(lambda asked, x, sigmas, extra_args, **_: tiled(asked, x, sigmas, extra_args))
    with refused("^The sampler asks the model about latents of the shape"):
        sampled(given, model, tiles)
    silent = KSAMPLER(lambda asked, x, *_, **__: x)
    with refused("^The sampler has never asked the model"):
        sampled(given, model, silent)


def tiled(asked: Any, x: Any, sigmas: Any, extra: Any) -> Any:
    """A sampler that asks about the upper half alone."""
    half = x[..., : x.shape[-2] // 2, :]
    return asked(half, sigmas[0] * half.new_ones(len(half)), **{**extra, "denoise_mask": None})


def sockets_are_looked_at(model: Model, patcher: Any) -> None:
    """What the node opens: MODEL, CLIP and LATENT that do not go together."""
    from comfy.sample import prepare_noise

    from evenframe.nodes.host.native import samplers

    clean = own.latents(model)
    denoiser: Any = model.denoiser
    samples = patcher.model.process_latent_out(denoiser.outward(clean))

    def opened(**given: Any) -> Any:
        prompts = (native.SOURCE, None), (native.TARGET, None)
        latent = {"samples": given.pop("samples", samples), **given.pop("latent", {})}
        return samplers.source(
            given.pop("on", patcher), SimpleNamespace(), latent, prompts, **given
        )

    text, samplers.text_of = samplers.text_of, lambda *_: model.text
    try:
        found, positive = opened(noise="shared", seed=7)
        clip = found.model_options["transformer_options"]["evenframe"].source
        assert torch.allclose(clip.clean, clean, atol=1e-5)
        drawn = torch.randn(samples.shape, generator=torch.Generator().manual_seed(7))
        assert torch.equal(denoiser.outward(clip.shared), drawn)
        places = [2, 0, 2][: len(samples)]
        part, _ = opened(noise="shared", seed=7, latent={"batch_index": places})
        drawn = prepare_noise(samples, 7, places)
        shared = part.model_options["transformer_options"]["evenframe"].source.shared
        assert torch.equal(denoiser.outward(shared), drawn)
        assert torch.equal(positive[0][0][0], clip.target.states["tokens"])
        with refused("^There is a source on the MODEL already"):
            opened(on=found)
        with refused("^The latent has the shape .* channels"):
            opened(samples=samples[:, :3])
        with refused("^The latent has values that are not numbers"):
            opened(samples=samples * float("nan"))
        if model.codec.time_stride > 1:
            with refused("^The latent holds 2 clips"):
                opened(samples=torch.cat([samples, samples]))
        inversion = native.noise(model, (64, 64))
        with pytest.raises(EvenframeError, match="^The inversion is of another clip than the lat"):
            opened(inversion=inversion)
        own_clip = torch.cat([clean[None], inversion.trajectory[1:, :3]])
        found, _ = opened(inversion=replace(inversion, trajectory=own_clip))
        followed = found.model_options["transformer_options"]["evenframe"].source
        assert followed.latents(clean).at(model.schedule.at(inversion.times[2])).equal(own_clip[-3])
        framed = replace(inversion, trajectory=own_clip, keyframes=("own", "first"), layers="all")
        framed = opened(inversion=framed)[0].model_options["transformer_options"]["evenframe"]
        looked = ("own",) if model.codec.time_stride > 1 else ("own", "first")
        assert (framed.source.keyframes, framed.source.layers) == (looked, "all")
        fused = steered(model, None, Fusion(), attached=found)
        assert native.rel_error(sampled(fused, model), sampled(patcher, model)) > 1e-3
        other = replace(inversion, prompt=model.text.encode("a dog"))
        with pytest.raises(EvenframeError, match="^source_prompt is .*, but the clip was inverted"):
            opened(inversion=other)
    finally:
        samplers.text_of = text


def distilled(model: Model, patcher: Any) -> None:
    """A sampling that cannot be inverted is stepped down all the same, at scale 1."""
    from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete

    [lcm] = ModelSamplingDiscrete().patch(patcher, "lcm", False)
    given = {"scale": 1.0, "sigmas": own.sigmas_of(model, 4)}
    plain = sampled(lcm, model, "lcm", **given)
    fused = sampled(steered(model, source(model), Fusion(), patcher=lcm), model, "lcm", **given)
    assert native.rel_error(fused, plain) > 1e-3 and fused.isfinite().all()


def main() -> None:
    cases.main()
    runs.main()
    windows.main()
    with torch.inference_mode():
        for make in (host_models.sd, own.FAMILIES["Wan"]):
            model = make()
            patcher = own.patcher_of(model)
            steps_one_by_one_are_those_of_the_loop(model)
            an_inversion_leads_back_to_the_clip(model)
            guidance_by_the_source(model, patcher)
            a_mask_may_hold_for_some_steps(model, patcher)
            what_cannot_be_is_said_before_the_work(model, patcher)
            sockets_are_looked_at(model, patcher)
            if make is host_models.sd:
                distilled(model, patcher)


if __name__ == "__main__":
    main()
