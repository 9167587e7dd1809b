"""Wan: a model whose latents hold several frames and which attends to the whole clip at once."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from tiny_wan import FRAMES, LENGTH, SIZE, autoencoder, tiny_wan, transformer
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from evenframe.benchmarks.guidance import Alive
from evenframe.pipelines.attention.terms import Call, Terms, evaluate
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.common.window import WHOLE_CLIP, Windowing
from evenframe.pipelines.controls.base import Edit, Step
from evenframe.pipelines.controls.fame import self_modulator
from evenframe.pipelines.controls.fame.cross_reweighter import CrossReweighter
from evenframe.pipelines.controls.fame.self_modulator import SelfModulator
from evenframe.pipelines.controls.fatezero.fusion import Fusion, own_share
from evenframe.pipelines.controls.reatco.joint_sampling import JointSampling
from evenframe.pipelines.controls.reatco.refocus import Refocus
from evenframe.pipelines.controls.span import WHOLE
from evenframe.pipelines.editing import edit
from evenframe.pipelines.models.delta import Delta
from evenframe.pipelines.models.gradients import ordinary_weights
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.models.schedule import Level
from evenframe.pipelines.models.wan.denoiser import denoiser_of
from evenframe.pipelines.regions.region import box_region
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.source import cache
from evenframe.pipelines.source.inspection import look, seen
from evenframe.pipelines.source.inversion import Inversion, Settings, invert
from evenframe.pipelines.source.reconstruction import checked, compare, reconstruct
from evenframe.pipelines.source.report import report
from evenframe.pipelines.source.store import SourceAttention
from evenframe.pipelines.text.conditioning import Conditioning
from evenframe.pipelines.text.tokens import Tokens

SOURCE, TARGET = "a silver jeep is driving down the road", "a red jeep is driving down the road"
LATENTS = 3
REGIONS = Regions(
    tuple(
        box_region([box] * FRAMES, SIZE, name=word, words=word)
        for word, box in (("red", (0, 0, 32, 32)), ("road", (32, 32, 64, 64)))
    ),
    FRAMES,
    SIZE,
)
CONTROLS = {
    "refine": (Fusion("refine", 1.0, 1.0),),
    "blend": (Fusion("refine", 1.0, 1.0, ("jeep",), 0.5, latent_blend=True, blend_window=WHOLE),),
    "target blend": (
        Fusion(
            "replace",
            0.5,
            0.5,
            (),
            weights=(("red", 3.0),),
            latent_blend=True,
            target_blend_words=("red",),
        ),
    ),
    "RAD": (Refocus(REGIONS, steps=WHOLE),),
    "RAD by gradient": (Refocus(REGIONS, steps=WHOLE, checkpointing="off", guide_by="gradient"),),
    "IRJS": (JointSampling(REGIONS, noise="fresh", repeats=2),),
    "FAME": (CrossReweighter(("jeep",), subject=("jeep",)), SelfModulator(subject=("jeep",))),
    "FAME, additive": (SelfModulator(form="additive", tau=0, regions=REGIONS),),
    "all": (
        Fusion("refine", 0.8, 0.7),
        Refocus(REGIONS, checkpointing="on", guide_by="gradient"),
        JointSampling(REGIONS, inset=1),
        CrossReweighter(regions=REGIONS),
    ),
}


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_wan()


@pytest.fixture(scope="module")
def clip() -> Tensor:
    return torch.rand(FRAMES, *SIZE, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def inversion(model: Model, clip: Tensor) -> Inversion:
    return invert(model, clip, SOURCE, steps=3)


def latents(seed: int = 0, frames: int = LATENTS) -> Tensor:
    return torch.randn(frames, 16, 8, 8, generator=torch.Generator().manual_seed(seed))


def test_it_predicts_what_the_stock_transformer_does(model: Model):
    z, stock = latents(), transformer()
    prompts = {name: model.text.encode(text) for name, text in (("a", SOURCE), ("b", "a cat"))}
    with torch.no_grad():
        found = model.denoiser.predict(z, model.schedule.at(700.0), prompts)
        for name, prompt in prompts.items():
            states, times = prompt.states["tokens"][None], torch.tensor([700.0])
            wanted = stock(z.transpose(0, 1)[None], times, states).sample[0].transpose(0, 1)
            assert (found[name] - wanted).abs().max() <= 1e-6 * wanted.abs().max()


@pytest.mark.parametrize("name", CONTROLS)
def test_every_control_works_on_it(name: str, model: Model, inversion: Inversion):
    plain = edit(model, inversion, TARGET)
    found = edit(model, inversion, TARGET, controls=CONTROLS[name])
    assert found.shape == (LATENTS, 16, 8, 8) and found.isfinite().all()
    assert not torch.equal(found, plain)


def moving(step: int) -> Regions:
    """A box that moves by so many pixels a frame."""
    boxes = [(step * frame, 0, 16 + step * frame, 32) for frame in range(FRAMES)]
    return Regions((box_region(boxes, SIZE, name="red", words="red"),), FRAMES, SIZE)


def covered(model: Model, regions: Regions) -> Tensor:
    """(t, h, w): how much of each latent the regions of its frames cover together."""
    return model.codec.lattice(FRAMES, SIZE).coarsen(regions.coverage(SIZE))


def test_a_step_is_that_of_the_stock_transformer(model: Model, inversion: Inversion):
    """Euler's, under classifier-free guidance."""
    stock, levels = transformer(), inversion.levels(model.schedule)
    states = {text: model.text.encode(text).states["tokens"] for text in (TARGET, "")}
    z = inversion.trajectory[-1]

    def said(text: str, time: float) -> Tensor:
        clip = z.transpose(0, 1)[None]
        return stock(clip, torch.tensor([time]), states[text][None]).sample[0].transpose(0, 1)

    with torch.no_grad():
        for here, there in pairwise(levels):
            negative, target = said("", here.time), said(TARGET, here.time)
            z = z + (there.noise - here.noise) * (negative + 5 * (target - negative))
    assert torch.allclose(edit(model, inversion, TARGET, guidance_scale=5), z, atol=1e-4)


