"""Layers over frames beside a UNet, and group norm over the clip."""

from copy import deepcopy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tiny_model import tiny
from torch import Tensor
from tune_a_video import PlainUNet

from evenframe.benchmarks.models import with_part, with_predict
from evenframe.pipelines.attention import keyframes
from evenframe.pipelines.attention.processor import ForwardPass
from evenframe.pipelines.attention.sites import Site
from evenframe.pipelines.attention.terms import Call, Terms, as_it_is
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.controls.base import Control
from evenframe.pipelines.controls.fame.cross_reweighter import CrossReweighter
from evenframe.pipelines.controls.fame.self_modulator import SelfModulator
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.controls.first_frame.first_frame import FirstFrame
from evenframe.pipelines.controls.reatco.joint_sampling import JointSampling
from evenframe.pipelines.controls.reatco.refocus import Refocus
from evenframe.pipelines.controls.streamedit.word_boost import WordBoost
from evenframe.pipelines.editing import edit
from evenframe.pipelines.models.delta import Delta
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.models.stable_diffusion import over_frames
from evenframe.pipelines.regions.region import box_region
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.source.inversion import invert
from evenframe.pipelines.source.store import kept_sites

FRAMES = 3
SPARSE = keyframes.table(("first", "-1"), FRAMES, "all")


def wave(shape: tuple[int, ...], a: float = 0.7) -> Tensor:
    count = torch.Size(shape).numel()
    return torch.sin(a * torch.arange(count, dtype=torch.float64) + 0.3).reshape(shape)


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny()


@pytest.fixture
def latents() -> Tensor:
    return torch.randn(FRAMES, 4, 8, 8, generator=torch.Generator().manual_seed(1))


def blocks(model: Model) -> list[str]:
    sites = model.denoiser.sites
    return [site.name.removesuffix(".attn2") for site in sites if site.kind == "cross"]


def attention(model: Model, scale: float = 0.3) -> dict[str, Tensor]:
    """Weights of attention over frames behind every block."""
    draw, module = torch.Generator().manual_seed(5), model.denoiser.module
    added: dict[str, Tensor] = {}
    for block in blocks(model):
        shapes = over_frames.attention_shapes(module.get_submodule(block))
        width = shapes["attn_temp.to_out.0.bias"]
        for name, shape in (shapes | {"norm_temp.weight": width, "norm_temp.bias": width}).items():
            fan = shape[-1] ** -0.5 if len(shape) > 1 else 0.2
            added[f"{block}.{name}"] = torch.randn(shape, generator=draw) * fan
            if "to_out" in name:
                added[f"{block}.{name}"] *= scale
    return added


