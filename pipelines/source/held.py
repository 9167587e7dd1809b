"""The source's attention, held while a step is taken again."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..attention.sites import Site
from .store import AttentionSource, SourceAttention


@dataclass(eq=False)
class HeldAttention:
    """An AttentionSource that is asked once for a step, however often that step is taken.

    It belongs to one edit. At most one step is held, and let go before the next is fetched, so that
    memory is what an edit without repeats needs.
    """

    source: AttentionSource
    _held: dict[tuple[int, tuple[Site, ...]], SourceAttention] = field(default_factory=dict)

    def at(self, step: int, sites: Sequence[Site]) -> SourceAttention:
        """Attention at this step; from the second time on, the same again."""
        asked = (step, tuple(sites))
        if asked not in self._held:
            self._held = {}
            self._held = {asked: self.source.at(step, sites)}
        return self._held[asked]