def test_a_control_that_does_nothing_changes_nothing(model: Model, inversion: Inversion):
    plain = edit(model, inversion, TARGET)
    for nothing in (Fusion("refine", 0.0, 0.0), SelfModulator(strength=0)):
        assert torch.equal(edit(model, inversion, TARGET, controls=[nothing]), plain)


def test_a_control_leaves_other_branches_to_the_bit(model: Model):
    both = {"negative": model.text.encode(""), "target": model.text.encode(TARGET)}

    def zero(call: Call, terms: Terms) -> Terms:
        return tuple(replace(t, v=0 * t.v) for t in terms) if call.branch == "target" else terms

    with torch.no_grad():
        level = model.schedule.at(500.0)
        plain = model.denoiser.predict(latents(), level, both)
        found = model.denoiser.predict(latents(), level, both, None, zero)
    assert torch.equal(found["negative"], plain["negative"])
    assert not torch.equal(found["target"], plain["target"])


def test_a_control_sees_frames_of_the_latents(model: Model):
    calls: list[Call] = []

    def look_on(call: Call, terms: Terms) -> Terms:
        calls.append(call)
        return terms

    prompt = {"target": model.text.encode(TARGET)}
    with torch.no_grad():
        model.denoiser.predict(latents(), model.schedule.at(500.0), prompt, None, look_on)
    assert [call.site for call in calls] == list(model.denoiser.sites)
    for call in calls:
        assert call.grid == (4, 4) and call.q.shape == (LATENTS, 2, 16, 24)
        own = call.site.kind == "self"
        assert call.k.shape[2] == (16 if own else LENGTH)
        assert (call.keyframes is None) == (not own)
    assert calls[0].keyframes is not None and calls[0].keyframes.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("step", [0, 5])
@pytest.mark.parametrize("windowing", [WHOLE_CLIP, Windowing(5, 4)])
def test_what_no_frame_of_a_latent_frees_stays_the_sources(
    model: Model, clip: Tensor, step: int, windowing: Windowing
):
    inverted = invert(model, clip, SOURCE, steps=2, windowing=windowing)
    found = edit(model, inverted, TARGET, controls=[JointSampling(moving(step))])
    changed, share = (found != inverted.trajectory[0]).any(1), covered(model, moving(step))
    assert not changed[share == 0].any() and changed[share > 0.5].all()


