"""What identifies the host's weights and what other nodes have put on them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch

VALUES = 64
"""Numbers of each tensor that are hashed: the first ones, so that of weights which lie in a file
one page each is read."""


def of_patchers(*patchers: Any, facts: tuple[Any, ...] = ()) -> str:
    """SHA-256 over the weights of the host's patchers, and the patches (LoRAs) on them.

    Each tensor goes by its name, type, shape and first numbers; what is no tensor by its text.
    """
    digest = hashlib.sha256()
    for patcher in patchers:
        for name, weight in patcher.model.state_dict().items():
            kept = patcher.backup.get(name)  # while patches are merged into the weight itself
            _add(digest, name, weight if kept is None else kept.weight)
        for name in sorted(patcher.patches, key=str):
            for part in _parts(patcher.patches[name]):
                _add(digest, f"patch {name}", part)
    for fact in facts:
        digest.update(f"fact {fact}\n".encode())
    return digest.hexdigest()


def _parts(value: Any) -> Iterator[Any]:
    """Tensors and numbers of a patch, in order; those of adapters are in their `weights`."""
    if isinstance(value, list | tuple):
        for part in value:
            yield from _parts(part)
    elif isinstance(value, Mapping):
        yield from _parts(list(value.values()))
    elif hasattr(value, "weights"):
        yield from _parts(value.weights)
    elif isinstance(value, str | int | float | bool | torch.Tensor):
        yield value


def _add(digest: Any, name: str, value: Any) -> None:
    if not isinstance(value, torch.Tensor):
        digest.update(f"{name} {value}\n".encode())
        return
    digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
    value = getattr(value, "_qdata", value).detach()  # of a quantised weight, what it is kept as
    some = value.reshape(-1)[:VALUES]
    digest.update(some.to(device="cpu", dtype=torch.float32).numpy().tobytes())
