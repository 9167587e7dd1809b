"""Run by native_sampler_tools.py: one run of a sampler of ComfyUI's, from its start to its end.

Not a test itself: it ends with an AssertionError where something else comes out, or is left behind.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

import gc
import weakref
from contextlib import contextmanager
from dataclasses import replace
from inspect import signature
from typing import Any
from unittest.mock import patch

import pytest
import torch
from native_sampler_cases import Noting, apart, windowed
from torch import Tensor

from evenframe.benchmarks import host_models, native
from evenframe.benchmarks import sampler as own
from evenframe.benchmarks.sampler import sampled, source, steered
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.controls.base import Edit
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.controls.first_frame.first_frame import FirstFrame
from evenframe.pipelines.controls.reatco.joint_sampling import JointSampling
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.source.between import Blurred


@contextmanager
def refused(match: str) -> Any:
    """Said before any pass of the model."""
    from comfy import samplers

    asked: list[int] = []
    real = samplers._calc_cond_batch

    def counted(*given: Any) -> Any:
        asked.append(1)
        return real(*given)

    samplers._calc_cond_batch = counted
    try:
        with pytest.raises(EvenframeError, match=match) as error:
            yield
    finally:
        samplers._calc_cond_batch = real
    assert not asked, "work was done"
    assert "\n" not in str(error.value).strip()


def each_step_draws_noise_of_its_own(model: Model, patcher: Any) -> None:
    """Refocus Sampler runs a sampler for each step, which draws from the seed that it is given."""
    from comfy.samplers import KSAMPLER

    from evenframe.nodes.host.native.samplers import refocus

    drawn: list[Tensor] = []

    def noisy(asked: Any, x: Tensor, sigmas: Tensor, extra_args: Any, **_: Any) -> Tensor:
        generator = torch.Generator().manual_seed(extra_args["seed"])
        drawn.append(torch.randn(x.shape, generator=generator))
        return asked(x, sigmas[0] * x.new_ones(len(x)), **extra_args)

    given = steered(model, source(model), Fusion())
    for _ in range(2):
        sampled(given, model, refocus(KSAMPLER(noisy)), sigmas=own.sigmas_of(model, 3), seed=3)
    assert not any(torch.equal(drawn[0], later) for later in drawn[1:3])
    assert all(torch.equal(*both) for both in zip(drawn[:3], drawn[3:], strict=True))


def a_run_that_leaves_noise_knows_the_clip(model: Model, patcher: Any) -> None:
    """KSamplerAdvanced with leftover noise, and the first of two Wan experts: controls begin with
    the clip, and an unedited frame moves nothing."""
    clip, begun = source(model), list[Edit]()
    few, noting = {"sigmas": own.sigmas_of(model, 4)[:3]}, Noting(begun=begun)
    same = FirstFrame(latents=model.codec.exported(clip.clean[:1]))
    found = sampled(steered(model, clip, noting, same), model, **few)
    assert torch.equal(begun[0].inversion.trajectory[0], clip.clean)
    assert torch.equal(found, sampled(patcher, model, **few))
    edited = FirstFrame(latents=model.codec.exported(clip.clean[:1] + 1))
    assert not torch.equal(sampled(steered(model, clip, edited), model, **few), found)


def guided(on: Any, model: Model, positive: Any, negative: Any) -> Tensor:
    """Sampled with CONDITIONING of both."""
    from comfy.samplers import CFGGuider, sampler_object

    guider, denoiser = CFGGuider(on), model.denoiser
    guider.set_conds(positive, negative)
    guider.set_cfg(own.SCALE)
    noise = denoiser.outward(own.latents(model, own.SEED))  # type: ignore[attr-defined]
    given = torch.zeros_like(noise), sampler_object("euler"), own.sigmas_of(model, 3)
    return own.scaled(model, guider.sample(noise, *given, disable_pbar=True, seed=0))


def over(prompt: Any, *areas: tuple[int, int, int, int]) -> Any:
    """CONDITIONING of a prompt in some areas (rows, columns, top, left), and everywhere."""
    [[states, others]] = own.conditioned(prompt)
    return [*([states, {**others, "area": area}] for area in areas), [states, others]]


def a_negative_prompt_may_have_areas(model: Model, patcher: Any) -> None:
    """Of which ComfyUI adds copies to the positive one."""
    target, negative = (model.text.encode(text) for text in (native.TARGET, own.NEGATIVE))
    given = own.conditioned(target), over(negative, (4, 4, 0, 0))
    cut = windowed(patcher, model)
    cut.model_options["context_handler"].split_conds_to_windows = True
    for on in (patcher, cut):
        steered_by = steered(model, source(model), own.boost(model, 50.0), patcher=on)
        if on is cut:
            with pytest.raises(EvenframeError, match="^Context Windows gives each window one"):
                guided(steered_by, model, *given)
        else:
            moved = apart(guided(steered_by, model, *given), guided(on, model, *given))
            assert moved > 1e-3, "no control acts"


def areas_of_the_source_are_its_own(model: Model, patcher: Any) -> None:
    """ComfyUI would add copies of them to the other prompts."""
    clip, few = source(model), {"sigmas": own.sigmas_of(model, 3)}
    placed = replace(clip.prompt, host=over(clip.prompt, (4, 4, 0, 0)))
    found = sampled(steered(model, replace(clip, prompt=placed)), model, **few)
    assert torch.equal(found, sampled(patcher, model, **few))


def the_source_has_the_noise_that_the_sampler_starts_with(model: Model, patcher: Any) -> None:
    """Also where FreeNoise of Context Windows has shuffled it, and where it is sampled again."""
    from comfy.context_windows import create_sampler_sample_wrapper

    cut, begun, started = windowed(patcher, model), list[Edit](), list[Tensor]()
    cut.model_options["context_handler"].freenoise = True
    create_sampler_sample_wrapper(cut)

    def note(run: Any, *given: Any) -> Any:
        started.append(model.denoiser.inward(given[4]).clone())  # type: ignore[attr-defined]
        return run(*given)

    cut.add_wrapper("sampler_sample", lambda run, *given: (run(*given), run(*given))[1])
    on = steered(model, source(model), Noting(begun=begun), patcher=cut)
    on.add_wrapper("sampler_sample", note)
    sampled(on, model, sigmas=own.sigmas_of(model, 2))
    assert len(started) == 2 and len(begun) == 4, "of each window, in each of two runs"
    for noise, edit in zip(started, begun[::2], strict=True):
        first = Blurred(edit.whole.trajectory[0], noise).at(
            edit.inversion.levels(edit.model.schedule)[0]
        )
        assert apart(edit.whole.trajectory[-1], first) < 1e-6


def latents_of_the_source_are_made_for_a_call(model: Model, patcher: Any) -> None:
    """Not of all the steps that there are, which would be gigabytes of a long clip."""
    from comfy.samplers import KSAMPLER

    def ask(asked: Any, x: Tensor, sigmas: Tensor, extra_args: Any, **_: Any) -> Tensor:
        return asked(x, sigmas[0] * x.new_ones(len(x)), **extra_args)

    clip, begun, made = source(model), list[Edit](), list[Any]()
    real = Blurred.at

    def counted(latents: Blurred, level: Any) -> Tensor:
        made.append(level)
        return real(latents, level)

    kept = JointSampling(own.regions(model))
    first = FirstFrame(latents=model.codec.exported(clip.clean[:1] + 1))
    on = steered(model, clip, Fusion(), kept, first, Noting(begun=begun))
    with patch.object(Blurred, "at", counted):
        sampled(on, model, KSAMPLER(ask), sigmas=torch.linspace(1, 0, 3001))
    assert len(begun[0].inversion.trajectory) == 3001 and len(made) < 10, made


def nothing_outlives_its_use(model: Model, patcher: Any) -> None:
    """The source's attention goes when no control asks any more, and all else with the run."""
    from evenframe.nodes.host.native import part

    left: list[Any] = []
    alive: list[int] = []

    class Watched(part.RecomputedAttention):
        def at(self, step: int, sites: Any) -> Any:
            found = super().at(step, sites)
            left.append(weakref.ref(found))
            return found

    def made(run: Any, *given: Any) -> Any:
        options = given[2]["model_options"]["transformer_options"]
        left.append(weakref.ref(options["evenframe_run"]))
        return run(*given)

    def note() -> None:
        alive.append(sum(each() is not None for each in left[1:]))

    on = steered(model, source(model), Fusion(cross_steps=0, self_steps=0.5), Noting(then=note))
    on.add_wrapper("sampler_sample", made)
    gc.collect()
    gc.disable()
    with patch.object(part, "RecomputedAttention", Watched):
        sampled(on, model, sigmas=own.sigmas_of(model, 4))
    try:
        assert alive == [1, 1, 0, 0], alive
        assert isinstance(left[0], weakref.ref) and not any(each() for each in left)
    finally:
        gc.enable()