def test_windows_are_cut_in_latent_frames(model: Model, clip: Tensor):
    assert Windowing(33, 24).in_latents(4) == Windowing(9, 6)
    assert Windowing(1, 1).in_latents(4) == Windowing(1, 1)
    assert Windowing(16, 12).in_latents(1) == Windowing(16, 12)
    inverted = invert(model, clip, SOURCE, steps=2, windowing=Windowing(5, 4))
    assert inverted.windows == [range(2), range(1, 3)] and inverted.at_once == 2
    whole = Edit(model, inverted, model.text.encode(TARGET))
    late = replace(whole, inversion=inverted.part(range(1, 3)), window=range(1, 3), length=3)
    for plan, at_work in ((whole, range(3)), (late, range(1, 3))):
        assert plan.latent_frames == at_work
        assert (plan.clip.frames, plan.clip.latent_frames, plan.frame_size) == (FRAMES, 3, SIZE)
    controls = [*CONTROLS["all"], SelfModulator(form="additive", tau=0, regions=REGIONS)]
    assert edit(model, inverted, TARGET, controls=controls).isfinite().all()
    assert look(model, inverted, ["jeep"]).maps.shape == (FRAMES, 4, 4)


def test_key_frames_mean_nothing_and_that_is_said(model: Model, clip: Tensor, caplog):
    plain = invert(model, clip, SOURCE, steps=2)
    assert not caplog.records
    chosen = invert(model, clip, SOURCE, steps=2, keyframes="-1, first")
    assert "'tiny-wan-0' always looks at all frames" in caplog.text
    assert torch.equal(chosen.trajectory, plain.trajectory)
    alone = reconstruct(model, chosen, 1)
    assert torch.equal(alone, reconstruct(model, chosen)[1:2])


def test_no_attention_is_kept_unless_it_is_asked_for(model: Model, clip: Tensor):
    plain = invert(model, clip, SOURCE, steps=2)
    assert (plain.mode, plain.records) == ("recompute", ())
    kept = invert(model, clip, SOURCE, steps=2, store="resident")
    assert len(kept.records) == 2
    controls = CONTROLS["refine"]
    one, other = (edit(model, each, TARGET, controls=controls) for each in (plain, kept))
    assert torch.allclose(one, other, atol=2e-2)


def test_an_inversion_is_found_again_whatever_its_key_frames(model: Model, clip: Tensor, tmp_path):
    kept, prompt = cache.InversionCache(tmp_path, 10**9), model.text.encode(SOURCE)
    first, found = cache.find_or_invert(kept, model, clip, prompt, Settings(2))
    assert not found
    other = Settings(2, ("mid",), layers="half")
    again, found = cache.find_or_invert(kept, model, clip, prompt, other, check=True)
    assert found and torch.equal(again.trajectory, first.trajectory)
    controls = CONTROLS["blend"]
    edits = [edit(model, each, TARGET, controls=controls) for each in (first, again)]
    assert torch.equal(*edits)
    assert again.prompt.tokens.summary is None


def test_the_check_rebuilds_the_frame_that_is_decoded_alone(model: Model, clip: Tensor):
    inverted = checked(model, invert(model, clip, SOURCE, steps=4))
    assert inverted.rebuilt is not None and inverted.rebuilt.shape == (1, 16, 8, 8)
    pair, decibels = compare(model, inverted, clip)
    assert pair.shape == (1, 64, 128, 3) and decibels > 0
    assert torch.equal(pair[0, :, :64], clip[0])
    whole = model.codec.decode(reconstruct(model, inverted))
    assert torch.allclose(pair[0, :, 64:], whole[0], atol=1e-5)


def test_the_frames_of_a_latent_are_seen_alike(model: Model, inversion: Inversion):
    by_latents, by_frames = (f(model, inversion, ["jeep"]) for f in (seen, look))
    assert by_latents.maps.shape == (LATENTS, 4, 4) and by_latents.mask.shape == (LATENTS, *SIZE)
    held = [0, 1, 1, 1, 1, 2, 2, 2, 2]
    assert torch.equal(by_frames.maps, by_latents.maps[held])
    assert torch.equal(by_frames.mask, by_latents.mask[held])


def test_rows_of_a_long_clip_are_not_rewritten(model: Model, inversion: Inversion, monkeypatch):
    monkeypatch.setattr(self_modulator, "MOST_TOKENS", 47)
    with pytest.raises(EvenframeError, match=r"each of 48 tokens .* set tau to 0"):
        edit(model, inversion, TARGET, controls=[SelfModulator(tau=0.1, subject=("jeep",))])
    edit(model, inversion, TARGET, controls=CONTROLS["FAME, additive"])
    edit(model, inversion, TARGET, controls=[SelfModulator(regions=REGIONS)])


