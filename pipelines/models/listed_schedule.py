"""Noise levels that somebody else has chosen, such as a host's sampler."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..common.errors import EvenframeError
from .schedule import Kind, Level


@dataclass(frozen=True)
class ListedSchedule:
    """A `Schedule` of levels in a list.

    levels: N+1, highest noise first. Their times here are the steps that are left, N to 0; each
    goes on saying by its own `time` what the denoiser is told.
    """

    kind: Kind
    levels: Sequence[Level]

    def at(self, time: float) -> Level:
        """The level with so many steps left."""
        if not 0 <= time < len(self.levels):
            raise EvenframeError(
                f"The time {time:g} is none of these {len(self.levels) - 1} steps: invert the clip "
                "again with this model."
            )
        return self.levels[len(self.levels) - 1 - int(time)]

    def times(self, steps: int) -> tuple[float, ...]:
        """Of all steps, however many are asked for."""
        return tuple(float(left) for left in reversed(range(len(self.levels))))

    def identity(self) -> str:
        """The levels themselves."""
        return f"{self.kind} at {[(level.signal, level.noise) for level in self.levels]}"