def others_may_hand_on_by_name(model: Model, patcher: Any) -> None:
    """Other nodes' wrappers, by the names that ComfyUI has."""
    from comfy.k_diffusion.sampling import sample_euler
    from comfy.samplers import KSAMPLER, CFGGuider, _calc_cond_batch

    from evenframe.nodes.host.native.stepwise import Stepwise

    named = patcher.clone()
    wrapped: dict[str, Any] = {
        "outer_sample": CFGGuider.outer_sample,
        "sampler_sample": KSAMPLER.sample,
        "predict_noise": CFGGuider.predict_noise,
        "calc_cond_batch": _calc_cond_batch,
    }
    for kind, function in wrapped.items():
        names = [name for name in signature(function).parameters if name != "self"]

        def by_name(run: Any, *given: Any, names: list[str] = names, **more: Any) -> Any:
            return run(**dict(zip(names, given, strict=False)), **more)

        named.add_wrapper(kind, by_name)
    few, clip = {"sigmas": own.sigmas_of(model, 2)}, source(model)
    without = sampled(steered(model, clip, Fusion()), model, **few)
    for sampler in ("euler", Stepwise(KSAMPLER(sample_euler))):
        on = steered(model, clip, Fusion(), patcher=named)
        assert torch.equal(sampled(on, model, sampler, **few), without)


