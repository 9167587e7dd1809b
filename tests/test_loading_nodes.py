"""The nodes that give a model, in a plain process."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import ldm_layout as layout
import pytest
import torch

from evenframe.miniature import load_components, weights_dir
from evenframe.miniature.integrity import hash_file
from evenframe.nodes import model as nodes
from evenframe.nodes.host import host
from evenframe.nodes.host.standalone import Session, StandaloneHost
from evenframe.nodes.prompt import EvenframePrompt
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.models.checks import size_notes
from evenframe.pipelines.models.family import Prediction
from evenframe.pipelines.text.conditioning import Conditioning
from evenframe.pipelines.text.tokens import tokenize


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with one checkpoint, and one LoRA among the checkpoints."""
    root = tmp_path_factory.mktemp("models")
    (root / "checkpoints").mkdir()
    layout.save_checkpoint(root / "checkpoints" / "tiny.safetensors", layout.sd1_shapes())
    lora = {"lora_unet_x.lora_up.weight": (4, 4)}
    layout.save_checkpoint(root / "checkpoints" / "lora.safetensors", lora)
    return root


@pytest.fixture(autouse=True)
def session(models: Path) -> Iterator[None]:
    assert isinstance(host, StandaloneHost)
    with host.using(Session(models=(models,))):
        yield


def load(model: str, dtype: str = "auto", prediction: Prediction = "auto"):
    return nodes.EvenframeLoadModel.execute(model, dtype, prediction)


def test_the_choice_is_the_miniature_then_what_lies_in_the_folders() -> None:
    built_in = [nodes.MINIATURE, "video miniature (built in)"]
    assert nodes.model_options() == [*built_in, "lora.safetensors", "tiny.safetensors"]
    combo = nodes.EvenframeLoadModel.GET_SCHEMA().inputs[0]
    assert combo.options == nodes.model_options()  # type: ignore[attr-defined]
    assert combo.default == nodes.MINIATURE  # type: ignore[attr-defined]


def test_a_checkpoint_becomes_a_model_in_the_hosts_care() -> None:
    output = load("tiny.safetensors", "bf16")
    handle = output.args[0]
    model = host.load(handle)
    assert model.dtype == torch.bfloat16
    assert len(handle.modules) == 3
    assert output.ui["text"][0].startswith("tiny: 512 px, epsilon, bfloat16,")
    tokens = tokenize("a cat", model.text.tokenizer, end_sums_up=True)
    states = {"tokens": torch.zeros(77, 768)}
    branches = {"edit": Conditioning(tokens, states, model.text.fingerprint)}
    level = model.schedule.at(500)
    output = model.denoiser.predict(torch.randn(2, 4, 8, 8), level, branches)
    assert output["edit"].isfinite().all()


def test_what_is_no_model_says_so() -> None:
    with pytest.raises(EvenframeError, match=r"^'lora\.safetensors' is a LoRA"):
        load("lora.safetensors")
    with pytest.raises(EvenframeError, match="No model 'absent'"):
        load("absent")


def test_adopting_needs_comfyui() -> None:
    with pytest.raises(EvenframeError, match="only be adopted inside ComfyUI"):
        nodes.EvenframeAdoptModel.execute(object(), object(), object())


def test_a_replaced_file_is_loaded_again(models: Path) -> None:
    fingerprint = nodes.EvenframeLoadModel.fingerprint_inputs
    path = models / "checkpoints" / "tiny.safetensors"
    before = fingerprint("tiny.safetensors", dtype="auto")
    assert fingerprint("tiny.safetensors", dtype="auto") == before
    os.utime(path, (1, 1))
    assert fingerprint("tiny.safetensors", dtype="auto") != before


@pytest.mark.parametrize(
    "name", ["unet/diffusion_pytorch_model.safetensors", "scheduler/scheduler_config.json"]
)
def test_a_replaced_part_of_a_folder_is_loaded_again(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "diffusers" / "folder"
    part = folder / name
    part.parent.mkdir(parents=True)
    part.write_bytes(b"old")
    (folder / "model_index.json").write_text("{}")
    assert isinstance(host, StandaloneHost)
    with host.using(Session(models=(tmp_path,))):
        before = nodes.EvenframeLoadModel.fingerprint_inputs("folder")
        os.utime(part, (1, 1))
        assert nodes.EvenframeLoadModel.fingerprint_inputs("folder") != before


def test_a_linked_model_has_no_fingerprint_yet() -> None:
    assert nodes.EvenframeLoadModel.fingerprint_inputs(None) == []


@pytest.fixture(scope="module")
def miniature():
    output = load(nodes.MINIATURE)
    assert output.ui["text"][0].startswith("miniature: 128 px, epsilon")
    return output.args[0]


def test_half_a_character_in_a_prompt_is_told_before_anything_runs():
    refused = EvenframePrompt.validate_inputs("a cat \ud83d")
    assert isinstance(refused, str) and refused.startswith("The prompt has half a character")
    assert EvenframePrompt.validate_inputs("") is EvenframePrompt.validate_inputs(None) is True


def test_the_miniature_says_which_words_it_does_not_know(miniature) -> None:
    known = EvenframePrompt.execute(miniature, "a red circle on a gray background")
    words, *listed = known.ui["text"]
    assert (
        words == known.args[1] and listed[0] == "shapes it knows: circle, square, triangle, cross"
    )
    strange = EvenframePrompt.execute(miniature, "a red zircle")
    assert list(strange.args[0].notes) == strange.ui["text"][1 : -len(listed)]
    [note] = strange.args[0].notes
    assert note.startswith("The model was never trained on 'zircle': the nearest it knows are cir")


def test_other_models_know_any_word(model) -> None:
    assert model.text.encode("a red zircle").notes == ()


@pytest.mark.parametrize(
    ("size", "said"),
    [((128, 192), False), ((64, 128), False), ((64, 64), True), ((256, 256), True)],
)
def test_frames_far_from_a_models_own_size_are_said(miniature, size, said: bool) -> None:
    notes = size_notes(miniature.model, size)
    assert bool(notes) == said
    if said:
        assert notes[0].startswith(f"The frames are {size[1]}x{size[0]} pixels, and 'miniature'")


def test_altered_weights_of_the_miniature_are_refused_with_their_hash(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(weights_dir(), folder)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(EvenframeError, match=hash_file(weights)):
        load_components(torch.float32, folder)
    weights.unlink()
    with pytest.raises(EvenframeError, match="miss unet/diffusion_pytorch_model.safetensors"):
        load_components(torch.float32, folder)
