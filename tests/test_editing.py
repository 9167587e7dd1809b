"""The denoising loop: guidance, controls, start, noise, and what ends it."""

import inspect
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from ddim import alpha, ddim_step
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from tiny_model import tiny
from torch import Tensor

from evenframe.benchmarks.models import with_predict
from evenframe.pipelines.attention.terms import Call, Terms
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.controls.base import Control, ControlRun, Edit, Step
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.editing import edit
from evenframe.pipelines.models.guidance import classifier_free
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.models.schedule import Level
from evenframe.pipelines.source.inversion import Inversion, invert
from evenframe.pipelines.walk import StepReport

SOURCE, TARGET = "a silver jeep driving down a road", "a red jeep driving down a road"
STEPS = 4


@pytest.fixture(scope="module")
def inversion(model, clip) -> Inversion:
    return invert(model, clip, SOURCE, steps=STEPS, store="recompute")


@pytest.fixture(scope="module")
def plain(model, inversion) -> Tensor:
    """An edit without controls."""
    return edit(model, inversion, TARGET, guidance_scale=2)


def by_hand(model, inversion: Inversion, scale: float, start: int = 0) -> Tensor:
    """Classifier-free guided DDIM, one prompt at a time."""
    table, schedule = inversion.keyframe_table(), model.schedule
    latents = inversion.trajectory[inversion.steps - start]
    prompts = [model.text.encode(text) for text in ("", TARGET)]
    for timestep, after in list(pairwise(inversion.times))[start:]:
        level = schedule.at(timestep)
        with torch.no_grad():
            negative, target = (
                model.denoiser.predict(latents, level, {"x": prompt}, table)["x"]
                for prompt in prompts
            )
        epsilon = negative + scale * (target - negative)
        start_level, end_level = alpha(schedule, timestep), alpha(schedule, after)
        if model.schedule.kind == "v":
            signal, noise = float(start_level.sqrt()), float((1 - start_level).sqrt())
            epsilon = signal * epsilon + noise * latents
        latents = ddim_step(latents, epsilon, start_level.float(), end_level.float())
    return latents


def close(one: Tensor, other: Tensor, tolerance: float = 1e-4) -> bool:
    return float((one - other).norm() / other.norm()) < tolerance


# Guidance, start, noise


@pytest.mark.parametrize("scale", [7.5, 2.0, 1.0, 0.5, 0.0])
def test_guidance_is_classifier_free_at_every_scale(model, inversion, scale: float):
    result = edit(model, inversion, TARGET, guidance_scale=scale)
    assert result.dtype == torch.float32
    assert close(result, by_hand(model, inversion, scale))


@pytest.mark.parametrize(("scale", "branches"), [(1, ["target"]), (0, ["negative"]), (2, None)])
def test_a_branch_that_has_no_effect_is_not_computed(model, inversion, scale, branches):
    spy = Spying()
    edit(model, inversion, TARGET, guidance_scale=scale, controls=[spy])
    assert sorted(spy.branches) == (branches or ["negative", "target"])


def test_guidance_moves_from_the_negative_prediction_towards_the_target():
    outputs = {"negative": torch.tensor(1.0), "target": torch.tensor(3.0)}
    where = torch.zeros(1, 4, 1, 1), Level(0, 1, 1)
    assert classifier_free(outputs, 7.5, *where) == 16
    assert classifier_free({"target": torch.tensor(3.0)}, 1.0, *where) == 3


def test_a_negative_prompt_matters(model, inversion, plain):
    other = edit(model, inversion, TARGET, negative="a blurry cat", guidance_scale=2)
    assert not close(other, plain, 1e-3)


@pytest.mark.parametrize("start", [1, STEPS - 1])
def test_an_edit_can_start_later_from_the_sources_latents(model, inversion, start: int):
    done: list[int] = []
    result = edit(
        model,
        inversion,
        TARGET,
        guidance_scale=2,
        start_step=start,
        on_step=lambda report: done.append(report.done),
    )
    assert close(result, by_hand(model, inversion, 2, start))
    assert done == list(range(start + 1, STEPS + 1))