def the_source_prompt_holds_in_every_step(model: Model, patcher: Any) -> None:
    """A part of them is refused, in the pack's own loop too; two that make a whole are not."""
    clip, few = source(model), {"sigmas": own.sigmas_of(model, 2)}
    [[states, others]] = own.conditioned(clip.prompt)

    def held(*parts: tuple[float, float]) -> Any:
        times = [{"start_percent": start, "end_percent": end} for start, end in parts]
        host = [[states, {**others, **each}] for each in times]
        return replace(clip, prompt=replace(clip.prompt, host=host), shared=own.latents(model, 7))

    part, gap = held((0.5, 1.0)), held((0.0, 0.4), (0.6, 1.0))
    with refused("^The source prompt holds for a part of the steps alone"):
        sampled(steered(model, gap, Fusion()), model, **few)
    with refused("^The source prompt holds for a part of the steps alone"):
        own.by_loop(model, part, [Fusion()])
    both = held((0.0, 0.4), (0.4, 1.0))
    found = sampled(steered(model, both, Fusion()), model, **few)
    whole = replace(both, prompt=clip.prompt)
    assert apart(found, sampled(steered(model, whole, Fusion()), model, **few)) < 1e-6


def what_is_lost_on_the_way_is_said(model: Model, patcher: Any) -> None:
    """Another node may drop what stands on the MODEL, in part."""
    from evenframe.nodes.host.native.samplers import guide

    given = guide(steered(model, source(model), Fusion()), 0.5)
    bare, unwrapped = given.clone(), given.clone()
    bare.model_options["transformer_options"] = {}
    unwrapped.wrappers = {}
    with refused("^A node behind Source for Controls has replaced the MODEL's options"):
        sampled(bare, model)
    with pytest.raises(EvenframeError, match="^There is no source on the MODEL any more"):
        sampled(unwrapped, model)


def a_step_taken_alone_is_one_step(model: Model, patcher: Any) -> None:
    """Also for the second call of heun's, which falls where the next one begins."""
    from comfy.samplers import sampler_object

    from evenframe.nodes.host.native.samplers import refocus

    noting, heun = Noting(), sampler_object("heun")
    on = steered(model, source(model), noting)
    sampled(on, model, refocus(heun), sigmas=own.sigmas_of(model, 3))
    assert {index for index, _ in noting.steps[:3]} == {0}, noting.steps
    assert noting.steps[2][1] < noting.steps[1][1], "the level is that of the call"


