"""The source's attention, kept step by step while its clip is inverted."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..attention.keyframes import KeyFrameTable
from ..attention.terms import Call, Terms
from ..common.memory import FreeMemory
from ..models.schedule import Level
from ..text.conditioning import Conditioning
from ..walk import Pass
from .store import KEPT_DTYPE, Recorder, SourceAttention, choose_mode, keep, kept_sites

if TYPE_CHECKING:
    from ..models.model import Model


class Keeper:
    """Keeps the attention of every step where the store says; the first one decides for "auto".

    windows: of several nothing is kept, for where they overlap each has attention of its own.
    free: free bytes of a device.
    """

    def __init__(self, model: "Model", store: str, steps: int, windows: int, free: FreeMemory):
        self._sites = kept_sites(model.denoiser.sites, model.denoiser.layout)
        self._device, self._steps, self._free = model.device, steps, free
        self._store, self._resolved = store, store if windows == 1 else "recompute"
        self.records: list[SourceAttention] = []

    @property
    def mode(self) -> str:
        """Of the inversion: what "auto" became, or "auto" where there was no room."""
        return self._resolved if self.records else self._store

    def recorder(self) -> Recorder:
        """For one step."""
        return Recorder(self._sites if self._resolved != "recompute" else ())

    def keep(self, record: SourceAttention) -> None:
        """Take what a step's recorder saw."""
        if self._resolved == "auto":
            self._resolved = self._by_what_is_free(record)
        if self._resolved != "recompute":
            self.records.append(keep(record, self._resolved))

    def _by_what_is_free(self, record: SourceAttention) -> str:
        kept = [*record.queries.values(), *record.keys.values()]
        needed = sum(tensor.numel() for tensor in kept) * KEPT_DTYPE.itemsize * self._steps
        return choose_mode(needed, self._free(self._device), self._free(torch.device("cpu")))


class SourcePass(Pass):
    """The source as its prompt sees it, whose attention goes to the keeper."""

    def __init__(
        self, frames: range, prompt: Conditioning, keyframes: KeyFrameTable | None, keeper: Keeper
    ):
        super().__init__(frames, {"source": prompt}, keyframes, self._record)
        self._keeper = keeper

    def prepare(self, index: int, here: Level, there: Level, latents: Tensor) -> Tensor:
        """Record anew; the latents stay."""
        self._recorder = self._keeper.recorder()
        return latents

    def settle(self, latents: Tensor) -> Tensor:
        """Hand over what was recorded; the latents stay."""
        self._keeper.keep(self._recorder.record())
        return latents

    def _record(self, call: Call, terms: Terms) -> Terms:
        return self._recorder.attend(call, terms)
