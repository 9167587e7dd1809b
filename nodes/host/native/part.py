"""Controls at work on the frames that a host's sampler asks its model about at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ....pipelines.controls.at_work import AtWork
from ....pipelines.models.schedule import Level
from ....pipelines.source.recompute import RecomputedAttention

if TYPE_CHECKING:
    from torch import Tensor

    from ....pipelines.attention.keyframes import KeyFrameTable
    from ....pipelines.attention.sites import Site
    from ....pipelines.controls.base import Edit, Step
    from ....pipelines.models.model import Model
    from ....pipelines.source.between import SourceLatents
    from ....pipelines.source.store import SourceAttention
    from .attention import Controlled

CLEAN = Level(0.0, 1.0, 0.0)


@dataclass(eq=False)
class Following:
    """An AttentionSource of whatever level a sampler is at.

    latents: of the whole clip; frames: of it. holds: whether the attention of a level is held while
    the sampler asks there again, as those of second order do.
    """

    model: Model
    plan: Edit
    latents: SourceLatents
    keyframes: KeyFrameTable | None
    holds: bool
    level: Level = CLEAN
    _held: tuple[Any, SourceAttention] | None = None

    def at(self, step: int, sites: Sequence[Site]) -> SourceAttention:
        """At these sites, by a pass of the source that is left after the last of them."""
        asked = self.level, sites
        if self._held is not None and self._held[0] == asked:
            return self._held[1]
        self._held = None  # before the next is there
        frames, prompt = self.plan.latent_frames, self.plan.inversion.prompt
        own = self.latents.asked(self.level)[frames.start : frames.stop]
        again = RecomputedAttention(
            self.model, lambda _: own, prompt, [self.level], self.keyframes
        ).at(0, sites)
        self._held = (asked, again) if self.holds else None
        return again


class Part:
    """The frames of a window, or all, in the hands of their controls.

    plan: what is edited; its controls begin here. Raises EvenframeError as they do. keyframes: who
    looks at whom.
    """

    def __init__(self, plan: Edit, latents: SourceLatents):
        self.frames, self._plan, self._latents = plan.latent_frames, plan, latents
        self.keyframes = plan.inversion.keyframe_table()
        whole = plan.window is None
        self._source = Following(plan.model, plan, latents, self.keyframes, holds=whole)
        self._work = AtWork(plan)
        self._work.ready(plan.model)
        self.repeats, self._step = self._work.repeats, None

    def prepare(self, index: int, here: Level, there: Level, like: Tensor) -> Step:
        """Get the source's attention at the level that the sampler is at, within a step."""
        self._source.level, arrival = here, self._at(there).to(like)
        self._step = self._work.prepare(self._source, index, here, there, arrival)
        return self._step

    def guide(self, latents: Tensor, step: Step) -> Tensor:
        """As in this pack's own loop: the latents (t, c, h, w) that the model is asked about."""
        return self._work.guide(latents, step)

    def settle(self, latents: Tensor, step: Step) -> Tensor:
        """As in this pack's own loop: the latents (t, c, h, w) that a step ends with."""
        return self._work.settle(latents, step)

    def settled(self, latents: Tensor, level: Level) -> Tensor:
        """Latents (t, c, h, w) of a level with what controls keep of the source there; the same
        where they keep nothing."""
        if self._step is None:
            return latents
        arrival = (self._latents.clean if level is CLEAN else self._at(level)).to(latents)
        own = arrival[self.frames.start : self.frames.stop] if level is CLEAN else arrival
        return self._work.settle(latents, replace(self._step, there=level, arrival=own))

    def layer(self, names: Sequence[str], main: Any, latents: Tensor) -> Controlled:
        """The override for a call over latents (t, c, h, w)."""
        denoiser: Any = self._plan.model.denoiser
        tokens = {"target": len(self._plan.prompt.states["tokens"])}
        given = names, main, tokens, latents, self.keyframes, self._work.attend
        return denoiser.layer(*given)

    def end(self) -> None:
        """After a call: let go of what belongs to it."""
        self._work.end()
        self._step = None

    def done(self) -> None:
        """After all calls: let go of the model."""
        self._work.done()

    def _at(self, level: Level) -> Tensor:
        return self._latents.at(level)[self.frames.start : self.frames.stop]