def convolutions(model: Model, low_rank: bool) -> dict[str, Tensor]:
    """Weights of a convolution over frames behind every one of 3x3 pixels."""
    draw, added = torch.Generator().manual_seed(6), {}
    for name, module in model.denoiser.module.named_modules():
        if not isinstance(module, torch.nn.Conv2d) or module.kernel_size != (3, 3):
            continue
        width = module.out_channels
        if low_rank:
            rank = min(4, width // 2)
            shapes = {"down.weight": (rank, width, 3), "up.weight": (width, rank, 3)}
        else:
            shapes = {"weight": (width, width, 3), "bias": (width,)}
        for part, shape in shapes.items():
            weight = (
                0.3 * torch.randn(shape, generator=draw) * torch.Size(shape[1:]).numel() ** -0.5
            )
            added[f"{name}.conv_temporal.{part}"] = weight
    return added


def predicted(model: Model, latents: Tensor, *prompts: str, attend=as_it_is) -> list[Tensor]:
    states = {str(at): model.text.encode(prompt) for at, prompt in enumerate(prompts or ["a cat"])}
    level = model.schedule.at(500)
    with torch.no_grad():
        outputs = model.denoiser.predict(latents, level, states, SPARSE, attend)
    return list(outputs.values())


def test_attention_over_frames_has_the_published_values():
    names = zip(over_frames.PROJECTIONS, (0.7, 0.9, 1.1, 1.3), strict=True)
    layer = {f"attn_temp.{name}.weight": wave((4, 4), a) for name, a in names}
    layer["attn_temp.to_out.0.bias"] = wave((4,), 0.5)
    forward = ForwardPass(("target",), (8, 16), None, 0, as_it_is, frames=3)
    site = Site("block.attn_temp", "temporal", 8, 1)
    out = over_frames.attend_over_frames(wave((3, 2, 4), 0.9), layer, 2, site, forward)
    expected = [
        [[-2.821880, -0.508347, 3.217812, 4.576165], [4.114011, 1.234797, -2.675086, -3.121736]]
    ]
    assert torch.allclose(out[:1], out.new_tensor(expected), atol=1e-6)
    last = [4.393258, 2.255112, -1.588133, -2.664318]
    assert torch.allclose(out[2, 1], out.new_tensor(last), atol=1e-6)


def test_group_norm_over_the_clip_has_the_published_values():
    frames = wave((1, 4, 3, 1, 2), 0.9).transpose(1, 2).flatten(0, 1)  # f c h w
    clip = over_frames.by_frame(F.group_norm(over_frames.over_clip(frames, 3), 2), 3)[0, :, 0]
    own = F.group_norm(frames, 2)[0, :, 0]
    for found, first, last in (
        (clip, [0.248488, 1.187979], [-1.038133, -1.421071]),
        (own, [0.091821, 1.298972], [0.498366, -0.943114]),
    ):
        assert torch.allclose(found[[0, 3]], found.new_tensor([first, last]), atol=1e-6)


@pytest.mark.parametrize("norm", ["frame", "clip"])
@pytest.mark.parametrize("kind", ["none", "attention", "low rank", "whole"])
def test_a_tuned_models_eps_is_that_of_the_published_network(model, latents, norm, kind: str):
    added = {
        "none": {},
        "attention": attention(model),
        "low rank": attention(model) | convolutions(model, low_rank=True),
        "whole": attention(model) | convolutions(model, low_rank=False),
    }[kind]
    changes, module = {}, deepcopy(model.denoiser.module)
    for index, block in enumerate(blocks(model)):
        for name in (f"{block}.attn1.to_q.weight", f"{block}.attn2.to_q.weight"):
            weight = module.get_parameter(name)
            changes[name] = 0.1 * wave(tuple(weight.shape), 0.7 + index).float()
            with torch.no_grad():
                weight += changes[name]
    tuned = model.with_delta(Delta("tuned", changes, added, norm=norm))
    prompts = ["a cat", "a red dog"]
    ours = torch.stack(predicted(tuned, latents, *prompts))  # b f c h w
    states = torch.stack([model.text.encode(prompt).states["tokens"] for prompt in prompts])
    clip = latents.transpose(0, 1).expand(2, -1, -1, -1, -1)
    with torch.no_grad():
        theirs = PlainUNet(module, added, norm == "clip")(clip, 500, states)
    error = (ours - theirs.transpose(1, 2)).abs().max() / theirs.abs().max()
    assert error < 1e-5
    if kind != "none" or norm == "clip":
        plain = torch.stack(predicted(model.with_delta(Delta("q", changes)), latents, *prompts))
        assert (ours - plain).abs().max() > 1e-2 * theirs.abs().max(), "or nothing is tested"


def test_a_layer_that_adds_nothing_changes_no_bit(model, latents):
    added = {
        name: torch.zeros_like(weight) if "to_out" in name else weight
        for name, weight in attention(model).items()
    }
    tuned = model.with_delta(Delta("new", added=added))
    assert torch.equal(predicted(tuned, latents)[0], predicted(model, latents)[0])
    assert tuned.fingerprint != model.fingerprint


def test_the_model_itself_stays_as_it_is(model, latents):
    before = predicted(model, latents)[0]
    weights = {
        name: (w.data_ptr(), w.clone()) for name, w in model.denoiser.module.named_parameters()
    }
    tuned = model.with_delta(Delta("tuned", added=attention(model), norm="clip"))
    assert not torch.allclose(predicted(tuned, latents)[0], before, atol=1e-2)
    assert torch.equal(predicted(model, latents)[0], before)
    assert dict(model.denoiser.module.named_parameters()).keys() == weights.keys()
    for name, now in model.denoiser.module.named_parameters():
        assert now.data_ptr() == weights[name][0] and torch.equal(now, weights[name][1])


def test_the_layer_is_an_attention_call_of_its_own_kind(model, latents):
    tuned = model.with_delta(Delta("tuned", added=attention(model)))
    seen: list[Call] = []

    def attend(call: Call, terms: Terms) -> Terms:
        seen.append(call)
        return terms

    predicted(tuned, latents, "a", "b", attend=attend)
    own = [call for call in seen if call.site.kind == "temporal"]
    assert len(own) == 2 * len(blocks(model)) and {call.branch for call in own} == {"0", "1"}
    sites = tuned.denoiser.sites
    assert [call.site for call in seen] == [site for site in sites for _ in range(2)]
    for call in own:
        rows, columns = call.grid
        assert call.q.shape[0] == rows * columns and call.q.shape[2] == FRAMES
    assert not [s for s in kept_sites(sites, tuned.denoiser.layout) if s.kind == "temporal"]
    assert tuned.denoiser.layout == model.denoiser.layout


def test_an_edit_of_a_tuned_model_takes_the_sources_attention(model, clip):
    tuned = model.with_delta(Delta("tuned", added=attention(model), norm="clip"))
    fusion = Fusion(blend_words=("cat",), latent_blend=True)
    kept, again = (
        edit(
            tuned,
            invert(tuned, clip[:3], "a cat", steps=2, store=store, keyframes="first, -1"),
            "a dog",
            controls=[fusion],
        )
        for store in ("resident", "recompute")
    )
    assert kept.isfinite().all() and torch.allclose(
        kept, again, atol=1e-2 * float(kept.abs().max())
    )


BOX = box_region([(0, 0, 64, 64)] * FRAMES, (64, 128), name="it", words="dog")
REGIONS = Regions((BOX,), FRAMES, (64, 128))
CONTROLS = (
    Fusion(blend_words=("cat",)),
    Refocus(REGIONS),
    Refocus(REGIONS, guide_by="boost"),
    JointSampling(REGIONS),
    SelfModulator(regions=REGIONS),
    CrossReweighter(regions=REGIONS),
    FirstFrame(torch.ones(1, 64, 128, 3)),
    WordBoost(("dog",), ("cat",)),
)


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: type(control).__name__)
def test_no_control_touches_attention_over_frames(model, clip, control: Control):
    tuned = model.with_delta(Delta("tuned", added=attention(model)))
    inversion = invert(tuned, clip[:FRAMES], "a cat", steps=2, store="recompute")
    seen: list[bool] = []

    def predict(*given: Any) -> dict[str, Tensor]:
        *most, attend = given if len(given) > 4 else (*given, as_it_is)

        def watched(call: Call, terms: Terms) -> Terms:
            made = attend(call, terms)
            if call.site.kind == "temporal":
                seen.append(made is terms)
            return made

        return tuned.denoiser.predict(*most, watched)

    edit(with_predict(tuned, predict), inversion, "a dog", controls=[control])
    assert seen and all(seen)


