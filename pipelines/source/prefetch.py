"""Offloaded attention, copied to the GPU one step ahead, while the step before computes."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch

from ..attention.sites import Site
from .store import KeptAttention, SourceAttention


@dataclass(eq=False)
class PrefetchedAttention:
    """An AttentionSource over records in main memory; it belongs to one edit.

    kept: reads and moves the records. At most two steps of them are on the device: the one in use
    and the next.
    """

    kept: KeptAttention
    _ready: dict[int, SourceAttention] = field(default_factory=dict)

    def __post_init__(self) -> None:
        on_gpu = self.kept.device.type == "cuda"
        self._stream = torch.cuda.Stream(self.kept.device) if on_gpu else None

    def at(self, step: int, sites: Sequence[Site]) -> SourceAttention:
        """Attention at this step; the copy of the next one is begun."""
        source = self._take(step, sites)
        self._ready = {}
        if step + 1 < len(self.kept.records):
            self._ready[step + 1] = self._copy(step + 1, sites)
        return source

    def _take(self, step: int, sites: Sequence[Site]) -> SourceAttention:
        ahead = self._ready.get(step)
        if ahead is None or not {site.name for site in sites} <= ahead.queries.keys():
            ahead = self._copy(step, sites)
        if self._stream is not None:
            current = torch.cuda.current_stream(self.kept.device)
            current.wait_stream(self._stream)  # which holds no later copy than this step's
            for tensor in (*ahead.queries.values(), *ahead.keys.values()):
                tensor.record_stream(current)  # freed only once this step has read it
        return ahead.only(sites)

    def _copy(self, step: int, sites: Sequence[Site]) -> SourceAttention:
        with nullcontext() if self._stream is None else torch.cuda.stream(self._stream):
            return self.kept.at(step, sites)
