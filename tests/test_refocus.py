"""RAD in an edit: its gradient, when it acts, what it costs, and what it refuses."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny_model import tiny
from torch import Tensor

from evenframe.pipelines.attention.terms import Call, Terms, probabilities
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.common.memory import free_memory
from evenframe.pipelines.controls.base import Edit, Step
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.controls.reatco import refinement
from evenframe.pipelines.controls.reatco.losses import condition_maps, region_losses, step_size
from evenframe.pipelines.controls.reatco.refocus import Refocus, RefocusRun
from evenframe.pipelines.controls.region_words import region_places
from evenframe.pipelines.controls.span import Span
from evenframe.pipelines.editing import edit
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.models.noise_schedule import NoiseSchedule
from evenframe.pipelines.models.schedule import Level
from evenframe.pipelines.models.stable_diffusion import shipped
from evenframe.pipelines.models.stable_diffusion.denoiser import UNetDenoiser
from evenframe.pipelines.regions.region import box_region, mask_region
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.source.inversion import Inversion, invert
from evenframe.pipelines.source.maps import mask_sites
from evenframe.pipelines.source.store import SourceAttention
from evenframe.pipelines.walk import StepReport

SOURCE, TARGET = "two dolphins in the ocean", "a jellyfish and a goldfish in the ocean"
SIZE, STEPS = (64, 128), 4


def regions(frames: int = 3) -> Regions:
    left = box_region([(0, 16, 56, 64)] * frames, SIZE, name="left", words="jellyfish")
    right = box_region([(72, 0, 128, 48)] * frames, SIZE, name="right", words="goldfish")
    return Regions((left, right), frames, SIZE)


@pytest.fixture(scope="module")
def model() -> Model:
    """Made for 512 px: its maps are read at stride 32, and two blocks come after them."""
    return tiny(native=512)


@pytest.fixture(scope="module")
def inversion(model, clip) -> Inversion:
    return invert(model, clip, SOURCE, steps=STEPS)


def begun(model: Model, inversion: Inversion, **settings: Any) -> RefocusRun:
    free = settings.pop("free", free_memory)
    chosen = Refocus(regions(inversion.latent_frames), **settings)
    return RefocusRun(chosen, Edit(model, inversion, model.text.encode(TARGET), free=free))


def first_step(inversion: Inversion, index: int = 0) -> Step:
    here, there = levels(inversion)[index : index + 2]
    source = SourceAttention({}, {})
    return Step(index, here, there, source, inversion.trajectory[STEPS - 1 - index])


def levels(inversion: Inversion) -> list[Level]:
    return inversion.levels(NoiseSchedule.from_config(shipped.config("sd15", "scheduler")))


def update(run: RefocusRun, inversion: Inversion, index: int = 0) -> Tensor:
    """What one step of guidance takes from the latents."""
    latents = inversion.trajectory[-1]
    return latents - run.guide(latents, first_step(inversion, index))


def close(one: Tensor, other: Tensor, tolerance: float) -> bool:
    return float((one - other).norm() / other.norm()) < tolerance


# The gradient


def full_gradient(model: Model, inversion: Inversion, sharpen: bool = True) -> Tensor:
    """dL/dX with every block of the model run, and the maps taken on the way."""
    sites = mask_sites(model.denoiser.sites, model.denoiser.layout.mask_stride)
    maps: list[Tensor] = []

    def attend(call: Call, terms: Terms) -> Terms:
        if call.site in sites:
            maps.append(probabilities(call.q, call.k).mean(1).unflatten(1, call.grid))
        return terms

    target = model.text.encode(TARGET)
    latents = inversion.trajectory[-1].clone().requires_grad_()
    table, level = inversion.keyframe_table(), levels(inversion)[0]
    model.denoiser.predict(latents, level, {"target": target}, table, attend)
    conditioned = condition_maps(torch.stack(maps).mean(0), sharpen)
    loss = torch.tensor(0.0)
    cells = regions(inversion.latent_frames).cells((2, 4))
    for mask, [place] in zip(cells, region_places(target.tokens, regions().items), strict=True):
        tokens = target.tokens.at(place)
        word = conditioned[..., [token - 1 for token in tokens]].mean(-1)
        loss = loss + sum(region_losses(word, mask))
    return torch.autograd.grad(loss, latents)[0]


def gradient_of(run: RefocusRun, inversion: Inversion) -> Tensor:
    return run._evaluate(inversion.trajectory[-1], first_step(inversion))[1]


@pytest.mark.parametrize("sharpen", [True, False])
def test_the_early_stopped_gradient_is_that_of_the_full_pass(model, inversion, sharpen: bool):
    """Of the maps of all tokens, where they compete, and of those of the words alone."""
    found = gradient_of(begun(model, inversion, sharpen=sharpen), inversion)
    assert close(found, full_gradient(model, inversion, sharpen), 1e-5)


def test_the_gradient_is_the_slope_of_the_loss(model, inversion):
    run = begun(model, inversion)
    latents, level = inversion.trajectory[-1], levels(inversion)[0]
    gradient = gradient_of(run, inversion)

    def loss(shift: float) -> float:
        with torch.no_grad():
            parts = run.losses(latents + shift * gradient / gradient.norm(), level)
        return float(sum(part.sum() for part in parts))

    slope = (loss(0.05) - loss(-0.05)) / 0.1
    assert float(gradient.norm()) == pytest.approx(slope, rel=0.02)


def test_the_update_is_the_gradient_times_its_step_size(model, inversion):
    run = begun(model, inversion, scale=300.0)
    size = step_size(1, STEPS, "code", 300.0) * inversion.latent_frames / 4
    gradient = run._evaluate(inversion.trajectory[-1], first_step(inversion, 1))[1]
    assert close(update(run, inversion, 1), size * gradient, 1e-3)


@contextmanager
def calls_of(*modules: torch.nn.Module) -> Iterator[list[int]]:
    calls: list[int] = []
    hooks = [m.register_forward_pre_hook(lambda *_: calls.append(1)) for m in modules]
    yield calls
    for hook in hooks:
        hook.remove()


def test_blocks_after_the_last_map_are_never_called(model, inversion):
    run = begun(model, inversion)
    with calls_of(*model.denoiser.module.up_blocks[2:], model.denoiser.module.conv_out) as after:
        update(run, inversion)
    with calls_of(model.denoiser.module.up_blocks[1]) as needed:
        update(run, inversion)
    assert after == [] and needed == [1]


def test_one_branch_is_guided(model, inversion):
    run = begun(model, inversion)
    seen: list[tuple[int, ...]] = []
    with calls_of(model.denoiser.module.conv_in) as passes:
        handle = model.denoiser.module.conv_in.register_forward_pre_hook(
            lambda _, inputs: seen.append(tuple(inputs[0].shape))
        )
        update(run, inversion)
        handle.remove()
    assert passes == [1] and seen == [(3, 4, 8, 16)]


def test_checkpointing_keeps_less_and_changes_nothing(model, inversion):
    updates, kept = [], []
    for checkpointing in ("off", "on"):
        run = begun(model, inversion, checkpointing=checkpointing)
        sizes: list[int] = []

        def pack(tensor: Tensor, sizes: list[int] = sizes) -> Tensor:
            sizes.append(tensor.nbytes)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            updates.append(gradient_of(run, inversion))
        kept.append(sum(sizes))
    assert torch.equal(*updates)
    assert kept[1] < 0.5 * kept[0]
    assert not any(
        getattr(m, "gradient_checkpointing", False) for m in model.denoiser.module.modules()
    )


def test_auto_checkpoints_where_memory_is_short(model, inversion, monkeypatch):
    asked: list[Any] = []
    original = UNetDenoiser.differentiable
    monkeypatch.setattr(
        UNetDenoiser,
        "differentiable",
        lambda self, to=None: (asked.append(to), original(self, to))[1],
    )
    needed = model.denoiser.gradient_bytes(
        inversion.latent_frames, model.codec.lattice_of(inversion.trajectory[0]).size
    )
    for free in (needed, needed - 1):
        update(begun(model, inversion, free=lambda _, free=free: free), inversion)
    assert asked[0] is None and asked[1].order == max(
        site.order for site in mask_sites(model.denoiser.sites, model.denoiser.layout.mask_stride)
    )


@pytest.mark.parametrize("checkpointing", ["off", "on"])
def test_it_works_inside_a_host_that_runs_under_inference_mode(clip, checkpointing: str):
    with torch.inference_mode():
        model = tiny(native=512)
        for parameter in model.denoiser.module.parameters():
            parameter.data = parameter.data.clone()  # as a host moves them
        weights = list(model.denoiser.module.parameters())
        inversion = invert(model, clip, SOURCE, steps=STEPS)
        control = Refocus(regions(), checkpointing=checkpointing)
        inside = edit(model, inversion, TARGET, controls=[control])
    assert all(
        one is other for one, other in zip(weights, model.denoiser.module.parameters(), strict=True)
    )
    ordinary = tiny(native=512)
    again = invert(ordinary, clip, SOURCE, steps=STEPS)
    assert torch.equal(inside, edit(ordinary, again, TARGET, controls=[Refocus(regions())]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_has_the_direction_of_the_gradient(model, inversion, dtype):
    expected = gradient_of(begun(model, inversion), inversion)
    half = tiny(native=512)
    half.denoiser.module.to(dtype)
    found = gradient_of(begun(half, inversion), inversion)
    cosine = torch.nn.functional.cosine_similarity(found.flatten(), expected.flatten(), dim=0)
    assert found.dtype == torch.float32 and float(cosine) > 0.99


def test_the_strength_per_frame_does_not_depend_on_their_number(model, clip):
    updates = []
    for count in (1, 4):
        still = clip[:1].expand(count, -1, -1, -1)
        inversion = invert(model, still, SOURCE, steps=STEPS, keyframes="own")
        # Smoothing over time makes the ends of a clip count less than its middle.
        updates.append(update(begun(model, inversion, scale=300.0, smooth=False), inversion)[0])
    assert close(updates[0], updates[1], 1e-3)


# In an edit


def attention_inside(model: Model, inversion: Inversion, latents: Tensor) -> float:
    run = begun(model, inversion)
    with torch.no_grad():
        return 1 - float(run.losses(latents, levels(inversion)[0])[0].mean())


def test_guidance_moves_attention_into_the_regions(model, inversion):
    latents = inversion.trajectory[-1]
    run = begun(model, inversion, scale=2.0)
    guided = latents
    for _ in range(5):
        guided = run.guide(guided, first_step(inversion))
    before, after = (attention_inside(model, inversion, x) for x in (latents, guided))
    assert after > before


def test_it_acts_in_its_steps_only(model, inversion):
    plain = edit(model, inversion, TARGET, guidance_scale=2)
    for steps, changes in ((Span(0.0, 0.5), True), (Span(0.25, 0.25), False)):
        control = Refocus(regions(), steps=steps)
        result = edit(model, inversion, TARGET, guidance_scale=2, controls=[control])
        assert torch.equal(result, plain) != changes
    run = begun(model, inversion, steps=Span(0.25, 0.75))
    moved = [bool(update(run, inversion, index).any()) for index in range(STEPS)]
    assert moved == [False, True, True, False]


def test_where_it_is_off_it_costs_nothing(model, inversion):
    run = begun(model, inversion, steps=Span(0.0, 0.5))
    with calls_of(model.denoiser.module) as passes:
        update(run, inversion, STEPS - 1)
    assert passes == []


def test_refinement_repeats_until_the_attention_is_there(model, inversion):
    worst = [0.99] * 3 + [0.9] * 99
    run = begun(model, inversion, refine=True)
    losses, calls = run._evaluate, []

    def evaluate(latents: Tensor, step: Step, which: str) -> tuple[float, Tensor]:
        calls.append(1)
        return worst[len(calls) - 1], losses(latents, step, which)[1]

    run._evaluate = evaluate  # type: ignore[method-assign]
    update(run, inversion)  # threshold 0.05: enough at an L_IR of 0.95
    assert len(calls) == 4
    calls.clear()
    update(run, inversion, 1)  # 0.2 of 4 steps; threshold 0.5 is never reached
    assert len(calls) == refinement.MOST + 1


@pytest.mark.parametrize("first", [True, False])
def test_it_works_with_fusion_in_any_order(model, inversion, first: bool):
    fusion = Fusion(blend_words=("dolphins",), latent_blend=True)
    controls: list[Any] = [Refocus(regions()), fusion]
    one, other = (
        edit(model, inversion, TARGET, controls=order) for order in (controls, controls[::-1])
    )
    assert torch.equal(one, other)
    assert not torch.equal(one, edit(model, inversion, TARGET, controls=[fusion]))


def test_the_same_bytes_every_time(model, inversion):
    first, second = (edit(model, inversion, TARGET, controls=[Refocus(regions())]) for _ in "ab")
    assert torch.equal(first, second)


def test_a_clip_of_one_frame(model, clip):
    inversion = invert(model, clip[:1], SOURCE, steps=STEPS)
    assert edit(model, inversion, TARGET, controls=[Refocus(regions(1))]).isfinite().all()


def test_a_region_of_one_pixel_and_one_of_the_whole_frame(model, inversion, caplog):
    dot = torch.zeros(SIZE)
    dot[40, 70] = 1
    whole = box_region([(0, 0, 128, 64)] * 3, SIZE, name="whole", words="jellyfish")
    small = mask_region(dot, 3, SIZE, name="dot", words="goldfish")
    with caplog.at_level(logging.WARNING):
        control = Refocus(Regions((whole, small), 3, SIZE))
        result = edit(model, inversion, TARGET, controls=[control])
    assert result.isfinite().all()
    assert "Region 'dot' is smaller than one cell" in caplog.text


def test_regions_of_one_word_are_one(model, inversion):
    """Two dolphins may be in two places: their word is pulled to both."""
    both = Regions(tuple(replace(r, words="jellyfish") for r in regions().items), 3, SIZE)
    plan = Edit(model, inversion, model.text.encode(TARGET))
    [(tokens, mask)] = RefocusRun(Refocus(both), plan)._words
    grid = (mask.shape[-2], mask.shape[-1])
    assert torch.equal(mask, regions().cells(grid).amax(0)) and len(tokens) == 1


def test_an_interrupt_ends_a_refinement_between_its_passes(model, inversion):
    class Stopped(Exception):
        pass

    asked = iter(range(3))

    def on_pass() -> None:
        if next(asked) == 2:
            raise Stopped

    steps: list[int] = []

    def on_step(report: StepReport) -> None:
        steps.append(report.done)

    control = Refocus(regions(), refine=True, scale=1e-6)
    with pytest.raises(Stopped):
        edit(model, inversion, TARGET, controls=[control], on_step=on_step, on_pass=on_pass)
    assert not steps


def test_the_scale_is_as_published_for_the_rule(model, inversion):
    sizes = [
        float(update(begun(model, inversion, **settings), inversion).norm())
        for settings in ({"rule": "paper"}, {"rule": "paper", "scale": 1.0}, {})
    ]
    assert sizes[0] == sizes[1] < sizes[2]


# What it refuses


def refused(call: Callable[..., Any], *args: Any, **settings: Any) -> str:
    with pytest.raises(EvenframeError) as caught:
        call(*args, **settings)
    return str(caught.value).splitlines()[0]


@pytest.mark.parametrize(
    ("settings", "starts"),
    [
        ({"rule": "constant"}, "rule 'constant' is unknown: use code, paper"),
        ({"outer_count": "all"}, "outer_count 'all' is unknown"),
        ({"checkpointing": "yes"}, "checkpointing 'yes' is unknown: use auto, on, off"),
        ({"scale": -1.0}, "scale is -1.0: choose a value from 0 to 10000"),
        ({"scale": float("nan")}, "scale is nan: choose"),
        ({"top_fraction": 1.5}, "top_fraction is 1.5: choose"),
    ],
)
def test_settings_out_of_range(settings, starts: str):
    """They are refused where they are made, before there is an edit."""
    assert refused(Refocus, regions(), **settings).startswith(starts)


def test_regions_that_do_not_fit_the_prompt_or_the_clip(model, inversion):
    def message(*items: Any, frames: int = 3) -> str:
        def edited() -> None:
            edit(model, inversion, TARGET, controls=[Refocus(Regions(items, frames, SIZE))])

        return refused(edited)

    def box(name: str, words: str, frames: int = 3) -> Any:
        return box_region([(0, 0, 64, 64)] * frames, SIZE, name=name, words=words)

    assert message(box("left", "dolphins")).startswith("The word 'dolphins' is not in the prompt")
    assert message(box("left", " ")).startswith("Region 'left' has no words: give it the words of")
    assert message(box("left", "goldfish", 2), frames=2).startswith(
        "The regions are for 2 frames of 128x64 pixels, but the clip has 3 of 128x64: draw them"
    )
    assert message(box("left", "goldfish"), box("over", "jellyfish")).startswith(
        "Region 'left' lies under later regions on all frames"
    )


def test_two_of_them_conflict(model, inversion):
    controls = [Refocus(regions()), Refocus(regions())]
    message = refused(edit, model, inversion, TARGET, controls=controls)
    assert message.startswith("There are two RAD Refocusers: their order would matter")


def test_no_frame_moves_further_than_half_its_latents(model, inversion):
    latents = inversion.trajectory[-1]
    run = begun(model, inversion)
    step = first_step(inversion)
    update = torch.zeros_like(latents)
    update[0], update[1] = 3 * latents[0], 0.4 * latents[1]
    moved = latents - run._updates.take(latents, update, step.index)
    assert torch.allclose(moved[0], 0.5 * latents[0], atol=1e-5)
    assert torch.allclose(moved[1:], update[1:], atol=1e-6)


def test_guidance_that_diverges_is_stopped_with_a_hint(model, inversion):
    """Not by updates that are too large now and then, but by three in a row."""
    run, latents = begun(model, inversion, scale=300.0), inversion.trajectory[-1]
    for factor in (2.0, 2.0, 0.1, 2.0, 2.0):
        run._updates.take(latents, factor * latents, 0)
    message = refused(run._updates.take, latents, 2 * latents, 2)
    assert message.startswith(f"The guidance of RAD diverges at step 3 of {STEPS}: its update")
    assert "is 2 times as large as the latents, and so were the 2 before." in message
    assert "Reduce its scale, 300," in message


def test_guidance_that_is_no_number_is_stopped(inversion):
    broken = tiny(native=512)
    broken.denoiser.module.conv_in.weight.data[0] = float("nan")
    message = refused(update, begun(broken, inversion), inversion)
    assert message.startswith(f"The guidance of RAD broke at step 1 of {STEPS}")
    assert message.endswith("Reduce its scale."), "it is in float32 already"


def test_a_boost_acts_on_every_coarse_layer_of_words(model, inversion: Inversion, caplog):
    """On images, too: at each grid, without a gradient, and what is small is told once."""
    size = model.codec.lattice_of(inversion.trajectory[0]).size
    frames = inversion.latent_frames
    small = box_region([(8, 8, 9, 9)] * frames, size, name="dot", words="jellyfish")
    chosen = Refocus(Regions((small,), frames, size), guide_by="boost", boost=20.0)
    run = chosen.begin(Edit(model, inversion, model.text.encode(TARGET)))
    assert "smaller than one cell" in caplog.text
    told, changed = len(caplog.records), set()
    run.prepare(first_step(inversion))

    def attend(call: Call, terms: Terms) -> Terms:
        found = run.attend(call, terms)
        if found is not terms:
            changed.add((call.site.kind, call.grid))
        return found

    prompt = {"target": model.text.encode(TARGET)}
    table, level = inversion.keyframe_table(), levels(inversion)[0]
    with torch.no_grad():
        model.denoiser.predict(inversion.trajectory[-1], level, prompt, table, attend)
    coarse = model.denoiser.layout.control_stride
    sites = [s for s in model.denoiser.sites if s.kind == "cross" and s.stride >= coarse]
    assert changed == {("cross", site.grid(size)) for site in sites} and len(changed) > 1
    assert len(caplog.records) == told
    plain, found = (edit(model, inversion, TARGET, controls=each) for each in ([], [chosen]))
    assert not torch.equal(found, plain)