def test_fresh_noise_follows_the_seed_and_without_it_the_seed_is_idle(model, inversion, plain):
    def noisy(seed: int) -> Tensor:
        return edit(model, inversion, TARGET, guidance_scale=2, eta=0.5, seed=seed)

    assert torch.equal(noisy(3), noisy(3))
    assert not close(noisy(3), noisy(4), 1e-2)
    assert torch.equal(edit(model, inversion, TARGET, guidance_scale=2, seed=9), plain)


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_fresh_noise_is_that_of_the_ddim_paper(model, inversion, eta: float):
    """Against diffusers' scheduler, fed with the same predictions and the same noise."""
    from evenframe.pipelines.models.stable_diffusion import shipped

    scheduler = DDIMScheduler.from_config(
        shipped.config("sd15", "scheduler") | {"clip_sample": False, "set_alpha_to_one": False}
    )
    assert isinstance(scheduler, DDIMScheduler)
    scheduler.set_timesteps(STEPS)
    generator = torch.Generator().manual_seed(5)
    latents = inversion.trajectory[-1]
    target = {"target": model.text.encode(TARGET)}
    for timestep in inversion.times[:-1]:
        level = model.schedule.at(timestep)
        with torch.no_grad():
            epsilon = model.denoiser.predict(latents, level, target, inversion.keyframe_table())
        noise = torch.randn(latents.shape, generator=generator)
        step = scheduler.step(epsilon["target"], timestep, latents, eta=eta, variance_noise=noise)
        latents = step.prev_sample  # type: ignore[union-attr]
    result = edit(model, inversion, TARGET, guidance_scale=1, eta=eta, seed=5)
    assert close(result, latents, 1e-3)


def test_the_same_bytes_every_time(model, inversion):
    settings = Fusion(blend_words=("jeep",), weights=(("red", 4.0),), latent_blend=True)
    first, second = (edit(model, inversion, TARGET, controls=[settings]) for _ in range(2))
    assert torch.equal(first, second)


# Controls


@dataclass(eq=False)
class Spying(Control, ControlRun):
    """A control that writes down when its verbs are called."""

    def __post_init__(self) -> None:
        self.calls: list[tuple[str, int]] = []
        self.branches: set[str] = set()
        self.arrivals: list[Tensor] = []
        self.sources: list[set[str]] = []
        self.wanted: Callable[[int], tuple] = lambda step: ()

    def begin(self, edit: Edit) -> ControlRun:
        return self

    def source_sites(self, step: int):
        return self.wanted(step)

    def prepare(self, step: Step) -> None:
        self.calls.append(("prepare", step.index))
        self.arrivals.append(step.arrival)
        self.sources.append(set(step.source.queries))
        self.step = step.index

    def attend(self, call: Call, terms: Terms) -> Terms:
        if call.site.order == 0:
            self.calls.append(("attend", self.step))
        self.branches.add(call.branch)
        return terms

    def guide(self, latents: Tensor, step: Step) -> Tensor:
        self.calls.append(("guide", step.index))
        return latents

    def settle(self, latents: Tensor, step: Step) -> Tensor:
        self.calls.append(("settle", step.index))
        return latents


class Biased(Spying):
    """Halves every self-attention's look at the first token of its columns, by a bias."""

    def attend(self, call: Call, terms: Terms) -> Terms:
        if call.site.kind == "cross":
            return terms
        bias = torch.zeros(1, terms[0].k.shape[-2])
        bias[:, 0] = -0.7
        self.calls += [("source", int(term.source)) for term in terms]
        return tuple(replace(term, bias=bias) for term in terms)


