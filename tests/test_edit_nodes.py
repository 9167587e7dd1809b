"""The nodes around an edit: latents as other nodes of the host take them."""

from __future__ import annotations

from dataclasses import fields, replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_wan import tiny_wan

from evenframe.nodes import edit as edit_nodes
from evenframe.nodes.control import EvenframeAttentionFusion, EvenframeJointSampling
from evenframe.nodes.edit import EvenframeDecode, EvenframeEdit
from evenframe.nodes.host import ModelHandle
from evenframe.pipelines.controls.base import Control
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.controls.reatco.joint_sampling import JointSampling
from evenframe.pipelines.controls.span import Span
from evenframe.pipelines.editing import edit
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.regions.region import box_region
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.source.inversion import invert


def test_latents_on_the_socket_are_the_autoencoders_own(model: Model):
    """ComfyUI's VAE Decode takes them; the pack's decoder brings the model's scale back."""
    frames = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    prompt = model.text.encode("a jeep")
    handle: ModelHandle[Model] = ModelHandle(model)
    inversion = invert(model, frames, prompt, steps=1)
    scaled = edit(model, inversion, prompt, guidance_scale=1)
    latents = EvenframeEdit.execute(handle, inversion, prompt, 0, guidance_scale=1.0)[0]
    assert torch.equal(latents["samples"], scaled / model.codec.module.config.scaling_factor)
    shown = EvenframeDecode.execute(handle, latents, 1)[0]
    assert torch.allclose(shown, model.codec.decode(scaled), atol=1e-4)


def test_the_decoders_bar_counts_latents(monkeypatch: pytest.MonkeyPatch):
    """Nine frames of Wan are three latents; as ComfyUI lays them out, they are one row."""
    wan, told = tiny_wan(), list[int]()

    class Bar:
        def step(self, done: int) -> None:
            told.append(done)

    def progress(total: int, _: str) -> Bar:
        told.append(total)
        return Bar()

    monkeypatch.setattr(edit_nodes, "host", SimpleNamespace(progress=progress, load=lambda *_: wan))
    latents = torch.zeros(3, 16, 4, 4)
    frames = EvenframeDecode.execute(ModelHandle(wan), {"samples": latents}, 1)[0]
    assert len(frames) == 9 and told == [3, 3]

    codec: Any = wan.codec

    class Laid(type(codec)):
        def imported(self, samples: torch.Tensor) -> torch.Tensor:
            return samples[0].transpose(0, 1)

    parts = {field.name: getattr(codec, field.name) for field in fields(codec)}
    wan = replace(wan, codec=Laid(**parts))
    EvenframeDecode.execute(ModelHandle(wan), {"samples": latents.transpose(0, 1)[None]}, 1)
    assert told == [3, 3, 3, 3]


def test_an_idle_seed_is_said(model: Model):
    """Of eta and of what draws noise it has an effect, and nothing is said."""
    frames = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    prompt = model.text.encode("a jeep")
    inversion = invert(model, frames, prompt, steps=2)
    regions = Regions((box_region([(0, 0, 64, 32)], (64, 64), name="half"),), 1, (64, 64))

    def told(*controls: Control, **settings: Any) -> tuple[torch.Tensor, Any]:
        handle: ModelHandle[Model] = ModelHandle(model)
        values = {"guidance_scale": 1.0, "seed": 1} | settings
        done = EvenframeEdit.execute(handle, inversion, prompt, 0, None, controls, **values)
        return done[0]["samples"], edit_nodes.IDLE_SEED in done.ui["text"]

    ways: list[tuple[tuple[Control, ...], dict[str, Any], bool]] = [
        ((), {}, True),
        ((), {"eta": 0.5}, False),
        ((JointSampling(regions),), {}, True),
        ((JointSampling(regions, noise="fresh"),), {}, False),
        ((JointSampling(regions, repeats=2),), {}, False),
        ((JointSampling(regions, repeats=2, repeat_steps=0.0),), {}, True),
    ]
    for controls, settings, idle in ways:
        first, said = told(*controls, **settings)
        other, _ = told(*controls, **settings, seed=2)
        assert torch.equal(first, other) == idle
        assert said == idle
    assert not told(seed=0)[1], "nobody has asked for another"


def test_files_from_before_an_input_was_there_mean_the_same():
    """The inputs came last and are optional, so that older graphs need no change."""
    for node, names in (
        (EvenframeAttentionFusion, ["self_blend", "target_blend_words", "bridge"]),
        (EvenframeJointSampling, ["repeat_steps", "inset", "place"]),
    ):
        *inputs, chain = node.GET_SCHEMA().inputs
        last = inputs[-len(names) :]
        assert [each.id for each in last] == names and all(each.optional for each in last)
        assert chain.id == "controls"
    names = [each.id for each in EvenframeAttentionFusion.GET_SCHEMA().inputs]
    values = ["refine", 0.8, 0.7, "jeep", 0.3, "red: 2", True, 0.1, 0.9]
    before: dict[str, Any] = dict(zip(names, values, strict=False))
    [old] = EvenframeAttentionFusion.execute(**before)[0]
    [new] = EvenframeAttentionFusion.execute(**before, self_blend=False)[0]
    weights, window = (("red", 2.0),), Span(0.1, 0.9)
    expected = Fusion("refine", 0.8, 0.7, ("jeep",), 0.3, weights, True, True, window)
    assert old == expected and not new.self_blend
    box = box_region([(0, 0, 64, 64)], (64, 64), name="all")
    regions = Regions((box,), 1, (64, 64))
    given: dict[str, Any] = {"regions": regions, "noise": "inversion", "repeats": 3}
    [joint] = EvenframeJointSampling.execute(**given)[0]
    assert (joint.repeats, joint.repeat_steps, joint.inset) == (3, 1.0, 0)
    [first] = EvenframeJointSampling.execute(**given, repeat_steps=0.5)[0]
    assert (first.repeats, first.repeat_steps) == (3, 0.5)
