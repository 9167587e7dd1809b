"""Memory that ComfyUI can have back: a store of attention, dressed as one of its models.

ComfyUI counts what it loads by its `ModelPatcher`s, and to make room tells some of them to leave
the device. What hangs on a node's output is none of them. So a loan is a patcher over a module with
no weights: it counts as loaded from the start, nothing of it is ever moved, and to leave means to
be forgotten.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar
from weakref import WeakMethod

import comfy.model_management as memory
import torch
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import CallbacksMP

Item = TypeVar("Item")


class AttentionStore(torch.nn.Module):
    """What ComfyUI takes for the model: already loaded, `nbytes` large."""

    def __init__(self, device: torch.device, nbytes: int) -> None:
        super().__init__()
        self.device = device
        self.model_loaded_weight_memory = nbytes


class Loan(Sequence[Item]):
    """Items on `device` until ComfyUI takes their memory back; empty from then on."""

    def __init__(self, items: Iterable[Item], device: torch.device, nbytes: int) -> None:
        self._items = tuple(items)
        store = AttentionStore(device, nbytes)
        self._patcher = ModelPatcher(store, device, torch.device("cpu"), size=nbytes)
        # Weak: in a circle, the items would outlive the last reader until the next collection.
        end = WeakMethod(self._end)

        def detached(_: ModelPatcher, unloaded: bool) -> None:
            if unloaded and (give_back := end()):
                give_back()

        self._patcher.add_callback(CallbacksMP.ON_DETACH, detached)
        memory.load_models_gpu([self._patcher], force_full_load=True)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    def _end(self) -> None:
        self._items = ()
