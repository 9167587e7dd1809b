"""Wan from a folder in the diffusers layout."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_wan import LENGTH, autoencoder, text_encoder, tokenizer, transformer

from evenframe import api
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.editing import edit
from evenframe.pipelines.models import families
from evenframe.pipelines.models.stable_diffusion.family import STABLE_DIFFUSION
from evenframe.pipelines.models.wan import tokenizer as tokenizers
from evenframe.pipelines.models.wan.family import WAN
from evenframe.pipelines.source.inversion import invert
from evenframe.pipelines.video import Length, save

PROMPT = "a silver jeep, driving down the road"


@pytest.fixture(scope="module")
def pipeline() -> Any:
    """The library's own, of the same parts as the folder."""
    from diffusers.pipelines.wan.pipeline_wan import WanPipeline
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
        FlowMatchEulerDiscreteScheduler,
    )

    parts = tokenizer(), text_encoder(), autoencoder()
    return WanPipeline(*parts, FlowMatchEulerDiscreteScheduler(shift=3.0), transformer())


@pytest.fixture(scope="module")
def saved(pipeline: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wan") / "Wan-tiny"
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "Wan-tiny"))


def change(file: Path, **values: Any) -> None:
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | values))


def test_it_is_what_the_librarys_pipeline_runs(pipeline: Any, saved: Path):
    model = families.load(saved)
    assert (model.name, model.native_size, model.dtype) == ("Wan-tiny", 640, torch.float32)
    assert model.schedule.identity() == "flow, shift 3.0, scale 1000.0"
    states = model.text.encode(PROMPT).states["tokens"]
    with torch.no_grad():
        wanted = pipeline._get_t5_prompt_embeds(PROMPT, max_sequence_length=512)[0]
        assert states.shape == (512, 16) and torch.allclose(states, wanted, atol=1e-5)
        pixels = torch.rand(5, 32, 32, 3)
        clip = model.codec.encode(pixels)
        raw = pipeline.vae.encode(pixels.movedim(-1, 0)[None] * 2 - 1).latent_dist.mode()
        mean, std = (
            torch.tensor(each).view(16, 1, 1, 1)
            for each in (pipeline.vae.config.latents_mean, pipeline.vae.config.latents_std)
        )
        assert torch.allclose(clip.transpose(0, 1), (raw[0] - mean) / std, atol=1e-5)
        found = model.denoiser.predict(
            clip, model.schedule.at(300.0), {"target": model.text.encode(PROMPT)}
        )["target"]
        stock = transformer()(clip.transpose(0, 1)[None], torch.tensor([300.0]), wanted[None])
        assert torch.allclose(found, stock.sample[0].transpose(0, 1), atol=1e-5)


def test_it_edits_and_its_fingerprint_is_its_contents(folder: Path, saved: Path):
    model = families.load(folder)
    inversion = invert(model, torch.rand(5, 32, 32, 3), PROMPT, steps=1)
    assert edit(model, inversion, "a red jeep").shape == (2, 16, 4, 4)
    assert families.load(saved).fingerprint == model.fingerprint
    change(folder / "scheduler/scheduler_config.json", shift=5.0)
    other = families.load(folder)
    assert other.fingerprint != model.fingerprint and other.native_size == 960


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_halves_keep_what_they_are_too_coarse_for(saved: Path, dtype: torch.dtype):
    model = families.load(saved, dtype=dtype)
    named = dict(model.denoiser.module.named_parameters())
    exact = {name for name, each in named.items() if each.dtype == torch.float32}
    assert {"blocks.0.scale_shift_table", "blocks.1.norm2.weight"} <= exact
    assert model.dtype == named["blocks.0.attn1.to_q.weight"].dtype == dtype
    kept = torch.float32 if dtype == torch.float16 else dtype
    assert {next(m.parameters()).dtype for m in model.modules[1:]} == {kept}
    table = model.text.module
    assert table.shared.weight.data_ptr() == table.encoder.embed_tokens.weight.data_ptr()
    inversion = invert(model, torch.rand(5, 32, 32, 3), PROMPT, steps=1)
    assert edit(model, inversion, "a red jeep").isfinite().all()


def test_a_folder_is_known_by_its_index(saved: Path, folder: Path, tmp_path: Path):
    assert WAN.recognise(saved) and not STABLE_DIFFUSION.recognise(saved)
    (folder / "model_index.json").write_text("{")
    for other in (folder, tmp_path, "miniature", "", "\0", "a" * 5000, tmp_path / "none"):
        assert not WAN.recognise(other)


def _index(**values: Any) -> Callable[[Path], None]:
    return lambda folder: change(folder / "model_index.json", **values)


def _config(part: str, **values: Any) -> Callable[[Path], None]:
    return lambda folder: change(folder / part / "config.json", **values)


def _without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _cut(name: str) -> Callable[[Path], None]:
    def cut(folder: Path) -> None:
        (folder / name).write_bytes((folder / name).read_bytes()[:-100])

    return cut


