"""Tunings found again: who edits a clip another time never waits for one twice."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from ..common.code_hash import code_hash
from ..common.file_cache import FileCache
from ..common.memory import FreeMemory, free_memory
from ..common.progress import OnFrame
from ..common.tensor_file import hash_tensors
from ..models.delta import Delta
from ..source.origin import origin_of
from ..text.conditioning import Conditioning
from .file import FORMAT, load, save
from .one_shot import OnTuningStep, tune
from .settings import Tuning

if TYPE_CHECKING:
    from ..models.model import Model


def tuning_cache(folder: Path, limit_bytes: int) -> FileCache[Delta]:
    """A folder of tunings by key."""
    return FileCache(folder, limit_bytes, load, save)


def find_or_tune(
    cache: FileCache[Delta],
    model: "Model",
    frames: Tensor,
    prompt: Conditioning,
    tuning: Tuning,
    *,
    on_step: OnTuningStep | None = None,
    on_frame: OnFrame | None = None,
    free: FreeMemory = free_memory,
) -> tuple[Delta, bool]:
    """The tuning on a clip from the cache, or a fresh one that is put there: (delta, found)."""
    key = tuning_key(model, frames, prompt, tuning)
    kept = cache.get(key)
    if kept is not None:
        return kept, True
    delta = tune(model, frames, prompt, tuning, on_step=on_step, on_frame=on_frame, free=free)
    cache.offer(key, delta)
    return delta, False


def tuning_key(model: "Model", frames: Tensor, prompt: Conditioning, tuning: Tuning) -> str:
    """A content hash of everything that a tuning depends on, code and versions included."""
    facts = {
        "format": FORMAT,
        "code": code_hash(),
        "model": model.fingerprint,
        "dtype": str(model.dtype),
        "device": model.device.type,
        "origin": asdict(origin_of(model, frames)),
        "prompt": hash_tensors(prompt.states),
        "tuning": asdict(tuning),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
