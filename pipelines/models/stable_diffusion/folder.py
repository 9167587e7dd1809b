"""A model folder in the diffusers layout to components: local files, safetensors only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...common.errors import EvenframeError
from ..files import assemble, fingerprint
from ..files.folder_files import header_of, part_name, read_settings
from ..files.tensors import read_safetensors
from ..noise_schedule import NoiseSchedule
from . import ldm
from .components import PARTS, Components, native_size, part_dtype
from .configs import build
from .tokenizer import read_tokenizer, tokenizer_files

CLASSES = {
    "unet": "UNet2DConditionModel",
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

    Raises:
        EvenframeError: not such a folder; another kind of model, by name; no safetensors; a text
            encoder that does not fit the UNet, with both widths.
    """
    path = Path(path)
    check_index(path)
    configs = {part: read_settings(path / part / "config.json") for part in PARTS}
    scheduler = read_settings(path / "scheduler" / "scheduler_config.json")
    NoiseSchedule.from_config(scheduler)
    tokenizer = read_tokenizer(path / "tokenizer")
    types = {part: part_dtype(part, dtype) for part in PARTS}
    files = {part: weight_files(path / part, STEMS[part], types[part]) for part in PARTS}
    every = [file for part in PARTS for file in files[part]]
    for file in every:
        header_of(file, part_name(file))  # before modules are built for them
    with torch.inference_mode(False):
        modules = build(configs)
        for part, module in modules.items():
            _fill(part, module, files[part], types[part])
    every += tokenizer_files(path / "tokenizer")
    return Components(
        **modules,
        tokenizer=tokenizer,
        scheduler_config=scheduler,
        native_size=native_size(modules["unet"], modules["vae"]),
        fingerprint=fingerprint.of_files(every, *map(_said, (*configs.values(), scheduler))),
        name=name or path.name,
    )


def weight_files(part: Path, stem: str, dtype: torch.dtype) -> list[Path]:
    """The safetensors files of one part: the fp16 variant for float16, shards in order."""
    every = sorted(part.glob(f"{stem}*.safetensors")) if part.is_dir() else []
    half = [file for file in every if ".fp16" in file.name]
    full = [file for file in every if file.name == f"{stem}.safetensors"]
    full = full or [file for file in every if file.name.startswith(f"{stem}-")]
    full = [file for file in full if ".fp16" not in file.name]
    chosen = (half or full) if dtype == torch.float16 else (full or half)
    if chosen:
        return chosen
    pickles = [file.name for suffix in ("*.bin", "*.ckpt", "*.pt") for file in part.glob(suffix)]
    if pickles:
        raise EvenframeError(
            f"The folder '{part.parent.name}' holds '{part.name}/{pickles[0]}' but no safetensors: "
            "pickles can run code, so download the safetensors version of the model."
        )
    raise EvenframeError(
        f"The folder '{part.parent.name}' has no weights in '{part.name}' "
        f"('{stem}.safetensors'): download the complete model."
    )


def check_index(path: Path) -> None:
    """Raise EvenframeError where a folder's model_index.json names another kind of model."""
    if not path.is_dir():
        raise EvenframeError(f"No such model folder: '{path}'. Check the name and the place.")
    if not (path / "model_index.json").is_file():
        raise EvenframeError(
            f"'{path.name}' is not a model folder, it has no model_index.json: {WANTED}."
        )
    index = read_settings(path / "model_index.json")
    pipeline = index.get("_class_name")
    # The class of the UNet decides below whether an image-to-image folder differs: it does not.
    if pipeline not in ("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline"):
        raise EvenframeError(
            f"'{path.name}' is a model for {pipeline!r:.60}, which is not supported: {WANTED}."
        )
    for part, wanted in CLASSES.items():
        named = index.get(part)
        found = named[1] if isinstance(named, list) and len(named) == 2 else None
        if found != wanted:
            raise EvenframeError(
                f"'{path.name}' has {found!r:.60} as its {part}, where '{wanted}' is needed: "
                f"{WANTED}."
            )


def _fill(part: str, module: Any, files: list[Path], dtype: torch.dtype) -> None:
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors.update(read_safetensors(file, part_name(file)))
    if part == "text_encoder":
        plain = {key.removeprefix("text_model."): tensor for key, tensor in tensors.items()}
        tensors = ldm.convert(part, plain, module)
    else:
        # Names of attention blocks before diffusers 0.17, as in the published VAE of SD 1.5.
        module._fix_state_dict_keys_on_load(tensors)
    assemble.fill(module, tensors, PARTS[part], dtype)


def _said(config: dict[str, Any]) -> str:
    """A configuration as a fact: the same however it is laid out and whichever version wrote it."""
    used = {key: value for key, value in config.items() if not key.startswith("_")}
    return json.dumps(used, sort_keys=True)
