"""One-shot tuning: what it learns, what it leaves alone, and its files."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_model import tiny
from torch import Tensor

from evenframe.pipelines.attention import keyframes
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.models.delta import Delta
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.models.schedule import KINDS, Level, mix, output, split
from evenframe.pipelines.source.inversion import invert
from evenframe.pipelines.source.report import report
from evenframe.pipelines.tuning.cache import find_or_tune, tuning_cache, tuning_key
from evenframe.pipelines.tuning.file import load, save
from evenframe.pipelines.tuning.one_shot import TuningReport, tune
from evenframe.pipelines.tuning.settings import FATEZERO, PRESETS, Tuning

FEW = Tuning(steps=3, learning_rate=1e-3)


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny()


@pytest.fixture(scope="module")
def few(model: Model) -> Delta:
    return tune(model, frames(), "a cat", FEW)


def frames(count: int = 3) -> Tensor:
    return torch.rand(count, 64, 64, 3, generator=torch.Generator().manual_seed(2))


def loss(model: Model, latents: Tensor) -> float:
    """Of the clip at a fixed time, with a fixed noise."""
    level, prompt = model.schedule.at(50), {"source": model.text.encode("a cat")}
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(3))
    table = keyframes.table(("first", "-1"), len(latents), "all")
    with torch.no_grad():
        out = model.denoiser.predict(mix(latents, noise, level), level, prompt, table)["source"]
    return float((out - output(latents, noise, level, model.schedule.kind)).square().mean())


@pytest.mark.parametrize("kind", KINDS)
def test_the_output_that_is_asked_for_tells_both_parts(kind: str):
    level = Level(0, 0.6, 0.4) if kind == "flow" else Level(0, 0.6, 0.8)
    clean, noise = torch.randn(2, 5, dtype=torch.float64)
    z = mix(clean, noise, level)
    parts = split(z, output(clean, noise, level, kind), level, kind)
    assert torch.allclose(parts[0], clean) and torch.allclose(parts[1], noise)


def test_a_clip_is_learnt(model):
    tuning = Tuning(steps=20, learning_rate=3e-3, checkpointing="off")
    seen: list[TuningReport] = []
    delta = tune(model, frames(), "a cat", tuning, on_step=seen.append)
    assert [each.done for each in seen] == list(range(1, 21)) and seen[0].total == 20
    latents = model.codec.encode(frames())
    tuned, untuned = model.with_delta(delta), model.with_delta(Delta("norm", norm="clip"))
    assert loss(tuned, latents) < 0.9 * loss(untuned, latents)


def test_checkpointing_changes_nothing(model, few):
    other = tune(model, frames(), "a cat", replace(FEW, checkpointing="on"))
    for one, two in ((few.changes, other.changes), (few.added, other.added)):
        for name in one:
            assert torch.allclose(one[name], two[name], atol=1e-3), name


def test_what_is_trained_is_what_was_published(model, few):
    blocks = {site.name.removesuffix(".attn2") for site in model.denoiser.sites[1::2]}
    queries = {f"{block}.{each}.to_q.weight" for block in blocks for each in ("attn1", "attn2")}
    parts = ("to_q.weight", "to_k.weight", "to_v.weight", "to_out.0.weight", "to_out.0.bias")
    layers = {f"{block}.attn_temp.{part}" for block in blocks for part in parts}
    assert few.changes.keys() == queries and few.added.keys() == layers
    assert all(tensor.any() for part in (few.changes, few.added) for tensor in part.values())
    assert (few.norm, few.base, few.frames) == ("clip", model.fingerprint, 3)
    published = model.denoiser.tuning_start("mid and up", torch.Generator())
    assert published.changes.keys() == {n for n in queries if not n.startswith("down_blocks")}


def test_a_tuning_begins_with_a_difference_of_nothing(model):
    untrained = tune(model, frames(), "a cat", replace(FEW, steps=0))
    latents = model.codec.encode(frames())
    same = loss(model.with_delta(Delta("norm", norm="clip")), latents)
    assert loss(model.with_delta(untrained), latents) == pytest.approx(same, rel=1e-6)


def test_the_model_and_its_weights_stay_as_they_are(model):
    weights = {name: (w, w.clone()) for name, w in model.denoiser.module.named_parameters()}
    places = {name: w.data_ptr() for name, (w, _) in weights.items()}
    with torch.inference_mode():
        delta = tune(model, frames(), "a cat", replace(FEW, steps=1))
        assert not any(each.is_inference() for each in delta.changes.values())
    for name, now in model.denoiser.module.named_parameters():
        assert now is weights[name][0] and now.data_ptr() == places[name]
        assert torch.equal(now, weights[name][1]) and not now.requires_grad and now.grad is None


def test_what_a_difference_has_changed_before_is_tuned_as_well(model, few):
    """Here it changes nothing: the tuning must be that of the model alone."""
    nothing = {name: torch.zeros_like(each) for name, each in few.changes.items()}
    other = tune(model.with_delta(Delta("nothing", nothing)), frames(), "a cat", FEW)
    for name, change in few.changes.items():
        assert torch.equal(other.changes[name], change), name


def test_a_tuning_outlives_that_the_model_is_moved(model, few):
    moved = tiny()
    moved = replace(moved, fingerprint=model.fingerprint)
    tuned, latents = moved.with_delta(few), model.codec.encode(frames())
    before = loss(tuned, latents)
    weights = {name: w.data.clone() for name, w in moved.denoiser.module.named_parameters()}
    for parameter in moved.denoiser.module.parameters():  # as a host does that evicts and loads
        parameter.data = torch.zeros(0)
    for name, parameter in moved.denoiser.module.named_parameters():
        parameter.data = weights[name]
    assert loss(tuned, latents) == before


def test_the_same_seed_gives_the_same_tuning(model, few):
    again = tune(model, frames(), "a cat", FEW)
    assert again.fingerprint == few.fingerprint
    other = tune(model, frames(), "a cat", replace(FEW, seed=1, steps=1))
    assert other.fingerprint != few.fingerprint


def test_it_is_kept_and_found_again_and_an_interrupt_keeps_nothing(model, few, tmp_path: Path):
    cache, prompt = tuning_cache(tmp_path / "tunings", 10**9), model.text.encode("a cat")

    class Stop(Exception):
        pass

    def stop(seen: TuningReport) -> None:
        if seen.done == 2:
            raise Stop

    with pytest.raises(Stop):
        find_or_tune(cache, model, frames(), prompt, FEW, on_step=stop)
    assert not list(tmp_path.rglob("*.*")), "nothing is kept"
    assert not any(each.requires_grad for each in model.denoiser.module.parameters())
    delta, found = find_or_tune(cache, model, frames(), prompt, FEW)
    assert not found and delta.fingerprint == few.fingerprint
    kept, found = find_or_tune(cache, model, frames(), prompt, FEW)
    assert found and kept.fingerprint == delta.fingerprint
    assert (kept.base, kept.norm, kept.frames) == (delta.base, delta.norm, delta.frames)
    keys = {
        tuning_key(model, clip, prompt, replace(FEW, **other))
        for clip in (frames(), frames(2))
        for other in ({}, {"steps": 2}, {"seed": 5}, {"norm": "frame"}, {"keyframes": ("mid",)})
    }
    assert len(keys) == 10


def test_a_file_is_what_was_trained_and_nothing_else(model, few, tmp_path: Path):
    path = save(few, tmp_path / "a.safetensors")
    count = sum(each.numel() for part in (few.changes, few.added) for each in part.values())
    assert 2 * count < path.stat().st_size < 2 * count + 50_000
    assert model.with_delta(load(path)).fingerprint == model.with_delta(few).fingerprint
    with pytest.raises(EvenframeError, match="was made on another model than 'tiny-1-128'"):
        tiny(1).with_delta(load(path))


def test_what_is_no_tuning_is_refused(few, tmp_path: Path):
    whole = save(few, tmp_path / "whole.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-10])
    (tmp_path / "changed.safetensors").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    save(replace(few, base=""), tmp_path / "nobody.safetensors")
    save(replace(few, norm="x"), tmp_path / "norm.safetensors")  # pyright: ignore
    single = {name: each.float() for name, each in few.changes.items()}
    save(replace(few, changes=single), tmp_path / "single.safetensors")
    for name in ("cut", "changed", "other", "nobody", "norm", "single"):
        with pytest.raises(EvenframeError, match=f"'{name}.safetensors' is not a usable tuning"):
            load(tmp_path / f"{name}.safetensors")
    (tmp_path / "model.bin").write_bytes(pickle.dumps({}))
    with pytest.raises(EvenframeError, match="'model.bin' is a pickle, which can run code"):
        load(tmp_path / "model.bin")
    with pytest.raises(EvenframeError, match="There is no tuning at"):
        load(tmp_path / "none.safetensors")


def test_bad_input_is_refused_before_the_work(model):
    with pytest.raises(EvenframeError, match="The clip has one frame, which tells nothing"):
        tune(model, frames(1), "a cat")
    with pytest.raises(EvenframeError, match="learning_rate is 1"):
        Tuning(learning_rate=1)
    with pytest.raises(EvenframeError, match="steps is -1"):
        Tuning(steps=-1)
    with pytest.raises(EvenframeError, match="key frame 'whence' is unknown"):
        Tuning(keyframes=("whence",))
    with pytest.raises(EvenframeError, match="The source prompt was made with another model"):
        tune(model, frames(), tiny(1).text.encode("a cat"))


def test_a_loss_that_is_no_number_names_the_learning_rate(model):
    name, weight = next(iter(model.denoiser.module.named_parameters()))
    broken = model.with_delta(Delta("far", {name: torch.full_like(weight, 1e30)}))
    with pytest.raises(EvenframeError, match="The tuning broke at step 1 of 3.*Set learning_rate"):
        tune(broken, frames(), "a cat", FEW)


def test_another_number_of_frames_than_it_was_tuned_on_is_told(model, few):
    tuned, clip = model.with_delta(few), frames(2)
    told = report(tuned, invert(tuned, clip, "a cat", steps=1), clip, False, False).lines
    assert "tuned on 3 frames at once, and here it sees 2" in told[-1]
    told = report(tuned, invert(tuned, frames(), "a cat", steps=1), clip, False, False).lines
    assert not any("tuned on" in line for line in told)


def test_the_published_tunings():
    steps = {name: (tuning.steps, tuning.learning_rate) for name, tuning in PRESETS.items()}
    assert steps["ReAtCo, published"] == (200, 3e-5)
    assert [tuning.steps for tuning in FATEZERO.values()] == [200, 150, 150, 250, 250]
    assert all(tuning.keyframes == ("first", "-1") for tuning in PRESETS.values())
