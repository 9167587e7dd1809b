"""The source's latents at any noise level, for samplers that choose levels of their own.

Source: the same noise at every level is that of "FlowEdit" (arXiv 2412.08629) and "StreamEdit"
(arXiv 2605.21466).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

from ..models.schedule import Level, ahead, mix

if TYPE_CHECKING:
    from .inversion import Inversion

SAME_LEVEL = 1e-4
"""Of its noise: two levels that differ by less are one; hosts round them to float32."""


class SourceLatents(Protocol):
    """The source at every noise level.

    clean: (t, c, h, w), without noise.
    """

    @property
    def clean(self) -> Tensor: ...

    def at(self, level: Level) -> Tensor:
        """(t, c, h, w) at a level."""
        ...

    def asked(self, level: Level) -> Tensor:
        """(t, c, h, w): what the model is asked about for the source's attention at a level."""
        ...

    def part(self, frames: range) -> "SourceLatents":
        """Of these frames alone."""
        ...


@dataclass(frozen=True, eq=False)
class Blurred:
    """A `SourceLatents` with one noise at every level. clean, noise: (t, c, h, w)."""

    clean: Tensor
    noise: Tensor

    def at(self, level: Level) -> Tensor:
        """They, mixed."""
        return mix(self.clean, self.noise, level)

    def asked(self, level: Level) -> Tensor:
        """The same."""
        return self.at(level)

    def part(self, frames: range) -> "Blurred":
        """Of these frames alone."""
        own = slice(frames.start, frames.stop)
        return Blurred(self.clean[own], self.noise[own])


@dataclass(frozen=True, eq=False)
class Inverted:
    """A `SourceLatents` of an inversion.

    levels: N+1, highest noise first, the last one free of noise: that of the clean latents.
    """

    inversion: "Inversion"
    levels: Sequence[Level]

    @property
    def clean(self) -> Tensor:
        """Where the inversion began."""
        return self.inversion.trajectory[0]

    def at(self, level: Level) -> Tensor:
        """Of a level that the inversion has, what it found there. Between two of them, the clean
        latents and the noise that both are made of; beyond the last, of the last two."""
        noisier = sum(_ratio(one) > _ratio(level) for one in self.levels[1:-1])
        here, there = self.levels[noisier], self.levels[noisier + 1]
        below = self.inversion.steps - 1 - noisier
        latents, before = self.inversion.trajectory[below + 1], self.inversion.trajectory[below]
        if (same := self._stored(level)) is not None:
            return self.inversion.trajectory[self.inversion.steps - same]
        return ahead(latents, here, before, there, level)

    def asked(self, level: Level) -> Tensor:
        """Of a level that the inversion has, what it asked there; else the latents of the level."""
        same = self._stored(level)
        if same is None or same == self.inversion.steps:
            return self.at(level)
        return self.inversion.asked(self.levels, same)

    def part(self, frames: range) -> "Inverted":
        """Of these frames alone."""
        return Inverted(self.inversion.part(frames), self.levels)

    def _stored(self, level: Level) -> int | None:
        """The step that begins at this level, N for the clean end; None between two."""
        for step, one in enumerate(self.levels):
            if abs(_ratio(one) - _ratio(level)) <= SAME_LEVEL * _ratio(one):
                return step
        return None


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Stands for the trajectory (N+1, t, c, h, w) of an inversion at a sampler's levels, of which
    only the latents that are asked for are made: of a long clip, those of all steps are gigabytes.

    levels: N+1, highest noise first; the last stands for the clean latents, whatever noise it has.
    """

    latents: SourceLatents
    levels: Sequence[Level]

    def __len__(self) -> int:
        return len(self.levels)

    def __getitem__(self, at: Any) -> Any:
        """[step], latents; [step, ...], of these; [:, frames], a trajectory of these frames."""
        if not isinstance(at, tuple):
            step = range(len(self))[at]
            return self.latents.at(self.levels[-1 - step]) if step else self.latents.clean
        first, *rest = at
        if first != slice(None):
            return self[first][tuple(rest)]
        return Trajectory(self.latents.part(range(self.shape[1])[rest[0]]), self.levels)

    @property
    def shape(self) -> tuple[int, ...]:
        """As a tensor's."""
        return len(self), *self.latents.clean.shape

    @property
    def ndim(self) -> int:
        """As a tensor's."""
        return len(self.shape)


def _ratio(level: Level) -> float:
    """Noise over all that there is, 0..1: of two levels the noisier has more."""
    return level.noise / (level.signal + level.noise)