@pytest.mark.parametrize("checkpoints", [False, True])
def test_it_can_be_differentiated(model, latents, checkpoints: bool):
    added = {name: w.clone().requires_grad_() for name, w in attention(model).items()}
    tuned = model.with_delta(Delta("tuned", added=added, norm="clip"))
    states = {"x": tuned.text.encode("a cat")}
    with tuned.denoiser.training(checkpoints):
        out = tuned.denoiser.predict(latents, tuned.schedule.at(500), states, SPARSE)["x"]
        out.square().mean().backward()
    gradient = {name: weight.grad for name, weight in added.items()}
    assert all(grad is not None and grad.any() for grad in gradient.values())
    name = next(name for name in added if name.startswith("down_blocks.0"))
    step, direction = 1e-2, gradient[name] / gradient[name].norm()  # pyright: ignore

    def loss(sign: float) -> float:
        moved = dict(added) | {name: added[name] + sign * step * direction}
        other = model.with_delta(Delta("moved", added=moved, norm="clip"))
        return float(predicted(other, latents)[0].double().square().mean())

    slope = (loss(1) - loss(-1)) / (2 * step)
    assert slope == pytest.approx(float(gradient[name].norm()), rel=2e-2)  # pyright: ignore


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda added, block: added.pop(f"{block}.attn_temp.to_v.weight"), "or is not whole"),
        (lambda added, block: added.pop(f"{block}.norm_temp.bias"), "or is not whole"),
        (
            lambda added, block: added.update({f"{block}.attn_temp.to_q.weight": torch.ones(3, 3)}),
            "does not fit",
        ),
        (lambda added, _: added.update({"attn_temp.x": torch.ones(3)}), "does not fit"),
        (
            lambda added, _: added.update({"conv_in.conv_temporal.weight": torch.ones(())}),
            "not fit",
        ),
        (lambda added, block: added[f"{block}.norm_temp.bias"].fill_(torch.nan), "(NaN or"),
    ],
)
def test_what_does_not_fit_is_refused(model, change, message: str):
    added = attention(model)
    change(added, blocks(model)[0])
    with pytest.raises(EvenframeError) as error:
        model.with_delta(Delta("tuned", added=added))
    assert message in str(error.value)


def test_a_difference_of_another_model_is_refused_and_a_second_one(model):
    delta = Delta("tuned", added=attention(model), base=model.fingerprint)
    tuned = model.with_delta(delta)
    with pytest.raises(EvenframeError, match="'tuned' was made on another model than 'tiny-1-128'"):
        tiny(1).with_delta(delta)
    with pytest.raises(EvenframeError, match="has layers over frames already, and 'more' has"):
        tuned.with_delta(Delta("more", added=attention(model)))
    both = tuned.with_delta(Delta("norm", norm="clip"))
    assert both.denoiser.norm == "clip" and both.denoiser.added  # pyright: ignore


def test_copies_of_the_network_run_the_layers_too(model, latents):
    tuned = model.with_delta(Delta("tuned", added=attention(model)))
    copied = with_part(tuned, "denoiser", module=deepcopy(tuned.denoiser.module))
    assert torch.equal(predicted(copied, latents)[0], predicted(tuned, latents)[0])
