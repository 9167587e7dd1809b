"""Wan: a model whose latents hold several frames and which attends to the whole clip at once."""

from __future__ import annotations

import pytest
import torch
from tiny_wan import FRAMES, SIZE, tiny_wan, transformer
from torch import Tensor

from evenframe.pipelines.controls.fame.cross_reweighter import CrossReweighter
from evenframe.pipelines.controls.fame.self_modulator import SelfModulator
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.controls.reatco.joint_sampling import JointSampling
from evenframe.pipelines.controls.reatco.refocus import Refocus
from evenframe.pipelines.controls.span import WHOLE
from evenframe.pipelines.editing import edit
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.regions.region import box_region
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.source.inversion import Inversion, invert

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
    "RAD": (Refocus(REGIONS, steps=WHOLE, checkpointing="off"),),
    "IRJS": (JointSampling(REGIONS, noise="fresh", repeats=2),),
    "FAME": (CrossReweighter(("jeep",), subject=("jeep",)), SelfModulator(subject=("jeep",))),
    "FAME, additive": (SelfModulator(form="additive", tau=0, regions=REGIONS),),
    "all": (
        Fusion("refine", 0.8, 0.7),
        Refocus(REGIONS, checkpointing="on"),
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