@pytest.mark.parametrize("blend_words", [(), ("jeep",)], ids=["everywhere", "masked"])
def test_what_changes_terms_changes_the_sources_wherever_it_stands(model, inversion, blend_words):
    fusion = Fusion(self_steps=1, blend_words=blend_words)

    def edited(*controls: Any) -> Tensor:
        return edit(model, inversion, TARGET, guidance_scale=1, controls=controls)

    before, after = Biased(), Biased()
    first, last = edited(before, fusion), edited(fusion, after)
    assert torch.equal(first, last) and before.calls == after.calls
    assert not torch.allclose(first, edited(fusion), atol=1e-3)
    assert {seen for name, seen in before.calls if name == "source"} == {
        1,
        *([0] * bool(blend_words)),
    }


def test_the_verbs_of_a_control_come_in_their_order(model, inversion, plain):
    spy = Spying()
    result = edit(model, inversion, TARGET, guidance_scale=2, controls=[spy])
    assert torch.equal(result, plain)
    verbs = ["prepare", "guide", "attend", "attend", "settle"]  # attend once per branch
    assert spy.calls == [(verb, step) for step in range(STEPS) for verb in verbs]


def test_a_step_brings_the_source_at_the_noise_level_it_arrives_at(model, inversion):
    spy = Spying()
    edit(model, inversion, TARGET, guidance_scale=1, controls=[spy], start_step=1)
    for step, arrival in zip(range(1, STEPS), spy.arrivals, strict=True):
        assert torch.equal(arrival, inversion.trajectory[STEPS - 1 - step])


def test_only_what_controls_ask_for_is_fetched(model, inversion):
    spy = Spying()
    first, second = model.denoiser.sites[0], model.denoiser.sites[5]
    spy.wanted = lambda step: (first,) if step == 1 else (first, second) if step == 2 else ()
    edit(model, inversion, TARGET, guidance_scale=1, controls=[spy])
    assert spy.sources == [set(), {first.name}, {first.name, second.name}, set()]


def test_controls_work_one_after_the_other(model, inversion):
    @dataclass(frozen=True)
    class Shift(Control, ControlRun):
        offset: float
        factor: float

        def begin(self, edit: Edit) -> ControlRun:
            return self

        def settle(self, latents: Tensor, step: Step) -> Tensor:
            return latents * self.factor + self.offset if step.index == STEPS - 1 else latents

    base = edit(model, inversion, TARGET, guidance_scale=1)
    controls = [Shift(1.0, 1.0), Shift(0.0, 2.0)]
    both = edit(model, inversion, TARGET, guidance_scale=1, controls=controls)
    assert torch.allclose(both, (base + 1) * 2, atol=1e-5)


FULL = Fusion(
    "refine",
    cross_steps=1.0,
    self_steps=1.0,
    blend_words=("jeep",),
    threshold=0.5,
    weights=(("red", 5.0),),
    latent_blend=True,
)


def test_all_modes_of_the_store_give_the_same_edit(model, clip, plain):
    results = {}
    for mode in ("recompute", "resident", "offload"):
        kept = invert(model, clip, SOURCE, steps=STEPS, store=mode)
        results[mode] = edit(model, kept, TARGET, guidance_scale=2, controls=[FULL])
    assert torch.equal(results["resident"], results["offload"])
    assert close(results["resident"], results["recompute"], 2e-3)
    assert not close(results["recompute"], plain, 1e-2)


def test_an_inversion_that_lost_its_records_gives_the_bytes_it_gave_with_them(model, clip):
    kept = invert(model, clip, SOURCE, steps=STEPS, store="resident")
    with_records, without = (
        edit(model, inversion, TARGET, guidance_scale=2, controls=[FULL])
        for inversion in (kept, replace(kept, records=()))
    )
    assert torch.equal(with_records, without)


def test_one_step_of_the_sources_attention_is_alive_at_a_time(model, inversion):
    """When the next step's is computed, the one before has been let go of."""
    alive: list[int] = []
    held: list[weakref.ref[Tensor]] = []

    class Watching(Spying):
        def prepare(self, step: Step) -> None:
            super().prepare(step)
            held.extend(weakref.ref(tensor) for tensor in step.source.queries.values())

    def predict(latents, level, branches, *args):
        if set(branches) == {"source"}:
            alive.append(sum(ref() is not None for ref in held))
        return model.denoiser.predict(latents, level, branches, *args)

    watched = with_predict(model, predict)
    edit(watched, inversion, TARGET, guidance_scale=2, controls=[Watching(), FULL])
    assert alive == [0] * STEPS
    assert len(held) > STEPS


