"""Run by test_native_sampler.py in a process of its own: manners of controls in ComfyUI's samplers.

Not a test itself: it ends with an AssertionError where something else comes out, or is left behind.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from native_manners import Stopped, state
from native_prompts import hooked
from torch import Tensor

from evenframe.benchmarks import host_models, native
from evenframe.benchmarks import sampler as own
from evenframe.benchmarks.sampler import boost, regions, sampled, source, steered
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.controls.base import Control, ControlRun, Edit, Step
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.controls.first_frame.first_frame import FirstFrame
from evenframe.pipelines.controls.reatco.joint_sampling import JointSampling
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.regions.region import box_region
from evenframe.pipelines.regions.regions import Regions


@dataclass(frozen=True, eq=False)
class Noting(Control):
    """Notes what its run is told, and does as `then` says."""

    steps: list[tuple[int, float]] = field(default_factory=list)
    windows: list[Any] = field(default_factory=list)
    begun: list[Edit] = field(default_factory=list)
    then: Callable[[], None] = lambda: None

    def begin(self, edit: Edit) -> ControlRun:
        noting = self
        noting.windows.append(edit.window)
        noting.begun.append(edit)

        class Run(ControlRun):
            def prepare(self, step: Step) -> None:
                noting.steps.append((step.index, step.here.noise / max(step.here.signal, 1e-9)))
                noting.then()

        return Run()


def soft(model: Model) -> Regions:
    """A box whose edges lie within latent cells."""
    frames, size = own.video_frames(model), (64, 64)
    box = box_region([(13, 13, 44, 44)] * frames, size, name="it", words="yellow, circle")
    return Regions((box,), frames, size)


def apart(one: Tensor, other: Tensor) -> float:
    return native.rel_error(one, other)


def branches_may_come_in_one_call_or_two(model: Model, patcher: Any) -> None:
    given = steered(model, source(model), Fusion(blend_words=("circle",)))
    together, inner = sampled(given, model), patcher.model
    whole = inner.memory_required
    inner.memory_required = lambda *_, **__: 1e30
    try:
        assert apart(sampled(given, model), together) < 1e-5
    finally:
        inner.memory_required = whole
    alone = sampled(given, model, scale=1.0)
    assert apart(alone, sampled(patcher, model, scale=1.0)) > 1e-3
    assert apart(alone, together) > 1e-3


def the_level_is_that_of_the_call(model: Model, patcher: Any) -> None:
    """Between steps, too: each call falls into the step that it lies in."""
    for name in ("dpm_2", "heun", "dpmpp_sde", "dpmpp_2m_sde", "res_multistep"):
        asked: list[float] = []

        def noted(apply: Any, args: Any, asked: list[float] = asked) -> Any:
            asked.append(float(args["timestep"][0]))
            return apply(args["input"], args["timestep"], **args["c"])

        watched, noting = patcher.clone(), Noting()
        watched.set_model_unet_function_wrapper(noted)
        given = steered(model, source(model), noting, patcher=watched)
        sampled(given, model, name, sigmas=own.sigmas_of(model, 4))
        sigmas = [float(sigma) for sigma in own.sigmas_of(model, 4)]
        assert len(noting.steps) == len(asked) >= 4, name
        flow = model.schedule.kind == "flow"
        for (index, ratio), sigma in zip(noting.steps, asked, strict=True):
            level = (
                ratio / (1 + ratio) if flow and ratio < 1e8 else min(ratio, 1.0) if flow else ratio
            )
            assert level == pytest.approx(sigma, rel=1e-4), name
            assert sigmas[index + 1] <= sigma * 1.00001, (name, index, sigma)
            assert sigma <= sigmas[index] * 1.00001, (name, index, sigma)
        assert name == "dpmpp_2m_sde" or len(asked) > 4 or name == "res_multistep"


def outside_is_the_source(model: Model, patcher: Any) -> None:
    """Of IRJS and any sampler, a mask of the user's own with it, and whatever guidance does."""
    clip, kept = source(model), JointSampling(regions(model))
    mask = regions(model).on_latents(model.codec.lattice(own.video_frames(model), (64, 64)))
    cells = mask.coverage(own.SIZE)[:, None]  # t 1 h w
    outside = (cells == 0).expand_as(clip.clean)
    inside = ~outside

    def shout(args: Any) -> Any:
        return args["denoised"] * 1.7 + 0.3

    loud = patcher.clone()
    loud.set_model_sampler_post_cfg_function(shout)
    for name, on in (("euler", patcher), ("dpmpp_2m", loud), ("euler_ancestral", patcher)):
        found = sampled(steered(model, clip, kept, patcher=on), model, name)
        assert torch.allclose(found[outside], clip.clean[outside], atol=2e-5), name
        assert apart(found[inside], clip.clean[inside]) > 0.1, name
    denoiser: Any = model.denoiser
    start = patcher.model.process_latent_out(denoiser.outward(clip.clean))
    free = torch.ones_like(cells)
    free[..., : own.SIZE[1] // 2] = 0  # the left half stays
    laid = denoiser.outward(free.expand_as(clip.clean))[:, :1]
    found = sampled(steered(model, clip, kept), model, start=start, denoise_mask=laid)
    either = outside | (free == 0)
    assert torch.allclose(found[either], clip.clean[either], atol=2e-5)
    assert apart(found[~either], clip.clean[~either]) > 0.1
    short = own.sigmas_of(model, 8)[-5:]  # denoise 0.5
    given = {"start": start, "sigmas": short}
    found = sampled(steered(model, clip, Fusion(), kept), model, **given)
    assert torch.allclose(found[outside], clip.clean[outside], atol=2e-5)
    assert apart(found, sampled(patcher, model, **given)) > 1e-3


def two_samplers_do_not_know_of_each_other(model: Model, patcher: Any) -> None:
    """From one MODEL with different controls, or one within the other where ComfyUI can do it; the
    MODEL is as before."""
    clip, before, other = source(model), state(model), host_models.sd()
    few = {"sigmas": own.sigmas_of(model, 2)}
    strong, fused = (steered(model, clip, each) for each in (boost(model, 50.0), Fusion()))
    theirs = steered(other, source(other), boost(other, 50.0))
    alone = [sampled(each, model, **few) for each in (patcher, strong, fused)]
    within: list[Tensor] = []

    def sample_another() -> None:
        if not within:
            within.append(sampled(theirs, other, **few))

    outer = steered(model, clip, Fusion(), Noting(then=sample_another))
    assert torch.equal(sampled(outer, model, **few), alone[2])
    assert torch.equal(within[0], alone[1]), "controls of the one are in the other"
    for error in (Stopped, torch.OutOfMemoryError):

        def stop(error: type[BaseException] = error) -> None:
            raise error("stopped")

        with pytest.raises(error):
            sampled(steered(model, clip, Fusion(), Noting(then=stop)), model, **few)
        assert state(model) == before, "something was left behind"
        for each, given in zip((patcher, strong, fused), alone, strict=True):
            assert torch.equal(sampled(each, model, **few), given)


def a_sampler_may_go_on_where_another_left_off(model: Model, patcher: Any) -> None:
    """As KSamplerAdvanced hands noise on, and Wan's two experts do."""
    given = {"noise": model.denoiser.outward(own.latents(model, own.SEED))}  # type: ignore[attr-defined]
    clip = source(model, shared=own.latents(model, own.SEED))
    steered_by = Fusion(cross_steps=1.0, self_steps=1.0), JointSampling(regions(model))
    on = steered(model, clip, *steered_by)
    whole, sigmas = sampled(on, model, **given), own.sigmas_of(model)
    denoiser: Any = model.denoiser
    first = sampled(on, model, sigmas=sigmas[:3], **given)
    start = patcher.model.process_latent_out(denoiser.outward(first))
    rest = {"start": start, "noise": torch.zeros_like(start), "sigmas": sigmas[2:]}
    assert apart(sampled(on, model, **rest), whole) < 1e-4


def a_controlnet_stays_with_its_prompt(model: Model) -> None:
    """On the positive prompt: the source has none, as in the pack's own loop; or one of its own."""
    clip = source(model, shared=own.latents(model, own.SEED))
    led = host_models.with_controlnet(model, (64, 64), len(clip.clean)).text.encode(native.TARGET)
    given = {"positive": own.conditioned(led), **own.from_source(model, clip)}
    theirs = sampled(steered(model, clip, Fusion()), model, **given)
    ours = own.by_loop(model, replace(clip, target=led), [Fusion()])
    assert apart(theirs, ours) < 1e-4
    shown = host_models.with_controlnet(model, (64, 64), len(clip.clean)).text.encode(native.SOURCE)
    clip, plain = replace(clip, prompt=shown), own.from_source(model, clip)
    both = sampled(steered(model, clip, Fusion()), model, **plain)
    assert apart(both, own.by_loop(model, clip, [Fusion()])) < 1e-4
    assert apart(both, own.by_loop(model, source(model, shared=clip.shared), [Fusion()])) > 1e-3
    control = led.host[0][1]["control"]
    assert control.cond_hint is None, "a hint was kept"
    assert apart(theirs, sampled(steered(model, clip, Fusion()), model)) > 1e-3
    with pytest.raises(Stopped):
        sampled(steered(model, clip, Fusion(), Noting(then=stopped)), model, **given)
    assert control.cond_hint is None, "an interrupt left a hint"


def hooks_of_the_source_are_the_samplers(model: Model) -> None:
    """A LoRA on both prompts, as in this pack's own loop; ComfyUI registers none of the source."""
    clip = source(model, shared=own.latents(model, own.SEED))
    led = hooked(clip.target, (0, 1))
    both = replace(clip, prompt=replace(clip.prompt, host=led.host), target=led)
    given = {"positive": own.conditioned(led), **own.from_source(model, clip)}
    theirs = sampled(steered(model, both, Fusion()), model, **given)
    assert apart(theirs, own.by_loop(model, both, [Fusion()])) < 1e-4
    assert apart(theirs, own.by_loop(model, replace(clip, target=led), [Fusion()])) > 1e-3
    with pytest.raises(EvenframeError, match="^The source prompt has hooks"):
        sampled(steered(model, replace(both, target=clip.target), Fusion()), model)


def a_sampler_may_be_run_again_from_outside(model: Model, patcher: Any) -> None:
    """By another node's wrapper."""
    clip, noting, few = source(model), Noting(), {"sigmas": own.sigmas_of(model, 3)}
    on = steered(model, clip, Fusion(), noting)
    once = sampled(on, model, **few)
    twice = steered(model, clip, Fusion(), noting, patcher=twofold(patcher))
    noting.steps.clear()
    assert torch.equal(sampled(twice, model, **few), once)
    assert [index for index, _ in noting.steps] == [0, 1, 2] * 2


def twofold(patcher: Any) -> Any:
    clone = patcher.clone()
    clone.add_wrapper("outer_sample", lambda run, *given, **more: again(run, given, more))
    return clone


def again(run: Any, given: Any, more: Any) -> Any:
    run(*given, **more)
    return run(*given, **more)


def stopped() -> None:
    raise Stopped


def an_edited_frame_is_followed(model: Model, patcher: Any) -> None:
    """By any sampler, also from a window that does not have the frame."""
    clip, codec = source(model), model.codec
    edited = clip.clean[:1] + 3 * regions(model).coverage(own.SIZE)[:1, None]
    control = FirstFrame(latents=codec.exported(edited))
    cut, few = windowed(patcher, model), {"sigmas": own.sigmas_of(model, 4)}
    for name, on in (("euler", patcher), ("dpmpp_2m", patcher), ("heun", cut)):
        found = sampled(steered(model, clip, control, patcher=on), model, name, **few)
        assert torch.allclose(found[:1], edited, atol=2e-5), name
        without = sampled(steered(model, clip, patcher=on), model, name, **few)
        rest = slice(1, 2 if on is cut and codec.time_stride > 1 else None)
        pairs = zip(found[rest], without[rest], strict=True)
        assert all(apart(one, other) > 1e-3 for one, other in pairs), name


def windows_are_edited_each(model: Model, patcher: Any) -> None:
    """ComfyUI's Context Windows cut the clip, and the source with it."""
    clip, noting = source(model), Noting()
    kept = JointSampling(regions(model))
    cut = windowed(patcher, model)
    found = sampled(steered(model, clip, Fusion(), kept, noting, patcher=cut), model)
    assert noting.windows == [range(2), range(1, 3)], noting.windows
    whole = apart(found, sampled(steered(model, clip, Fusion(), kept), model))
    # Frames that look at none but themselves know of no windows.
    assert whole > 1e-3 if model.codec.time_stride > 1 else whole < 1e-5
    far = torch.zeros(own.SIZE, dtype=torch.bool)
    far[-1], far[0] = True, True
    assert torch.allclose(found[..., far], clip.clean[..., far], atol=2e-5)
    idle = steered(model, clip, boost(model, 1.0), patcher=cut)
    assert torch.equal(sampled(idle, model), sampled(cut, model))
    with pytest.raises(EvenframeError, match="^Context Windows asks about frames .* not in a row"):
        looped = windowed(patcher, model, lambda *_: [[0, 2], [1, 2]])
        sampled(steered(model, clip, Fusion(), patcher=looped), model)


def windowed(patcher: Any, model: Model, cut: Any = None) -> Any:
    from comfy.context_windows import (
        ContextFuseMethods,
        ContextSchedule,
        IndexListContextHandler,
        get_matching_fuse_method,
    )

    whole = ContextSchedule("two", cut or (lambda *_: [[0, 1], [1, 2]]))
    method = get_matching_fuse_method(ContextFuseMethods.FLAT)
    dim = 2 if model.codec.time_stride > 1 else 0
    clone = patcher.clone()
    clone.model_options["context_handler"] = IndexListContextHandler(
        whole, method, 2, 1, dim=dim, causal_window_fix=False
    )
    return clone


def figures_are_met(model: Model) -> None:
    """Neutral controls, and the same edit by both loops; none of these does nothing. The bench has
    six samplers for each family, and all edits."""
    few, edits = model.name == "SDXL", own.edits_of(model)
    some = own.SAMPLERS[:1] if few else own.SAMPLERS[::2]
    assert max(own.neutral(model, some).values()) < own.TARGETS["sampler.neutral_rel_error"]
    edits = {name: edits[name] for name in (("fusion with masks", "FAME") if few else edits)}
    found = own.engines(model, edits)
    assert max(found.values()) < own.TARGETS["sampler.engines_rel_error"], found
    clip, given = source(model), {"sigmas": own.sigmas_of(model, 2)}
    plain, alone = (
        sampled(each, model, **given) for each in (own.patcher_of(model), steered(model, clip))
    )
    assert torch.equal(alone, plain), "a source alone, or what was there before, changes something"
    for name, controls in edits.items():
        moved = apart(sampled(steered(model, clip, *controls), model, **given), plain)
        assert moved > 1e-3 or not controls, f"{name} does nothing"


def main() -> None:
    assert not host_models.find()
    own.STEPS = 4  # the bench takes more
    with torch.inference_mode():
        for make in own.FAMILIES.values():
            figures_are_met(make())
        for make in (host_models.sd, own.FAMILIES["Wan"]):
            model = make()
            patcher = own.patcher_of(model)
            branches_may_come_in_one_call_or_two(model, patcher)
            the_level_is_that_of_the_call(model, patcher)
            outside_is_the_source(model, patcher)
            an_edited_frame_is_followed(model, patcher)
            windows_are_edited_each(model, patcher)
            a_sampler_may_go_on_where_another_left_off(model, patcher)
            if make is host_models.sd:
                a_controlnet_stays_with_its_prompt(model)
                hooks_of_the_source_are_the_samplers(model)
                a_sampler_may_be_run_again_from_outside(model, patcher)
                two_samplers_do_not_know_of_each_other(model, patcher)


if __name__ == "__main__":
    main()
