"""A model folder in the diffusers layout to components: local files, safetensors only."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import torch

from ..files import assemble, fingerprint, folder
from ..files.folder_files import read_settings
from ..noise_schedule import NoiseSchedule
from . import ldm, tuned_folder
from .components import PARTS, Components, native_size, part_dtype
from .configs import build
from .tokenizer import read_tokenizer, tokenizer_files

PIPELINES = (
    "StableDiffusionPipeline",
    "StableDiffusionImg2ImgPipeline",
    *tuned_folder.PIPELINES,
)
CLASSES = {
    "unet": ("UNet2DConditionModel", *tuned_folder.CLASSES),
    "vae": "AutoencoderKL",
    "text_encoder": "CLIPTextModel",
}
STEMS = {
    "unet": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
    "text_encoder": "model",
}
WANTED = "choose a Stable Diffusion 1.x or 2.1 model folder"


def load_folder(
    path: str | Path, dtype: torch.dtype = torch.float32, name: str | None = None
) -> Components:
    """Load a folder with model_index.json, unet/, vae/, text_encoder/, tokenizer/, scheduler/.

    dtype: of the weights in memory (the VAE's: see `part_dtype`); for float16 the folder's fp16
        variant is used where it has one.
        Weights of that type stay mapped from the disk until they are first used or moved.
    name: for people; None takes the folder's.

    A folder of Tune-A-Video's or FateZero's is one, too, with layers over frames as its `delta`.

    Raises:
        EvenframeError: not such a folder; another kind of model, by name; no safetensors; a text
            encoder that does not fit the UNet, with both widths.
    """
    path = Path(path)
    check_index(path)
    configs = {part: read_settings(path / part / "config.json") for part in PARTS}
    configs["unet"] = tuned_folder.as_2d(configs["unet"])
    scheduler = read_settings(path / "scheduler" / "scheduler_config.json")
    NoiseSchedule.from_config(scheduler)
    tokenizer = read_tokenizer(path / "tokenizer")
    types = {part: part_dtype(part, dtype) for part in PARTS}
    files = folder.part_files(path, STEMS, types)
    with torch.inference_mode(False):
        modules = build(configs)
        tensors = {part: folder.read_weights(files[part]) for part in modules}
        delta = tuned_folder.over_frames_of(tensors["unet"], configs["unet"], types["unet"])
        for part, module in modules.items():
            _fill(part, module, tensors.pop(part), types[part])
    every = [*chain.from_iterable(files.values()), *tokenizer_files(path / "tokenizer")]
    facts = map(folder.as_fact, (*configs.values(), scheduler))
    return Components(
        **modules,
        tokenizer=tokenizer,
        scheduler_config=scheduler,
        native_size=native_size(modules["unet"], modules["vae"]),
        fingerprint=fingerprint.of_files(every, *facts),
        name=name or path.name,
        delta=delta,
    )


def check_index(path: Path) -> None:
    """Raise EvenframeError where a folder's model_index.json names another kind of model."""
    # The class of the UNet decides below whether an image-to-image folder differs: it does not.
    folder.check_index(path, PIPELINES, CLASSES, WANTED)


def _fill(part: str, module: Any, tensors: dict[str, torch.Tensor], dtype: torch.dtype) -> None:
    if part == "text_encoder":
        plain = {key.removeprefix("text_model."): tensor for key, tensor in tensors.items()}
        tensors = ldm.convert(part, plain, module)
    else:
        # Names of attention blocks before diffusers 0.17, as in the published VAE of SD 1.5.
        module._fix_state_dict_keys_on_load(tensors)
    assemble.fill(module, tensors, PARTS[part], dtype)