def test_of_two_experts_the_one_of_the_level_is_asked(model, inversion, plain):
    """Of noise from `switch_at` on the model itself: by the inversion, for the source, by the edit;
    equal ones give what one does."""
    noises = [level.noise for level in inversion.levels(model.schedule)]
    asked: dict[str, list[tuple[float, set[str]]]] = {"high": [], "low": []}

    def noting(name: str) -> Model:
        def predict(latents, level, branches, *args):
            asked[name].append((level.noise, set(branches)))
            return model.denoiser.predict(latents, level, branches, *args)

        return with_predict(model, predict)

    both = replace(noting("high"), low_noise=noting("low"), switch_at=noises[1])
    upwards = invert(both, torch.zeros(3, 64, 128, 3), SOURCE, steps=STEPS)
    assert [noise for noise, _ in asked["low"]] == noises[3:1:-1] and upwards.steps == STEPS
    assert [noise for noise, _ in asked["high"]] == noises[1::-1]
    asked["high"], asked["low"] = [], []
    found = edit(both, inversion, TARGET, guidance_scale=2, controls=[FULL])
    each = [{"source"}, {"negative", "target"}]
    assert asked["high"] == [(noise, who) for noise in noises[:2] for who in each]
    assert asked["low"] == [(noise, who) for noise in noises[2:4] for who in each]
    assert torch.equal(found, edit(model, inversion, TARGET, guidance_scale=2, controls=[FULL]))
    assert not torch.equal(found, plain)
    assert both.modules[:2] == (model.denoiser.module,) * 2


def test_a_v_prediction_model_edits_too(clip):
    model = tiny(prediction="v_prediction")
    kept = invert(model, clip[:2], SOURCE, steps=3, store="recompute")
    assert model.schedule.kind == "v"
    result = edit(model, kept, TARGET, guidance_scale=2, controls=[FULL])
    assert result.isfinite().all()
    assert close(edit(model, kept, TARGET, guidance_scale=2), by_hand(model, kept, 2))


# What ends it


def refused(*args, **settings) -> str:
    with pytest.raises(EvenframeError) as caught:
        edit(*args, **settings)
    return str(caught.value).splitlines()[0]


@pytest.mark.parametrize(
    ("settings", "starts"),
    [
        ({"guidance_scale": -1}, "guidance_scale is -1: choose a value from 0 to 100"),
        ({"guidance_scale": float("nan")}, "guidance_scale is nan: choose"),
        ({"guidance_scale": 101}, "guidance_scale is 101: choose"),
        ({"start_step": STEPS}, f"start_step is {STEPS}: choose a whole number from 0 to "),
        ({"start_step": -1}, "start_step is -1: choose"),
        ({"start_step": 1.5}, "start_step is 1.5: choose a whole number from 0 to "),
        ({"eta": 1.5}, "eta is 1.5: choose a value from 0 to 1"),
        ({"seed": -1}, "seed is -1: choose a whole number from 0"),
    ],
)
def test_settings_out_of_range_are_refused(model, inversion, settings, starts: str):
    assert refused(model, inversion, TARGET, **settings).startswith(starts)


def test_what_another_model_made_is_refused(model, inversion):
    name = model.name
    other = replace(model.text.encode(TARGET), model="another")
    assert refused(model, replace(inversion, model="another"), TARGET).startswith(
        f"The inversion was made with another model than '{name}': make it again"
    )
    assert refused(model, inversion, other).startswith("The target prompt was made with another")
    assert refused(model, inversion, TARGET, negative=other).startswith("The negative prompt")


