"""Folders that Tune-A-Video and FateZero write, made by hand from the tiny model."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from test_over_frames import FRAMES, attention, convolutions, predicted
from tiny_model import tiny
from torch import Tensor

from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.models.delta import Delta
from evenframe.pipelines.models.families import load
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.models.stable_diffusion import shipped

THEIRS = {
    "tune-a-video": ("TuneAVideoPipeline", "UNet3DConditionModel", "3D"),
    "fatezero": ("SpatioTemporalStableDiffusionPipeline", "UNetPseudo3DConditionModel", "Pseudo3D"),
}


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny()


@pytest.fixture
def latents() -> Tensor:
    return torch.randn(FRAMES, 4, 8, 8, generator=torch.Generator().manual_seed(1))


def folder(model: Model, path: Path, kind: str, added: dict[str, Tensor], **config: Any) -> Path:
    """What their programs save, in safetensors."""
    pipeline, unet_class, dimension = THEIRS[kind]
    modules: dict[str, Any] = {
        "unet": model.denoiser.module,
        "vae": model.codec.module,
        "text_encoder": model.text.module,
    }
    model.text.tokenizer.save_pretrained(path / "tokenizer")
    for part, module in modules.items():
        module.save_pretrained(path / part, safe_serialization=True)
    (path / "scheduler").mkdir()
    scheduler = json.dumps(shipped.config("sd15", "scheduler"))
    (path / "scheduler" / "scheduler_config.json").write_text(scheduler)
    index = {
        "_class_name": pipeline,
        "unet": ["models.unet", unet_class],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
    }
    (path / "model_index.json").write_text(json.dumps(index))
    own = json.loads((path / "unet" / "config.json").read_text())
    for key in ("down_block_types", "up_block_types", "mid_block_type"):
        own[key] = json.loads(json.dumps(own[key]).replace("2D", dimension))
    own |= {"_class_name": unet_class, **config}
    (path / "unet" / "config.json").write_text(json.dumps(own))
    weights = {n: w.contiguous() for n, w in model.denoiser.module.state_dict().items()}
    if kind == "fatezero":
        renamed = {"attn_temp.": "attn_temporal.", "norm_temp.": "norm_temporal."}
        for ours, theirs in renamed.items():
            added = {name.replace(ours, theirs): weight for name, weight in added.items()}
    save_file(weights | added, path / "unet" / "diffusion_pytorch_model.safetensors")
    return path


@pytest.mark.parametrize("kind", THEIRS)
def test_a_tuned_folder_is_a_model_with_its_layers(model, latents, kind: str, tmp_path: Path):
    added = attention(model)
    if kind == "fatezero":
        added |= convolutions(model, low_rank=True)
    loaded = load(folder(model, tmp_path / "tuned", kind, added, lora=160))
    expected = model.with_delta(Delta("theirs", added=added, norm="clip"))
    assert loaded.name == "tuned"
    found, right = (predicted(each, latents)[0] for each in (loaded, expected))
    assert (found - right).abs().max() < 1e-5 * right.abs().max(), "as a processor adds up"


def test_what_is_no_such_folder_is_refused(model, tmp_path: Path):
    with pytest.raises(EvenframeError, match="but it has no layers over frames"):
        load(folder(model, tmp_path / "none", "tune-a-video", {}))
    moved = {"temporal_attention_position": "after_cross"}
    with pytest.raises(EvenframeError, match="'temporal_attention_position' of its unet/config"):
        load(folder(model, tmp_path / "moved", "fatezero", attention(model), **moved))
    added = attention(model)
    added.popitem()
    with pytest.raises(EvenframeError, match="does not fit 'part', or is not whole"):
        load(folder(model, tmp_path / "part", "tune-a-video", added))
    pickled = folder(model, tmp_path / "pickled", "tune-a-video", attention(model)) / "unet"
    (pickled / "diffusion_pytorch_model.safetensors").rename(
        pickled / "diffusion_pytorch_model.bin"
    )
    with pytest.raises(EvenframeError, match="pickles can run code.*or write one: safetensors"):
        load(tmp_path / "pickled")
