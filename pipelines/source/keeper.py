"""What the source is asked while its clip is inverted, and its attention, kept step by step.

Source: of "uni-inv" "UniEdit-Flow" (arXiv 2504.13109), Uni-Inv: the latents of a level are
predicted by the velocity of the step before, Z'_i = Z_{i-1} - (t_{i-1} - t_i) v_{i-1}, and those of
the level before are corrected by the velocity there, v_i = v(Z'_i, t_i). Here the velocity is
whatever the model predicts, and the first step, before which there is none, goes as in DDIM.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..attention.keyframes import KeyFrameTable
from ..attention.terms import Call, Terms
from ..common.memory import FreeMemory
from ..models.schedule import Level, ahead
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
    """The source as its prompt sees it, whose attention goes to the keeper.

    predicts: whether it is asked about what its latents are predicted to be at a level.
    """

    def __init__(
        self,
        frames: range,
        prompt: Conditioning,
        keyframes: KeyFrameTable | None,
        keeper: Keeper,
        predicts: bool = False,
    ):
        super().__init__(frames, {"source": prompt}, keyframes, self._record)
        self._keeper, self._predicts = keeper, predicts
        self._before: tuple[Tensor, Level] | None = None

    def prepare(self, index: int, here: Level, there: Level, latents: Tensor) -> Tensor:
        """Record anew; the latents stay."""
        self._recorder = self._keeper.recorder()
        return latents

    def guess(self, here: Level, there: Level, latents: Tensor) -> Tensor:
        """The prediction, where there is one and a step has been taken."""
        before, self._before = self._before, (latents, here) if self._predicts else None
        return latents if before is None else ahead(latents, here, *before, there)

    def settle(self, latents: Tensor) -> Tensor:
        """Hand over what was recorded; the latents stay."""
        self._keeper.keep(self._recorder.record())
        return latents

    def _record(self, call: Call, terms: Terms) -> Terms:
        return self._recorder.attend(call, terms)
