"""Inversions found again: who changes only the target prompt never waits for one twice."""

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..common.code_hash import code_hash
from ..common.file_cache import FileCache
from ..common.memory import FreeMemory, free_memory
from ..common.progress import OnPart
from ..common.tensor_file import hash_tensors
from ..text.conditioning import Conditioning
from ..walk import OnStep
from .file import FORMAT, load, save
from .inversion import Inversion, OnFrame, Settings, invert_clip
from .origin import Origin, origin_of
from .reconstruction import checked

if TYPE_CHECKING:
    from ..models.model import Model


def find_or_invert(
    cache: "InversionCache",
    model: "Model",
    frames: Tensor,
    prompt: Conditioning,
    settings: Settings,
    *,
    check: bool = False,
    on_step: OnStep | None = None,
    on_part: OnPart | None = None,
    on_check: OnStep | None = None,
    on_frame: OnFrame | None = None,
    free: FreeMemory = free_memory,
) -> tuple[Inversion, bool]:
    """The inversion of a clip from the cache, or a fresh one that is put there.

    check: rebuild a frame too, unless that is in the cache already or nothing was inverted;
    on_check is called after each step of that. Other arguments as `inversion.invert_clip`.
    A prompt that carries more than its states, such as a ControlNet, is inverted anew each time.
    Returns (inversion, found). One that was found holds no attention: edits compute it again, with
    the same result to the bit on the CPU.
    """
    origin, settings = origin_of(model, frames), settings.for_model(model)
    if prompt.host is not None:  # nothing tells two of these apart
        cache = InversionCache(Path(), 0)
    key = inversion_key(model, prompt, settings, origin)
    kept = cache.get(key)
    if kept is not None:
        inversion = replace(kept, mode=settings.store)
    else:
        inversion = invert_clip(
            model,
            frames,
            prompt,
            settings,
            origin,
            on_step=on_step,
            on_part=on_part,
            on_frame=on_frame,
            free=free,
        )
    unchecked = check and inversion.rebuilt is None and inversion.noise_seed is None
    try:
        if unchecked:
            inversion = checked(model, inversion, on_check)
    finally:  # an interrupt of the check does not cost the inversion
        if kept is None or unchecked:
            cache.offer(key, inversion)
    return inversion, kept is not None


def inversion_key(model: "Model", prompt: Conditioning, settings: Settings, origin: Origin) -> str:
    """A content hash of everything that an inversion depends on, code and versions included."""
    facts = {
        "format": FORMAT,
        "code": code_hash(),
        "model": model.fingerprint,
        "dtype": str(model.dtype),
        "device": model.device.type,
        "latents": hash_tensors(
            {"one": model.codec.exported(torch.ones(1, model.codec.channels, 1, 1))}
        ),
        "layout": asdict(model.denoiser.layout),
        "origin": asdict(origin),
        "prompt": hash_tensors(prompt.states),
        "encoder": prompt.model,
        "text": prompt.tokens.text,
        "times": model.schedule.times(settings.steps),
        "keyframes": settings.keyframes,
        "layers": settings.layers,
        "seed": settings.seed,
        "noise_seed": settings.noise_seed,
        "solver": settings.solver,
        "windowing": asdict(settings.windowing),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class InversionCache(FileCache[Inversion]):
    """A folder of inversions by key; see `FileCache`."""

    def __init__(self, folder: Path, limit_bytes: int):
        super().__init__(folder, limit_bytes, load, save)