def _less(folder: Path) -> None:
    file = folder / "transformer/diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    del tensors["blocks.1.attn1.to_q.weight"]
    save_file(tensors, file)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_index(_class_name="WanImageToVideoPipeline"), "is a model for 'WanImageToVideoPipeline'"),
        (_index(transformer=["diffusers", "Other"]), "has 'Other' as its transformer"),
        (_index(transformer_2=["diffusers", "WanTransformer3DModel"]), "has two transformers"),
        (_config("transformer", in_channels=36), "takes 36 channels, or pictures besides"),
        (_config("transformer", added_kv_proj_dim=64), "or pictures besides"),
        (_config("transformer", text_dim=4096), "states of width 16 but the transformer reads"),
        (_config("transformer", num_layers=10**6), "as its 'num_layers', where a number from 1"),
        (_config("transformer", patch_size=[2, 2, 2]), r"one such as \[1, 2, 2\] is needed"),
        (_config("transformer", num_layers=3), "the first is 'blocks.2"),
        (_config("transformer", ffn_dim=128), "does not fit its configuration"),
        (_config("vae", latents_mean=[0.0]), "as its 'latents_mean', where 16 numbers"),
        (_config("vae", latents_std=[0.0] * 16), "as its 'latents_std', where a number from"),
        (_config("vae", scale_factor_spatial=16), "as its 'scale_factor_spatial'"),
        (_config("text_encoder", num_layers="two"), "as its 'num_layers'"),
        (_config("text_encoder", feed_forward_proj="gated-none"), "not describe a part of Wan"),
        (_without("vae/config.json"), "has no 'vae/config.json'"),
        (_without("tokenizer/tokenizer.json"), "has no tokenizer"),
        (_without("text_encoder/model.safetensors"), "has no weights in 'text_encoder'"),
        (_cut("vae/diffusion_pytorch_model.safetensors"), "download it again"),
        (_cut("tokenizer/tokenizer.json"), "'tokenizer/tokenizer.json' cannot be read"),
        (_less, "1 of .* tensors are missing, .* Use the complete model .Wan 2.1 or 2.2"),
        (
            lambda f: change(f / "scheduler/scheduler_config.json", shift=-1),
            "has the shift -1: a number above 0",
        ),
        (
            lambda f: change(f / "scheduler/scheduler_config.json", prediction_type="epsilon"),
            "is for 'epsilon' of 1000 times",
        ),
    ],
)
def test_what_is_wrong_is_said_by_name(folder: Path, damage: Callable[[Path], Any], message: str):
    damage(folder)
    with pytest.raises(EvenframeError, match=message):
        families.load(folder) if WAN.recognise(folder) else WAN.load(folder, torch.float32, "auto")


def test_prompts_are_read_as_the_tokenizer_was_saved(saved: Path):
    read = tokenizers.read_tokenizer(saved / "tokenizer")
    assert read(PROMPT).input_ids == tokenizer()(PROMPT).input_ids
    assert (read.model_max_length, tokenizer().model_max_length) == (512, LENGTH)


def test_the_package_edits_a_clip_with_it(saved: Path):
    frames, prompts = torch.rand(9, 32, 32, 3), ("a silver jeep", "a red jeep")
    given = {"model": saved, "steps": 2}
    fused = api.edit(frames, *prompts, cross_steps=0.8, self_steps=0.7, **given)
    other = api.edit(frames, *prompts, noise_seed=3, bridge=2.0, start_step=1, **given)
    for found in (fused, other):
        assert found.frames.shape == (9, 32, 32, 3) and found.frames.isfinite().all()
        assert found.record["inversion"]["store"] == "recompute"
    with pytest.raises(EvenframeError, match="choose 5 or 9 of them"):
        api.edit(frames[:8], *prompts, **given)


@pytest.mark.parametrize(
    ("given", "number", "notes"),
    [
        ({}, 13, ["3 frames trimmed at the end: 13 of 16 = 4n+1"]),
        (
            {"length": Length(ending="repeat")},
            16,
            [
                "the last frame repeated for 1 frame: 17 from 16 = 4n+1",
                "Length: the last 1 of 17 frames only repeat, left out",
            ],
        ),
        ({"length": Length(8)}, 9, ["7 frames trimmed at the end: 9 of 16 = 8n+1"]),
        ({"max_frames": 5}, 5, []),
    ],
)
def test_a_file_comes_in_a_number_of_frames_and_a_size_that_it_takes(
    saved: Path, tmp_path: Path, given: dict[str, Any], number: int, notes: list[str]
):
    file = save(tmp_path / "clip.mp4", torch.rand(16, 36, 54, 3), 12)
    found = api.edit(file, "a silver jeep", "a red jeep", model=saved, steps=1, **given)
    assert found.frames.shape == (number, 32, 48, 3) and found.frame_rate == 12
    record = found.record
    assert record["notes"][1:] == notes  # the first is of the size
    assert record["choice"]["length"]["step"] in (4, 8) and record["fitting"]["multiple"] == 16


def test_frames_are_brought_to_a_number_where_it_is_asked_for(saved: Path):
    given = {"model": saved, "steps": 1, "length": Length(4, ending="repeat")}
    found = api.edit(torch.rand(6, 32, 32, 3), "a silver jeep", "a red jeep", **given)
    assert found.frames.shape == (6, 32, 32, 3)
    assert "9 from 6 = 4n+1" in " ".join(found.record["notes"])