def test_controls_are_checked_before_anything_is_computed(model, inversion):
    steps: list[StepReport] = []
    message = refused(
        model,
        inversion,
        TARGET,
        controls=[Fusion(blend_words=("cat",))],
        on_step=steps.append,
    )
    assert message.startswith(f"The word 'cat' is not in the prompt '{SOURCE}'")
    assert steps == []


def test_latents_that_break_are_caught_at_their_step(model, inversion):
    class Breaking(Spying):
        def guide(self, latents: Tensor, step: Step) -> Tensor:
            return latents * float("inf") if step.index == 2 else latents

    message = refused(model, inversion, TARGET, controls=[Breaking()])
    assert message.startswith(f"The edit broke at step 3 of {STEPS}: its latents are not numbers")
    assert "Likely cause: the guidance scale, or a control's weight or strength" in message


class Stop(BaseException):
    """What a host raises to interrupt."""


def test_an_interrupt_ends_within_a_step_and_the_next_run_works(model, clip, inversion):
    before = edit(model, inversion, TARGET, controls=[FULL])
    trajectory = inversion.trajectory.clone()
    done: list[int] = []

    def stop(report: StepReport) -> None:
        done.append(report.done)
        if report.done == 2:
            raise Stop

    with pytest.raises(Stop):
        edit(model, inversion, TARGET, controls=[FULL], on_step=stop)
    assert done == [1, 2]
    assert torch.equal(inversion.trajectory, trajectory)
    assert torch.equal(edit(model, inversion, TARGET, controls=[FULL]), before)
    with torch.no_grad():  # and the model itself is as it was
        out = model.denoiser.module(clip.new_zeros(1, 4, 8, 8), 1, clip.new_zeros(1, 77, 32)).sample
    assert out.isfinite().all()


def test_an_interrupt_inside_attention_leaves_the_model_usable(model, inversion, plain):
    class Stopping(Spying):
        def attend(self, call: Call, terms: Terms) -> Terms:
            if self.step == 1 and call.site.order == 5:
                raise Stop
            return terms

    with pytest.raises(Stop):
        edit(model, inversion, TARGET, controls=[Stopping()])
    assert torch.equal(edit(model, inversion, TARGET, guidance_scale=2), plain)


def test_progress_gives_the_latents_and_what_they_will_become(model, inversion, plain):
    reports: list[StepReport] = []
    edit(model, inversion, TARGET, guidance_scale=2, on_step=reports.append)
    assert [(r.done, r.total, r.level.time) for r in reports] == [
        (index + 1, STEPS, time) for index, time in enumerate(inversion.times[:-1])
    ]
    assert torch.equal(reports[-1].latents, plain)
    # The last step ends a hair from clean: what it predicts to be clean is nearly its result.
    assert close(reports[-1].clean, plain, 0.2)


def test_decoding_gives_frames_whatever_the_slices(model, plain):
    done: list[int] = []
    frames = model.codec.decode(plain, slice_size=2, on_frame=done.append)
    assert frames.shape == (3, 64, 128, 3)
    assert frames.min() >= 0 and frames.max() <= 1
    assert done == [2, 3]
    assert torch.allclose(frames, model.codec.decode(plain), atol=1e-5)


def test_a_step_is_three_calls_of_ours_deep(model, clip):
    """From `edit` to the model's forward pass, with controls, the loop and its step between."""
    depths: list[int] = []

    def count(*_: Any) -> None:
        frame, ours = inspect.currentframe(), []
        while frame is not None and frame.f_code.co_name != "edit":
            if "pipelines" in Path(frame.f_code.co_filename).parts:
                ours.append(frame.f_code.co_name)
            frame = frame.f_back
        depths.append(len(ours) + 1)

    kept = invert(model, clip, SOURCE, steps=STEPS, store="resident")
    hook = model.denoiser.module.register_forward_pre_hook(count)
    edit(model, kept, TARGET, controls=[FULL])
    hook.remove()
    assert depths and max(depths) <= 3
