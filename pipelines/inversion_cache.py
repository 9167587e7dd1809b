"""Inversions found again: who changes only the target prompt never waits for one twice."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .attention import keyframes as key_frames
from .attention.keyframes import KeyFrames
from .attention.store import require_mode
from .errors import EvenframeError
from .inversion import Inversion, invert
from .inversion_file import FORMAT, load, save
from .memory import free_memory
from .origin import hash_tensors, origin_of
from .progress import OnStep
from .prompt import Prompt
from .tensor_file import SUFFIX, drop_oldest, touch

if TYPE_CHECKING:
    from .backbone import Backbone

log = logging.getLogger(__name__)


def find_or_invert(
    cache: "InversionCache",
    backbone: "Backbone",
    frames: Tensor,
    prompt: Prompt,
    *,
    steps: int = 50,
    keyframes: str | Iterable[str | int] = key_frames.DEFAULT,
    store: str = "auto",
    seed: int | None = None,
    on_step: OnStep | None = None,
    on_frame: Callable[[int], None] | None = None,
    free: Callable[[torch.device], int] = free_memory,
) -> tuple[Inversion, bool]:
    """The inversion of a clip from the cache, or a fresh one that is put there.

    Arguments as `inversion.invert`. Returns (inversion, found). One that was found holds no
    attention: edits compute it again, with the same result to the bit on the CPU.
    """
    require_mode(store)
    names = key_frames.parse(keyframes)
    key = inversion_key(backbone, frames, prompt, steps=steps, keyframes=names, seed=seed)
    found = cache.get(key)
    if found is not None:
        return (found if store == "auto" else replace(found, mode=store)), True
    inversion = invert(
        backbone,
        frames,
        prompt,
        steps=steps,
        keyframes=names,
        store=store,
        seed=seed,
        on_step=on_step,
        on_frame=on_frame,
        free=free,
    )
    try:
        cache.put(key, inversion)
    except EvenframeError as error:
        # A full disk must not cost the inversion: it is used now, and made again another day.
        log.warning("%s", error)
    return inversion, False


def inversion_key(
    backbone: "Backbone",
    frames: Tensor,
    prompt: Prompt,
    *,
    steps: int,
    keyframes: KeyFrames,
    seed: int | None,
) -> str:
    """A content hash of everything that an inversion depends on, versions included."""
    settings = {
        "format": FORMAT,
        "model": backbone.fingerprint,
        "dtype": str(backbone.dtype),
        "device": backbone.device.type,
        "origin": asdict(origin_of(backbone, frames)),
        "prompt": hash_tensors({"embeddings": prompt.embeddings}),
        "text": prompt.text,
        "steps": steps,
        "keyframes": keyframes,
        "seed": seed,
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


class InversionCache:
    """A folder of inversions by key; the ones used longest ago go when it grows too large.

    limit_bytes: a single inversion that is larger is kept all the same; 0 keeps and finds none.
    """

    def __init__(self, folder: Path, limit_bytes: int):
        self._folder, self._limit = folder, limit_bytes

    def get(self, key: str) -> Inversion | None:
        """The inversion of this key, or None; a damaged file counts as absent."""
        path = self._path(key)
        if self._limit <= 0 or not path.is_file():
            return None
        try:
            inversion = load(path, key)
        except EvenframeError:
            return None
        touch(path)
        return inversion

    def put(self, key: str, inversion: Inversion) -> None:
        """Keep an inversion. Raises EvenframeError where it cannot be written."""
        if self._limit > 0:
            path = save(inversion, self._path(key), key)
            drop_oldest(self._folder, self._limit, keep=path)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}{SUFFIX}"
