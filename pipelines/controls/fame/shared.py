"""What FAME's two controls share: how much, who is meant, when, and in which layers."""

from dataclasses import dataclass
from typing import Literal

from ...attention.terms import Call
from ...common.settings import setting
from ...regions.regions import Regions
from ...text.prompt import parse_phrases
from ..base import Control, ControlRun, Edit, Step
from ..span import WHOLE, Span, span_setting
from .formulas import SCHEDULES, step_weight


@dataclass(frozen=True, kw_only=True)
class FameControl(Control):
    """Settings of either control.

    regions: the people, or None: then where the source looks at the phrases of `subject`, one for
        each person, see `find_subjects`.
    """

    strength: float = setting(
        0.5, "How much of it (alpha). 0 changes nothing.", within=(0, 1), told="strength (alpha)"
    )
    schedule: str = setting(
        "constant",
        "constant: the same at every step. power: strongest at first, then less and less, and "
        "nothing after 30 % of the steps (VideoGrain).",
        choices=SCHEDULES,
    )
    window: Span = span_setting(
        WHOLE,
        start="Share of the steps after which it begins.",
        end="Share of the steps after which it ends.",
    )
    subject: tuple[str, ...] = setting(
        (),
        "Words of the source prompt: where no regions are linked, the person is where the source "
        "looks at them. A comma for each further person. Attention Viewer shows it.",
        read=parse_phrases,
    )
    threshold: float = setting(
        0.3,
        "How strongly a place must look at the subject to belong to it, relative to the strongest "
        "of its frame.",
        within=(0, 2),
    )
    regions: Regions | None = None


class FameRun(ControlRun):
    """Either control at work: rho of the step, and where it acts."""

    def __init__(self, settings: FameControl, edit: Edit):
        self._settings, self._steps = settings, edit.steps
        self._coarse = edit.model.denoiser.layout.control_stride
        self._rho = 0.0

    def prepare(self, step: Step) -> None:
        """Look up the schedule."""
        settings = self._settings
        self._rho = step_weight(
            settings.schedule, settings.window, step.here.time, step.index, self._steps
        )

    def acts(self, call: Call, kind: Literal["self", "cross"]) -> bool:
        """Whether it changes this call: of the target, of the kind, in the coarser layers."""
        inside = call.site.kind == kind and call.site.stride >= self._coarse
        return call.branch == "target" and inside and self._rho != 0
