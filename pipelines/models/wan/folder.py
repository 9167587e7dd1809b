"""A folder of Wan in the diffusers layout to a model: local files, safetensors only."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from ...common.errors import EvenframeError
from ..files import assemble, fingerprint, folder
from ..files.folder_files import read_settings
from ..flow_schedule import FlowSchedule
from ..model import Model, TextEncoder
from .codec import ClipCodec
from .configs import PARTS, WANTED, build
from .denoiser import denoiser_of
from .text import T5Text
from .tokenizer import read_tokenizer, tokenizer_files

PIPELINE = "WanPipeline"
CLASSES = {
    "transformer": "WanTransformer3DModel",
    "vae": "AutoencoderKLWan",
    "text_encoder": "UMT5EncoderModel",
}
STEMS = {
    "transformer": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
    "text_encoder": "model",
}
FINER = 5.0
"""The shift of the schedule from which on a model was trained at 1280x720, not at 832x480."""


def load_folder(path: Path, dtype: torch.dtype = torch.float32) -> Model:
    """Load a folder with model_index.json, transformer/, vae/, text_encoder/, tokenizer/ and
    scheduler/.

    dtype: of the weights in memory; norms and the like stay in float32, as do the autoencoder and
    the text encoder in the place of float16. Weights of that type stay mapped from the disk.
    Raises EvenframeError for another kind of model, by name, and for parts that are missing,
    damaged or do not fit together.
    """
    index = folder.check_index(path, (PIPELINE,), CLASSES, WANTED)
    if _names(index, "transformer_2"):
        raise EvenframeError(
            f"'{path.name}' has two transformers, for high and for low noise, of which one would "
            f"be left out: {WANTED}, or link both to Adopt Model in ComfyUI."
        )
    configs = {part: read_settings(path / part / "config.json") for part in PARTS}
    scheduler = read_settings(path / "scheduler" / "scheduler_config.json")
    schedule, tokenizer = _schedule(scheduler), read_tokenizer(path / "tokenizer")
    types = {part: _part_dtype(part, dtype) for part in PARTS}
    files = folder.part_files(path, STEMS, types)
    with torch.inference_mode(False):
        modules = build(configs)
        for part, module in modules.items():
            _fill(part, module, files[part], types[part])
    every = [*chain.from_iterable(files.values()), *tokenizer_files(path / "tokenizer")]
    facts = map(folder.as_fact, (*configs.values(), scheduler))
    identity = fingerprint.of_files(every, *facts)
    return from_parts(path.name, identity, modules, tokenizer, schedule)


def from_parts(
    name: str,
    identity: str,
    modules: Mapping[str, Any],
    tokenizer: Any,
    schedule: FlowSchedule,
    text: TextEncoder | None = None,
    native_size: int = 0,
    native_frames: int = 0,
) -> Model:
    """A model of loaded modules by part; the transformer gets this package's attention
    processors.

    identity: its fingerprint. text: what reads prompts, where that is not umT5. native_size: side
    of the frames that it was trained on, in pixels; 0 for what Wan's schedule tells. native_frames:
    see `Model`.
    """
    transformer, vae, encoder = (modules[part] for part in PARTS)
    for module in modules.values():
        module.eval().requires_grad_(False)
    usual = 960 if schedule.shift >= FINER else 640
    stride, native = vae.config.scale_factor_spatial, native_size or usual
    multiple = stride * transformer.config.patch_size[-1]
    return Model(
        name=name,
        fingerprint=identity,
        codec=ClipCodec(name, vae, stride, vae.config.scale_factor_temporal, multiple),
        text=text or T5Text(identity, encoder, tokenizer),
        denoiser=denoiser_of(transformer, name, native, stride),
        schedule=schedule,
        native_size=native,
        native_frames=native_frames,
    )


def _names(index: Mapping[str, Any], part: str) -> bool:
    named = index.get(part)
    return isinstance(named, list) and any(named)


def _schedule(config: Mapping[str, Any]) -> FlowSchedule:
    """Of a scheduler's configuration, whichever of diffusers' flow samplers it is for."""
    kind = config.get("prediction_type", "flow_prediction")
    shift = config.get("flow_shift", config.get("shift", 1.0))
    if kind != "flow_prediction" or config.get("num_train_timesteps", 1000) != 1000:
        raise EvenframeError(
            f"'scheduler/scheduler_config.json' is for {kind!r:.60} of "
            f"{config.get('num_train_timesteps')!r:.60} times, and Wan predicts a flow of 1000: "
            f"{WANTED}."
        )
    if type(shift) not in (int, float) or not 0 < shift <= 100:
        raise EvenframeError(
            f"'scheduler/scheduler_config.json' has the shift {shift!r:.60}: a number above 0, at "
            "most 100, is needed."
        )
    return FlowSchedule(float(shift))


def _part_dtype(part: str, dtype: torch.dtype) -> torch.dtype:
    """The transformer's, or float32 where a part's numbers do not fit into float16."""
    return torch.float32 if dtype == torch.float16 and part != "transformer" else dtype


def _fill(part: str, module: Any, files: list[Path], dtype: torch.dtype) -> None:
    exact = tuple(getattr(module, "_keep_in_fp32_modules", None) or ())
    tensors = {
        name: tensor.to(torch.float32 if any(each in name for each in exact) else dtype)
        for name, tensor in folder.read_weights(files).items()
    }
    if part == "text_encoder":  # of the two names of one tensor files may have either
        names = "shared.weight", "encoder.embed_tokens.weight"
        table = next((tensors[name] for name in names if name in tensors), None)
        tensors |= {} if table is None else dict.fromkeys(names, table)
    assemble.fill(module, tensors, PARTS[part], family="Wan 2.1 or 2.2")
