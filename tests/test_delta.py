"""A difference on a model's weights."""

from contextlib import suppress
from copy import deepcopy

import pytest
import torch
from tiny_model import tiny
from torch import Tensor

from evenframe.benchmarks.models import with_part
from evenframe.pipelines.attention.processor import EarlyExit
from evenframe.pipelines.attention.terms import Call, Terms
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.editing import edit
from evenframe.pipelines.models.delta import Delta
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.source.inversion import invert

NAMES = (
    "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight",
    "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight",
    "up_blocks.1.resnets.0.conv1.bias",
)


def made(model: Model, scale: float, name: str = "tuned", seed: int = 7) -> Delta:
    generator = torch.Generator().manual_seed(seed)
    weights = [model.denoiser.module.get_parameter(key) for key in NAMES]
    drawn = [scale * torch.randn(weight.shape, generator=generator) for weight in weights]
    return Delta(name, dict(zip(NAMES, drawn, strict=True)))


def baked(model: Model, *deltas: Delta) -> Model:
    """A copy whose weights are changed for good."""
    module = deepcopy(model.denoiser.module)
    with torch.no_grad():
        for delta in deltas:
            for name, change in delta.changes.items():
                module.get_parameter(name).add_(change)
    return with_part(model, "denoiser", module=module)


def predicted(model: Model, latents: Tensor) -> Tensor:
    states = {"x": model.text.encode("a cat")}
    with torch.no_grad():
        return model.denoiser.predict(latents, model.schedule.at(500), states)["x"]


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny()


@pytest.fixture
def latents() -> Tensor:
    return torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))


def test_a_difference_of_nothing_changes_nothing_but_the_fingerprint(model, latents):
    same = model.with_delta(made(model, 0))
    assert torch.equal(predicted(same, latents), predicted(model, latents))
    assert same.name == f"{model.name} + tuned"
    other = model.with_delta(made(model, 0.1))
    assert len({model.fingerprint, same.fingerprint, other.fingerprint}) == 3
    assert model.with_delta(made(model, 0.1, "renamed")).fingerprint == other.fingerprint


def test_it_is_what_changed_weights_would_be_and_the_model_keeps_its_own(model, latents):
    before, weights = predicted(model, latents), list(model.denoiser.module.parameters())
    first, second = made(model, 0.1), made(model, 0.05, "again", seed=8)
    changed = model.with_delta(first)
    assert torch.equal(predicted(changed, latents), predicted(baked(model, first), latents))
    both = predicted(changed.with_delta(second), latents)
    assert torch.allclose(both, predicted(baked(model, first, second), latents), atol=1e-5)
    assert not torch.allclose(both, before, atol=1e-3)
    assert torch.equal(predicted(model, latents), before)
    assert all(
        one is other for one, other in zip(weights, model.denoiser.module.parameters(), strict=True)
    )


def first_call(call: Call, terms: Terms) -> Terms:
    raise EarlyExit


def test_a_pass_that_is_left_leaves_the_models_own_weights(model, latents):
    weights = dict(model.denoiser.module.named_parameters())
    states = {"x": model.text.encode("a cat")}
    with suppress(EarlyExit):
        model.with_delta(made(model, 0.1)).denoiser.predict(
            latents, model.schedule.at(1), states, None, first_call
        )
    assert all(weights[name] is now for name, now in model.denoiser.module.named_parameters())


@pytest.mark.parametrize("checkpoints", [False, True])
def test_the_gradient_is_that_of_the_changed_weights(model, latents, checkpoints: bool):
    last = model.denoiser.sites[-1]

    def gradient(of: Model) -> Tensor:
        seen: list[Tensor] = []

        def attend(call: Call, terms: Terms) -> Terms:
            if call.site == last:
                seen.append(call.q.square().mean())
                raise EarlyExit
            return terms

        start = latents.clone().requires_grad_()
        states = {"x": of.text.encode("a cat")}
        with of.denoiser.differentiable(last if checkpoints else None):
            with suppress(EarlyExit):
                of.denoiser.predict(start, of.schedule.at(500), states, None, attend)
            return torch.autograd.grad(seen[0], start)[0]

    delta = made(model, 0.1)
    expected = gradient(baked(model, delta))
    assert torch.allclose(gradient(model.with_delta(delta)), expected, rtol=1e-4, atol=1e-7)
    assert not torch.allclose(gradient(model), expected, rtol=1e-2, atol=1e-7)


def test_a_difference_can_be_trained(model, latents):
    delta = made(model, 0.1)
    for change in delta.changes.values():
        change.requires_grad_()
    states = {"x": model.text.encode("a cat")}
    model.with_delta(delta).denoiser.predict(latents, model.schedule.at(500), states)[
        "x"
    ].square().mean().backward()
    assert all(change.grad is not None and change.grad.any() for change in delta.changes.values())
    assert all(weight.grad is None for weight in model.denoiser.module.parameters())


def test_prompts_are_good_for_both_and_inversions_for_one(model, clip):
    changed, prompt = model.with_delta(made(model, 0.1)), model.text.encode("a cat")
    inversion = invert(changed, clip[:1], prompt, steps=1)
    assert edit(changed, inversion, prompt).isfinite().all()
    expected = f"The inversion was made with another model than '{model.name}'"
    with pytest.raises(EvenframeError) as error:
        edit(model, inversion, prompt)
    assert str(error.value).startswith(expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv_in.wheight": torch.zeros(1)}, "changes 'conv_in.wheight', which"),
        ({NAMES[2]: torch.zeros(3)}, "has (3,) numbers for 'up_blocks.1.resnets.0.conv1.bias'"),
    ],
)
def test_what_does_not_fit_is_refused(model, changes: dict[str, Tensor], message: str):
    with pytest.raises(EvenframeError) as error:
        model.with_delta(Delta("tuned", changes))
    assert message in str(error.value) and f"'{model.name}'" in str(error.value)
