"""All controls of an edit at work, as one."""

from typing import TYPE_CHECKING

from torch import Tensor

from ..attention.sites import Site
from ..models.schedule import Level
from ..source.held import HeldAttention
from ..source.store import NOTHING, AttentionSource
from .base import Edit, Step, attending

if TYPE_CHECKING:
    from ..models.model import Model


class AtWork:
    """The runs of an edit's controls, each verb (`ControlRun`) by all of them in their order.

    attend: of all, see `attending`. Raises EvenframeError as `Control.begin`.
    """

    def __init__(self, plan: Edit):
        self._runs = [control.begin(plan) for control in plan.controls]
        self.attend = attending(self._runs)

    def ready(self, model: "Model") -> None:
        """Before the steps in which this model is asked."""
        for run in self._runs:
            run.ready(model)

    def done(self) -> None:
        """After them."""
        for run in self._runs:
            run.done()

    def sites(self, index: int) -> tuple[Site, ...]:
        """Those whose source attention any control needs at a step."""
        return tuple({site for run in self._runs for site in run.source_sites(index)})

    def repeats(self, index: int) -> int:
        """As often as the control says that wants it most often."""
        return max((run.repeats(index) for run in self._runs), default=1)

    def gradients(self, index: int) -> int:
        """Passes of all."""
        return sum(run.gradients(index) for run in self._runs)

    def source_passes(self, index: int) -> int:
        """Passes of all."""
        return sum(run.source_passes(index) for run in self._runs)

    def prepare(
        self, source: AttentionSource, index: int, here: Level, there: Level, arrival: Tensor
    ) -> Step:
        """A step, with the source's attention where any control asks for it, and all prepared."""
        sites = self.sites(index)
        if not sites and isinstance(source, HeldAttention):
            source.let_go()  # else the last one asked for stays to the end of the edit
        seen = source.at(index, sites) if sites else NOTHING
        step = Step(index, here, there, seen, arrival)
        for run in self._runs:
            run.prepare(step)
        return step

    def guide(self, latents: Tensor, step: Step) -> Tensor:
        """The latents (t, c, h, w) that the model is asked about.

        Who moves them along a gradient does so first, wherever it stands in the list: behind it,
        what others have put in its place would be moved, too.
        """
        for run in sorted(self._runs, key=lambda run: not run.gradients(step.index)):
            latents = run.guide(latents, step)
        return latents

    def settle(self, latents: Tensor, step: Step) -> Tensor:
        """The latents (t, c, h, w) after a step."""
        for run in self._runs:
            latents = run.settle(latents, step)
        return latents

    def end(self) -> None:
        """After all else of a step."""
        for run in self._runs:
            run.end()
