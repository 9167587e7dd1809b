"""Controls at work on the frames that a host's sampler asks its model about at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ....pipelines.controls.at_work import AtWork
from ....pipelines.models.schedule import Level
from ....pipelines.source.held import HeldAttention
from ....pipelines.source.recompute import RecomputedAttention

if TYPE_CHECKING:
    from torch import Tensor

    from ....pipelines.attention.keyframes import KeyFrameTable
    from ....pipelines.attention.sites import Site
    from ....pipelines.controls.base import Edit, Step
    from ....pipelines.source.between import SourceLatents
    from ....pipelines.source.store import SourceAttention
    from .attention import Controlled

CLEAN = Level(0.0, 1.0, 0.0)


@dataclass(eq=False)
class Following:
    """An AttentionSource of whatever level a sampler is at: the step only tells two of them apart.

    latents: of the frames that are edited.
    """

    plan: Edit
    latents: SourceLatents
    keyframes: KeyFrameTable | None
    level: Level = CLEAN

    def at(self, step: int, sites: Sequence[Site]) -> SourceAttention:
        """At these sites, by a pass of the source that is left after the last of them."""
        own = self.latents.asked(self.level)
        again = (lambda _: own), self.plan.inversion.prompt, [self.level], self.keyframes
        return RecomputedAttention(self.plan.model, *again).at(0, sites)


class Part:
    """The frames of a window, or all, in the hands of their controls.

    plan: what is edited; its controls begin here. latents: of the whole clip's source. Raises
    EvenframeError as they do. keyframes: who looks at whom.
    """

    def __init__(self, plan: Edit, latents: SourceLatents):
        self.frames, self._plan = plan.latent_frames, plan
        self._latents = latents.part(self.frames)
        self.keyframes = plan.inversion.keyframe_table()
        self._follows = Following(plan, self._latents, self.keyframes)
        # Samplers of second order ask twice at a level. Of several windows, all would be held.
        self._held = HeldAttention(self._follows) if plan.window is None else None
        self._work = AtWork(plan)
        self._work.ready(plan.model)
        self.repeats, self._step, self.last = self._work.repeats, None, 0

    def prepare(self, index: int, here: Level, there: Level, like: Tensor) -> Step:
        """Get the source's attention at the level that the sampler is at, within a step."""
        self.last = index
        self._follows.level, arrival = here, self._latents.at(there).to(like)
        if self._held is not None:
            self._held.key = here
        source = self._held or self._follows
        self._step = self._work.prepare(source, index, here, there, arrival)
        return self._step

    def guide(self, latents: Tensor, step: Step) -> Tensor:
        """As in this pack's own loop: the latents (t, c, h, w) that the model is asked about."""
        return self._work.guide(latents, step)

    def settle(self, latents: Tensor, step: Step) -> Tensor:
        """As in this pack's own loop: the latents (t, c, h, w) that a step ends with."""
        return self._work.settle(latents, step)

    def settled_at(self, level: Level, latents: Tensor) -> Tensor:
        """Latents (t, c, h, w) of a level with what controls keep of the source there; the same
        where they keep nothing."""
        return self._settled(level, latents, self._latents.at(level))

    def settled_clean(self, latents: Tensor) -> Tensor:
        """The same of clean latents."""
        return self._settled(CLEAN, latents, self._latents.clean)

    def _settled(self, level: Level, latents: Tensor, arrival: Tensor) -> Tensor:
        if self._step is None:
            return latents
        here = replace(self._step, there=level, arrival=arrival.to(latents))
        return self._work.settle(latents, here)

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
        """After all calls: let go of the model, and of the source's attention."""
        self._work.done()
        if self._held is not None:
            self._held.let_go()
