"""What is kept of the source's attention, and where.

Only queries and keys are ever kept, never maps: softmax(Q_s K_s^T) V is one fused call, and Q and K
are an order of magnitude smaller. Self-attention keeps both for every frame; cross-attention keeps
Q, and the prompt's K once. They are kept in float16, which has the mantissa that bfloat16 lacks.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from ..attention.processor import EarlyExit
from ..attention.sites import Layout, Site
from ..attention.terms import Call, Terms

MODES = ("auto", "recompute", "offload", "resident")
KEPT_DTYPE = torch.float16


@dataclass(frozen=True, eq=False)
class SourceAttention:
    """Queries and keys of the source at one timestep, by site name.

    queries: (f, heads, n, d). keys: (f, heads, n, d) for self, (1, heads, tokens, d) for cross.
    """

    queries: Mapping[str, Tensor]
    keys: Mapping[str, Tensor]

    def nbytes(self) -> int:
        """Bytes of all tensors."""
        kept = [*self.queries.values(), *self.keys.values()]
        return sum(tensor.numel() * tensor.element_size() for tensor in kept)

    def only(self, sites: Iterable[Site]) -> "SourceAttention":
        """The part that belongs to these sites."""
        names = {site.name for site in sites}
        return SourceAttention(
            {name: tensor for name, tensor in self.queries.items() if name in names},
            {name: tensor for name, tensor in self.keys.items() if name in names},
        )

    def each(self, change: Callable[[Tensor], Tensor]) -> "SourceAttention":
        """The same, with every tensor changed."""
        return SourceAttention(
            {name: change(tensor) for name, tensor in self.queries.items()},
            {name: change(tensor) for name, tensor in self.keys.items()},
        )

    def to(self, device: torch.device, dtype: torch.dtype) -> "SourceAttention":
        """The same on another device and in another precision."""
        # Towards other devices nothing makes a reader wait until the copy is done.
        ahead = device.type == "cuda"
        # Moved first: converted first, page-locked memory would be copied to ordinary memory.
        return self.each(lambda tensor: tensor.to(device, non_blocking=ahead).to(dtype))

    def pinned(self) -> "SourceAttention":
        """The same in page-locked host memory, which a GPU reads while it computes.

        torch rounds each tensor's block up to a power of two, so it takes up to twice `nbytes`.
        """

        def locked(tensor: Tensor) -> Tensor:
            # One copy, and complete when it returns: another stream will read it without waiting.
            return torch.empty_like(tensor, device="cpu", pin_memory=True).copy_(tensor)

        return self.each(locked)


NOTHING = SourceAttention({}, {})
"""Where nobody asks for any."""


@dataclass
class Recorder:
    """Collects the source's queries and keys at some sites during one forward pass.

    stop: leave the denoiser once the last of the sites has been seen.
    """

    sites: Sequence[Site]
    stop: bool = False
    queries: dict[str, Tensor] = field(default_factory=dict)
    keys: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._names = {site.name for site in self.sites}
        self._last = max((site.order for site in self.sites), default=-1)

    def attend(self, call: Call, terms: Terms) -> Terms:
        """Keep this call's Q and K; the attention itself stays as it is."""
        if call.site.name in self._names:
            self.queries[call.site.name] = call.q
            # A copy of the prompt's keys: a view would keep those of every frame alive.
            prompt_keys = call.site.kind == "cross"
            self.keys[call.site.name] = call.k[:1].clone() if prompt_keys else call.k
        if self.stop and call.site.order >= self._last:
            raise EarlyExit
        return terms

    def record(self) -> SourceAttention:
        """What was seen."""
        return SourceAttention(dict(self.queries), dict(self.keys))


class AttentionSource(Protocol):
    """Gives an edit the source's attention at the same timestep."""

    def at(self, step: int, sites: Sequence[Site]) -> SourceAttention:
        """Attention at denoising step `step`, at these sites at least."""
        ...


@dataclass(frozen=True, eq=False)
class KeptAttention:
    """Reads records that were kept while the clip was inverted.

    records: one for each inversion step, lowest noise first.
    """

    records: Sequence[SourceAttention]
    device: torch.device
    dtype: torch.dtype

    def at(self, step: int, sites: Sequence[Site]) -> SourceAttention:
        # Denoising step k and inversion step N-1-k share their timestep.
        record = self.records[len(self.records) - 1 - step]
        return record.only(sites).to(self.device, self.dtype)


def kept_sites(sites: Iterable[Site], layout: Layout) -> tuple[Site, ...]:
    """The sites whose source attention methods may use: the coarse grids, self and cross."""
    spatial = (site for site in sites if site.kind in ("self", "cross"))
    return tuple(site for site in spatial if site.stride >= layout.control_stride)


def keep(record: SourceAttention, mode: str) -> SourceAttention:
    """Put a fresh record where its mode wants it."""
    half = record.each(lambda tensor: tensor.to(KEPT_DTYPE))
    if mode == "resident":
        return half
    on_gpu = any(tensor.is_cuda for tensor in half.queries.values())
    return half.pinned() if on_gpu else half.to(torch.device("cpu"), KEPT_DTYPE)


def choose_mode(needed: int, device_free: int, host_free: int) -> str:
    """What "auto" becomes: resident in half of the free device memory, else offload, or recompute.

    needed: bytes of the whole store; half, for page-locked blocks may be twice as large.
    """
    if needed <= device_free // 2:
        return "resident"
    return "offload" if needed <= host_free // 2 else "recompute"
