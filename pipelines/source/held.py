"""The source's attention, held while a step is taken again."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from ..attention.sites import Site
from .store import AttentionSource, SourceAttention


@dataclass(eq=False)
class HeldAttention:
    """An AttentionSource that is asked once for a step, however often that step is taken.

    It belongs to one edit. At most one step is held, and let go before the next is fetched, so that
    memory is what an edit without repeats needs. key: what else tells askings apart than the step.
    """

    source: AttentionSource
    key: Hashable = None
    _held: dict[Hashable, SourceAttention] = field(default_factory=dict)

    def at(self, step: int, sites: Sequence[Site]) -> SourceAttention:
        """Attention at this step; from the second time on, the same again."""
        asked = (step, self.key, tuple(sites))
        if asked not in self._held:
            self.let_go()
            self._held = {asked: self.source.at(step, sites)}
        return self._held[asked]

    def let_go(self) -> None:
        """Of what is held: nobody asks for it any more."""
        self._held = {}