def test_a_text_encoder_without_a_summary_says_so(model: Model, inversion: Inversion):
    with pytest.raises(EvenframeError, match="^eos needs a token that sums the prompt up"):
        edit(model, inversion, TARGET, controls=[CrossReweighter(("jeep",), eos=True)])
    prompt = model.text.encode(SOURCE)
    assert prompt.tokens.first == 0 and prompt.states["tokens"].shape == (LENGTH, 16)
    assert not prompt.states["tokens"][len(prompt.tokens.ids) :].any()
    with pytest.raises(EvenframeError, match="shorten it by 7"):
        model.text.encode("jeep " * 30)


@pytest.mark.parametrize("frames", [2, 8])
def test_frames_that_do_not_fit_are_refused(model: Model, frames: int):
    with pytest.raises(EvenframeError, match="takes 1 and then 4 at a time"):
        invert(model, torch.rand(frames, *SIZE, 3), SOURCE, steps=1)
    with pytest.raises(EvenframeError, match="takes multiples of 16"):
        invert(model, torch.rand(5, 40, 64, 3), SOURCE, steps=1)


def test_the_gradient_is_the_same_where_parts_are_computed_twice(
    model: Model, inversion: Inversion
):
    def guided(how: str) -> Tensor:
        control = Refocus(REGIONS, steps=WHOLE, checkpointing=how, guide_by="gradient")
        with torch.inference_mode():
            return edit(model, inversion, TARGET, controls=[control])

    assert torch.allclose(guided("on"), guided("off"), atol=1e-4)


def test_latents_are_the_autoencoders_less_its_statistics(model: Model, clip: Tensor):
    vae, codec = autoencoder(), model.codec
    mean, std = (
        torch.tensor(values).view(16, 1, 1)
        for values in (vae.config.latents_mean, vae.config.latents_std)
    )
    pixels = clip.movedim(-1, 0)[None] * 2 - 1
    with torch.no_grad():
        wanted = vae.encode(pixels).latent_dist.mode()[0].transpose(0, 1)
        film = vae.decode(wanted.transpose(0, 1)[None]).sample[0].permute(1, 2, 3, 0) / 2 + 0.5
    found = codec.encode(clip)
    assert torch.allclose(found * std + mean, wanted, atol=1e-5)
    assert torch.allclose(codec.decode(found), film, atol=1e-5)
    assert torch.equal(codec.encode(clip, seed=1), codec.encode(clip, seed=1))
    assert not torch.equal(codec.encode(clip, seed=1), found)
    assert codec.lattice_of(found).frames == FRAMES


class Watch(TorchDispatchMode):
    """Remembers every tensor whose last two sides are queries and keys of the clip's tokens."""

    def __init__(self, tokens: int):
        super().__init__()
        self._sides, self.maps = (tokens, tokens * LATENTS), set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor) and tensor.ndim > 1:
                rows, columns = tensor.shape[-2:]
                if rows in self._sides and columns == self._sides[1]:
                    self.maps.add(f"{func}: {tuple(tensor.shape)}")
        return out


@pytest.mark.parametrize("name", CONTROLS)
def test_no_map_of_the_clip_is_built(name: str, model: Model):
    wide = torch.rand(FRAMES, 64, 128, 3)
    items = tuple(replace(region, frame_size=(64, 128)) for region in REGIONS.items)
    there = Regions(items, FRAMES, (64, 128))
    controls = [
        replace(each, regions=there) if getattr(each, "regions", None) else each
        for each in CONTROLS[name]
    ]
    with Watch(32) as watch:
        edit(model, invert(model, wide, SOURCE, steps=2), TARGET, controls=controls)
    assert not watch.maps


