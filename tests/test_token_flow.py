"""TokenFlow: its published numbers, and the control inside a whole model."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from two_layers import two_layers

from evenframe.pipelines.attention import processor
from evenframe.pipelines.attention.processor import Carrying
from evenframe.pipelines.attention.sites import Site
from evenframe.pipelines.attention.terms import Terms, as_it_is
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.common.progress import Part
from evenframe.pipelines.common.window import Windowing
from evenframe.pipelines.controls.base import Edit, chained
from evenframe.pipelines.controls.fame.self_modulator import SelfModulator
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.controls.reatco.joint_sampling import JointSampling
from evenframe.pipelines.controls.token_flow import flow
from evenframe.pipelines.controls.token_flow.flow import batches, nearest, own_weights, places
from evenframe.pipelines.controls.token_flow.token_flow import (
    TokenFlow,
    TokenFlowRun,
    later_sites,
)
from evenframe.pipelines.editing import edit
from evenframe.pipelines.passes import Passes
from evenframe.pipelines.regions.region import box_region
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.source.inversion import Inversion, invert

SOURCE, TARGET = "a man walking", "a robot walking"


def wave(*shape: int, a: float = 0.7) -> Tensor:
    count = int(torch.tensor(shape).prod())
    return torch.sin(a * torch.arange(count, dtype=torch.float64) + 0.3).reshape(shape)


def test_tokens_go_to_the_published_places():
    source = wave(3, 4, 3, 2)[0].float()  # branches frames tokens width
    found = places(source, [1, 2], batches(4, 2), exact=False)
    assert found.own[:2].flatten().tolist() == [2, 2, 0, 0, 1, 2]
    assert (found.own[2:] - 3).flatten().tolist() == [0, 1, 2, 0, 0, 1]
    assert found.previous[2:].flatten().tolist() == [2, 0, 0, 2, 2, 0]
    assert torch.allclose(found.weights, torch.tensor([1, 1, 0.622459, 0.731059]), atol=1e-6)


def test_outputs_are_mixed_as_published():
    source, outputs = wave(3, 4, 3, 2)[0].float(), wave(6, 3, 2, a=1.3)
    spread = places(source, [1, 2], batches(4, 2), exact=False).spread(outputs[4:])  # the target's
    expected = {
        0: [[-0.840991, 0.296369], [-0.840991, 0.296369], [0.083974, 0.982618]],
        2: [[0.304669, 0.260277], [-0.511088, -0.067800], [0.339750, 0.974560]],
        3: [[0.504550, 0.253981], [0.504550, 0.253981], [-0.614907, -0.251064]],
    }
    for frame, rows in expected.items():
        assert torch.allclose(spread[frame], torch.tensor(rows).double(), atol=1e-6)


def test_the_weights_of_a_batch_of_eight():
    weights = own_weights(batches(16, 8))
    expected = [0.622459, 0.651355, 0.679179, 0.705785, 0.731059, 0.710950, 0.697060, 0.686910]
    assert torch.equal(weights[:8], torch.ones(8))
    assert torch.allclose(weights[8:], torch.tensor(expected), atol=1e-6)
    assert len(own_weights(batches(13, 8))) == 13  # a last batch of fewer


def test_a_key_frame_keeps_what_it_is():
    source, outputs = wave(3, 4, 3, 2)[0].float(), wave(2, 3, 2, a=1.3)
    spread = places(source, [1, 2], batches(4, 2), exact=True).spread(outputs)
    assert torch.equal(spread[1], outputs[0]) and torch.equal(spread[2], outputs[1])


def test_the_nearest_are_those_of_all_cosines(monkeypatch):
    tokens, keys = wave(50, 6, a=1.7).float(), wave(40, 6, a=2.9).float()
    unit = torch.nn.functional.normalize
    expected = (unit(tokens, dim=-1) @ unit(keys, dim=-1).T).argmax(-1)
    for elements in (2**18, 7 * 40):  # a few at a time: no map of tokens x tokens
        monkeypatch.setitem(flow.ELEMENTS, "cpu", elements)
        assert torch.equal(nearest(tokens, keys), expected)


def test_no_token_goes_to_one_that_is_nothing():
    keys = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    assert nearest(torch.tensor([[2.0, 1.0], [1.0, 3.0]]), keys).tolist() == [0, 2]


def test_the_decoders_layers_but_for_the_first_take_the_sources_structure():
    strides = [8, 16, 32, 64, 32, 32, 16, 8]
    sites = [Site(str(at), "self", stride, 2 * at) for at, stride in enumerate(strides)]
    assert {site.name for site in later_sites(sites)} == {"5", "6", "7"}


# In a whole model


@pytest.fixture(scope="module")
def inversion(model, clip) -> Inversion:
    return invert(model, clip, SOURCE, steps=4, keyframes="own")


def test_an_edit_attends_in_key_frames_alone(model, inversion, monkeypatch):
    seen, first = list[tuple[int, int]](), processor.evaluate

    def evaluate(terms: Terms) -> Tensor:
        seen.append((len(terms[0].q), terms[0].k.shape[2]))
        return first(terms)

    monkeypatch.setattr(processor, "evaluate", evaluate)
    result = edit(model, inversion, TARGET, controls=[TokenFlow(batch=2)])
    assert result.isfinite().all()
    prompt = 77
    assert {frames for frames, keys in seen if keys != prompt} == {2}, "one of each two of three"
    monkeypatch.undo()
    assert not torch.allclose(result, edit(model, inversion, TARGET), atol=1e-3)


def test_the_seed_says_which_are_key_frames(model, inversion):
    one, same, other = (
        edit(model, inversion, TARGET, seed=seed, controls=[TokenFlow()]) for seed in (0, 0, 3)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_with_a_key_frame_for_each_frame_all_look_at_all(model, inversion):
    """Nothing is left to be carried: the edit is that of key frames `all`, in all layers."""
    everyone = replace(inversion, keyframes=("all",), layers="all")
    carried = edit(model, inversion, TARGET, controls=[TokenFlow(batch=1, structure=0)])
    assert torch.allclose(carried, edit(model, everyone, TARGET), atol=2e-5)


def test_a_clip_that_stands_still_stays_one_picture(model, clip):
    """All tokens have their likes in the key frame: all frames come out the same."""
    still = invert(model, clip[:1].expand(3, -1, -1, -1), SOURCE, steps=4, keyframes="own")
    result = edit(model, still, TARGET, controls=[TokenFlow()])
    assert torch.allclose(result, result[:1].expand_as(result), atol=1e-5)


def test_structure_takes_the_sources_queries_and_keys(model, inversion):
    free, held = (
        edit(model, inversion, TARGET, controls=[TokenFlow(structure=share)]) for share in (0, 1)
    )
    source = inversion.trajectory[0]
    assert not torch.equal(free, held)
    assert held.isfinite().all() and source.shape == held.shape


def test_a_branch_that_nobody_carries_is_as_it_was(model, inversion):
    branch = {"target": inversion.prompt}
    latents, level = inversion.trajectory[-1], model.schedule.at(500)
    attend = Carrying(as_it_is, lambda site, name, tokens: None)
    ask = model.denoiser.predict
    plain = ask(latents, level, branch)["target"]
    assert torch.equal(ask(latents, level, branch, None, attend)["target"], plain)


def test_words_may_be_changed_beside_it(model, inversion, clip):
    size = (clip.shape[1], clip.shape[2])
    box = box_region([(0, 0, 64, 64)] * 3, size, name="left", words="robot")
    kept = JointSampling(Regions((box,), 3, size))
    result = edit(model, inversion, TARGET, controls=[Fusion(self_steps=0), kept, TokenFlow()])
    assert result.isfinite().all()


def test_its_own_passes_are_counted(model, inversion):
    told: list[Any] = []
    edit(model, inversion, TARGET, controls=[TokenFlow()], on_begin=told.append)
    assert told[0].source == 4


def test_a_window_holds_nothing_of_the_source_while_another_is_at_work(model, clip, monkeypatch):
    windowed = invert(model, clip, SOURCE, steps=2, keyframes="own", windowing=Windowing(2, 1))
    size = (clip.shape[1], clip.shape[2])
    box = box_region([(0, 0, 64, 64)] * 3, size, name="left", words="robot")
    again = JointSampling(Regions((box,), 3, size), repeats=2)
    runs, told, asked = list[TokenFlowRun](), list[Passes](), list[str]()
    begin, predict = TokenFlow.begin, type(model.denoiser).predict

    def begun(control: TokenFlow, plan: Edit) -> Any:
        run = begin(control, plan)
        assert isinstance(run, TokenFlowRun)
        runs.append(run)
        return run

    def counted(denoiser: Any, latents: Tensor, level: Any, branches: Any, *more: Any) -> Any:
        asked.extend(branches)
        return predict(denoiser, latents, level, branches, *more)

    def held(part: Part) -> None:
        assert not any(run._places or run._source for run in runs)

    monkeypatch.setattr(TokenFlow, "begin", begun)
    monkeypatch.setattr(type(model.denoiser), "predict", counted)
    edit(model, windowed, TARGET, controls=[again, TokenFlow()], on_begin=told.append, on_part=held)
    assert len(runs) == 2 and told[0].source == asked.count("source")


def test_what_does_not_go_together_is_said(model, inversion, clip):
    with pytest.raises(EvenframeError, match="set self_steps of Attention Fusion to 0, or leave"):
        chained((Fusion(),), TokenFlow())
    modulator = SelfModulator(subject=("man",))
    with pytest.raises(EvenframeError, match=r"set strength of Temporal Self-Attention Modulator"):
        chained((TokenFlow(),), modulator)
    with pytest.raises(EvenframeError, match="There are two TokenFlows"):
        chained((TokenFlow(),), TokenFlow())
    with pytest.raises(EvenframeError, match=r"TokenFlow must see .* 'two layers' does not show"):
        Edit(two_layers(), inversion, inversion.prompt, controls=(TokenFlow(),))
    with pytest.raises(EvenframeError, match="batch is 0"):
        TokenFlow(batch=0)
