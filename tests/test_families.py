"""Kinds of model, and where to get one."""

import shutil
from pathlib import Path

import ldm_layout as layout
import pytest
import torch
from tiny_model import tiny

from evenframe import miniature
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.models import families
from evenframe.pipelines.models.family import Family
from evenframe.pipelines.models.stable_diffusion.family import STABLE_DIFFUSION


def test_the_built_in_model_has_a_name():
    model = families.load("miniature", dtype=torch.bfloat16)
    assert (model.name, model.native_size, model.dtype) == ("miniature", 128, torch.bfloat16)
    assert model.text.encode("a zircle").notes


def test_a_file_is_known_by_its_header_and_a_folder_by_its_index(tmp_path: Path):
    file = layout.save_checkpoint(tmp_path / "sd.safetensors", layout.sd1_shapes())
    folder = miniature.weights_dir()
    lora = layout.save_checkpoint(tmp_path / "lora.safetensors", {"a.lora_up.weight": (4, 4)})
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(file.read_bytes()[:100])
    known = [name for name in (file, folder) if STABLE_DIFFUSION.recognise(name)]
    assert known == [file, folder]
    others = [
        "miniature",
        "",
        "\0",
        lora,
        tmp_path,
        tmp_path / "none",
        tmp_path / "cut.safetensors",
    ]
    assert not any(STABLE_DIFFUSION.recognise(source) for source in others)
    assert families.load(file).fingerprint != families.load(folder).fingerprint
    with pytest.raises(EvenframeError, match=r"^'lora\.safetensors' is a LoRA"):
        families.load(lora)


def test_a_new_kind_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    asked: list[tuple] = []

    def load(*given):
        asked.append(given)
        return tiny()

    toy = Family("toy", lambda source: Path(source).suffix == ".toy", load)
    monkeypatch.setattr(families, "FAMILIES", [*families.FAMILIES, toy])
    model = families.load(tmp_path / "a.toy", device="meta", prediction="v_prediction")
    assert asked == [(tmp_path / "a.toy", torch.float32, "v_prediction")]
    assert {parameter.device.type for m in model.modules for parameter in m.parameters()} == {
        "meta"
    }


def test_no_folder_takes_the_name_of_the_built_in_model(tmp_path, monkeypatch):
    """Its words would not be known, and its weights not checked."""
    shutil.copytree(miniature.weights_dir(), tmp_path / "miniature")
    monkeypatch.chdir(tmp_path)
    assert families.load("miniature").text.encode("a zircle").notes
    assert not families.load(tmp_path / "miniature").text.encode("a zircle").notes