def test_costs_are_those_of_the_tensors_that_are_made():
    """Of two layers of the 1.3B model, whose tensors only pretend to be there."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        denoiser = denoiser_of(pretended(), "pretended", 640, 8)
        prompt = Conditioning(Tokens("", (), (), 0, -1, None), {"tokens": torch.empty(512, 64)}, "")
        weights = sum(weight.nbytes for weight in denoiser.module.parameters())
        for frames, branches in ((5, 1), (9, 2)):
            z, level = torch.empty(frames, 16, 60, 104), Level(500.0, 0.5, 0.5)
            with torch.no_grad(), Alive() as alive:
                denoiser.predict(z, level, {str(index): prompt for index in range(branches)})
            needed = denoiser.working_bytes(frames, (480, 832), branches)
            assert needed * 0.8 < alive.most - weights < needed * 1.1


def pretended() -> Any:
    """Wan's width in bfloat16."""
    module: Any = WanTransformer3DModel(
        num_attention_heads=12, ffn_dim=8960, num_layers=2, text_dim=64
    )
    for owner in module.modules():
        for name, weight in list(owner.named_parameters(recurse=False)):
            dtype = torch.float32 if "LayerNorm" in type(owner).__name__ else torch.bfloat16
            empty = torch.empty(weight.shape, dtype=dtype)
            setattr(owner, name, torch.nn.Parameter(empty, requires_grad=False))
    return module


def test_the_bridge_leads_from_the_sources_attention_to_the_edits(model: Model, inversion):
    level = model.schedule.at(500.0)
    run = Fusion("refine", 0.0, 1.0, bridge=2.0).begin(
        Edit(model, inversion, model.text.encode(TARGET))
    )
    q, k, v, own_q, own_k = torch.randn(5, 3, 2, 16, 24).unbind(0)
    site = model.denoiser.sites[0]
    source = SourceAttention({site.name: q}, {site.name: k})
    run.prepare(Step(0, level, level, source, inversion.trajectory[0]))
    whole = torch.arange(3)[None]
    call = Call(site, "target", (4, 4), own_q, own_k, v, whole)
    found = evaluate(run.attend(call, call.plain()))
    mixed = 0.75 * own_q + 0.25 * q, 0.75 * own_k + 0.25 * k  # r = 1 - 0.5^2
    wanted = evaluate(Call(site, "target", (4, 4), *mixed, v, whole).plain())
    assert torch.allclose(found, wanted, atol=1e-5)


def test_without_a_bridge_the_source_stays_and_a_steep_one_is_no_fusion(model: Model, inversion):
    """But in the first step, in pure noise, where all of it is the source's."""
    plain = edit(model, inversion, TARGET, start_step=1)
    for bridge, same in ((0.0, False), (100.0, True)):
        fusion = Fusion("refine", 0.0, 1.0, bridge=bridge)
        found = edit(model, inversion, TARGET, controls=[fusion], start_step=1)
        assert torch.allclose(found, plain, atol=1e-3) == same
    assert own_share(model.schedule.at(1000.0), 2.0) == own_share(model.schedule.at(300.0), 0) == 0


def test_a_word_counts_for_more_inside_its_region(model: Model, inversion: Inversion):
    """As if it stood there several times; elsewhere, and in other branches, nothing changes."""
    plan = Edit(model, inversion, model.text.encode(TARGET))
    control = Refocus(REGIONS, boost=3.0)
    run = control.begin(plan)
    assert control.working_bytes(model, LATENTS, SIZE) == 0
    q, site = torch.randn(LATENTS, 2, 16, 24), model.denoiser.sites[1]
    k, v = torch.randn(2, 1, 2, LENGTH, 24).expand(2, LATENTS, -1, -1, -1).unbind(0)
    call = Call(site, "target", (4, 4), q, k, v)

    def attended(step: int, branch: str = "target") -> Tensor:
        level = model.schedule.at(500.0)
        nothing = SourceAttention({}, {})
        run.prepare(Step(step, level, level, nothing, inversion.trajectory[0]))
        asked = replace(call, branch=branch)
        return evaluate(run.attend(asked, asked.plain()))

    plain = evaluate(call.plain())
    counts = torch.ones(LATENTS, 1, 4, 4, LENGTH)
    counts[:, :, :2, :2, 1] = 3  # "red"
    counts[:, :, 2:, 2:, 7] = 3  # "road"
    maps = (q @ k.transpose(-1, -2) / 24**0.5).exp() * counts.flatten(2, 3)
    wanted = maps / maps.sum(-1, keepdim=True) @ v
    assert torch.allclose(attended(0), wanted, atol=1e-5)
    assert torch.equal(attended(2), plain) and torch.equal(attended(0, "negative"), plain)