def a_run_may_end_without_asking(model: Model, patcher: Any) -> None:
    """dpm_fast makes no step of one; and another node's wrapper may sample in its place."""
    on = steered(model, source(model), Fusion())
    sampled(on, model, "dpm_fast", sigmas=own.sigmas_of(model, 1))
    instead = on.clone()

    def once(run: Any, noise: Any, *given: Any, **_: Any) -> Any:
        guider = run.class_obj
        if vars(guider).setdefault("within", False):
            return run(noise, *given, **_)
        guider.within = True
        kept = guider.conds
        try:
            return guider.sample(noise, *given[:3], disable_pbar=True, seed=0)
        finally:
            guider.conds = kept

    instead.add_wrapper("outer_sample", once)
    few = {"sigmas": own.sigmas_of(model, 2)}
    assert torch.equal(sampled(instead, model, **few), sampled(on, model, **few))


def room_is_made_for_the_controls(model: Model, patcher: Any) -> None:
    """Before the model is loaded, where they need more than ComfyUI's own estimate."""
    from comfy import sampler_helpers

    asked: list[Any] = []
    real = sampler_helpers._prepare_sampling

    def prepared(model: Any, shape: Any, *given: Any, **more: Any) -> Any:
        asked.append(list(shape))
        return real(model, shape, *given, **more)

    class Large(Fusion):
        def working_bytes(self, model: Model, frames: int, frame_size: tuple[int, int]) -> int:
            return 10 * model.denoiser.working_bytes(frames, frame_size, branches=1)

    few, clip = {"sigmas": own.sigmas_of(model, 1)}, source(model)
    with patch.object(sampler_helpers, "_prepare_sampling", prepared):
        for control in (Fusion(), Large()):
            sampled(steered(model, clip, control), model, **few)
    assert asked[1] == [10 * asked[0][0], *asked[0][1:]], asked
    assert asked[0] == [*model.denoiser.outward(clip.clean).shape]  # type: ignore[attr-defined]


def source_guidance_is_by_what_was_asked(model: Model, patcher: Any) -> None:
    """Where controls keep the source, the model has been asked about that and not about noise."""
    from evenframe.nodes.host.native import source_guidance
    from evenframe.nodes.host.native.samplers import guide

    seen: list[Tensor] = []

    def noted(said: Tensor, clean: Tensor, apart: Tensor, strength: float) -> Tensor:
        seen.append(apart)
        return said * 0

    kept = JointSampling(own.regions(model))
    lattice = model.codec.lattice(own.video_frames(model), (64, 64))
    outside = own.regions(model).on_latents(lattice).coverage(own.SIZE)[:, None] == 0
    for on in (patcher, windowed(patcher, model)):
        seen.clear()
        given = guide(steered(model, source(model), kept, patcher=on), 1.0)
        with patch.object(source_guidance, "source_oriented", noted):
            sampled(given, model, sigmas=torch.tensor([0.5, 0.25, 0.0]), scale=1.0)
        size = seen[0].abs().mean(1, keepdim=True)
        assert size[outside].mean() < size[~outside].mean(), "it is by the sampler's noise"


def main() -> None:
    assert not host_models.find()
    with torch.inference_mode():
        for make in (host_models.sd,):
            model = make()
            patcher = own.patcher_of(model)
            each_step_draws_noise_of_its_own(model, patcher)
            a_run_that_leaves_noise_knows_the_clip(model, patcher)
            a_negative_prompt_may_have_areas(model, patcher)
            areas_of_the_source_are_its_own(model, patcher)
            the_source_has_the_noise_that_the_sampler_starts_with(model, patcher)
            latents_of_the_source_are_made_for_a_call(model, patcher)
            nothing_outlives_its_use(model, patcher)
            others_may_hand_on_by_name(model, patcher)
            the_source_prompt_holds_in_every_step(model, patcher)
            what_is_lost_on_the_way_is_said(model, patcher)
            a_step_taken_alone_is_one_step(model, patcher)
            a_run_may_end_without_asking(model, patcher)
            room_is_made_for_the_controls(model, patcher)
            source_guidance_is_by_what_was_asked(model, patcher)


if __name__ == "__main__":
    main()