def test_a_boost_is_not_the_sources(model: Model, inversion: Inversion):
    fusion = Fusion("refine", 1.0, 0.0)
    both = [fusion, Refocus(REGIONS, steps=WHOLE)]
    alone, found = (edit(model, inversion, TARGET, controls=each) for each in ([fusion], both))
    assert not torch.equal(alone, found)
    whole = Fusion("replace", 1.0, 0.0)  # takes all of it from the source
    both = [whole, Refocus(REGIONS, steps=WHOLE)]
    alone, found = (edit(model, inversion, TARGET, controls=each) for each in ([whole], both))
    assert torch.equal(alone, found)


def test_without_an_inversion_the_noise_is_the_same_at_every_level(model: Model, clip, tmp_path):
    steps: list[object] = []
    plain = invert(model, clip, SOURCE, steps=3, noise_seed=7, on_step=steps.append)
    levels, noise = plain.levels(model.schedule), plain.trajectory[-1]
    assert not steps and noise.std().sub(1).abs() < 0.1 and levels[0].noise == 1
    assert torch.allclose(plain.trajectory[0], model.codec.encode(clip))
    for index, level in enumerate(reversed(levels)):
        wanted = level.signal * plain.trajectory[0] + level.noise * noise
        assert torch.allclose(plain.trajectory[index], wanted, atol=1e-6)
    assert torch.equal(invert(model, clip, SOURCE, steps=3, noise_seed=7).trajectory[-1], noise)
    assert not torch.equal(invert(model, clip, SOURCE, steps=3, noise_seed=8).trajectory[-1], noise)
    kept, prompt = cache.InversionCache(tmp_path, 10**9), model.text.encode(SOURCE)
    settings = Settings(3, noise_seed=7)
    for known in (False, True):
        again, found = cache.find_or_invert(kept, model, clip, prompt, settings, check=True)
        assert found == known and again.noise_seed == 7 and again.rebuilt is None
        lines = report(model, again, clip, found, True).lines
        assert lines[0] == "noise of seed 7, no inversion"
        edits = [edit(model, each, TARGET, controls=CONTROLS["all"]) for each in (plain, again)]
        assert torch.equal(*edits)
    with pytest.raises(EvenframeError, match=r"where nothing is inverted .* no attention is kept"):
        invert(model, clip, SOURCE, steps=3, noise_seed=7, store="resident")


def test_the_source_is_asked_at_the_level_of_its_noise(model: Model, clip: Tensor):
    """Fused with its own prompt and latents, an edit of one step is that of the source."""
    plain = invert(model, clip, SOURCE, steps=3, noise_seed=7)
    control = Fusion("refine", 1.0, 1.0)
    found, alone = (
        edit(model, plain, SOURCE, guidance_scale=1, start_step=2, controls=each)
        for each in ([control], [])
    )
    assert torch.allclose(found, alone, atol=1e-5)


def test_a_host_may_move_it_under_inference_mode(clip: Tensor):
    with torch.inference_mode():
        moved = tiny_wan()
        inverted = invert(moved, clip, SOURCE, steps=1)
        for how in ("on", "off"):
            guided = Refocus(REGIONS, steps=WHOLE, checkpointing=how, guide_by="gradient")
            assert edit(moved, inverted, TARGET, controls=[guided]).isfinite().all()
    assert all(weight.is_inference() for weight in moved.denoiser.module.parameters())


def test_what_a_module_keeps_beside_its_weights_takes_a_gradient():
    with torch.inference_mode():
        module = torch.nn.Module()
        module.register_buffer("angles", torch.full((3,), 2.0))
    start = torch.ones(3, requires_grad=True)
    with ordinary_weights(module):
        (gradient,) = torch.autograd.grad((start * module.get_buffer("angles")).sum(), start)
    assert gradient.tolist() == [2, 2, 2] and module.get_buffer("angles").is_inference()


def test_a_difference_on_its_weights_is_put_on(model: Model):
    name = "blocks.1.attn1.to_q.weight"
    change = torch.randn(48, 48, generator=torch.Generator().manual_seed(3))
    tuned, prompt = model.with_delta(Delta("tuned", {name: change})), model.text.encode(TARGET)
    baked = tiny_wan()
    baked.denoiser.module.get_parameter(name).add_(change)
    with torch.no_grad():
        plain, found, wanted = (
            each.denoiser.predict(latents(), model.schedule.at(500.0), {"x": prompt})["x"]
            for each in (model, tuned, baked)
        )
    assert torch.allclose(found, wanted, atol=1e-6) and not torch.allclose(found, plain, atol=1e-3)
