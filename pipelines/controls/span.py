"""A stretch of the denoising in shares of its steps, and the one rule that makes steps of it.

A step belongs to a span where its middle does. All controls cut their shares so but for FateZero's
two, which are published as they are: see `fusion.published_steps`.
"""

from dataclasses import dataclass
from math import ceil
from typing import Any

from ..common.errors import EvenframeError
from ..common.settings import check, setting

TOLERANCE = 1e-6
"""Of a step: 0.07 of 50 steps is 3.5000000000000004 in floating point, and means 3.5."""


@dataclass(frozen=True)
class Span:
    """From one share of the steps to another. start, end: 0..1, the end not before the start.

    Raises EvenframeError for others.
    """

    start: float = setting(0.0, within=(0, 1))
    end: float = setting(1.0, within=(0, 1))

    def __post_init__(self) -> None:
        check(self)
        if self.start > self.end:
            raise EvenframeError(
                f"start is {self.start} and end is {self.end}: a span of the steps must not end "
                "before it starts."
            )

    def steps(self, count: int) -> range:
        """Those of `count` steps that belong to it. Spans that meet share none and miss none."""
        return range(nearest_step(self.start, count), nearest_step(self.end, count))


def span_setting(default: Span, **ends: str) -> Any:
    """A setting that is a span. ends: the effects of its start and its end, by their names."""
    return setting(default, demand=_require_span, ends=tuple(ends.items()))


def _require_span(name: str, span: Any) -> None:
    """Refuse what is no span, such as a pair of numbers."""
    if not isinstance(span, Span):
        raise EvenframeError(f"{name} is {span!r:.80}: give a span, as in Span(0.0, 0.5).")


WHOLE = Span()
NEVER = Span(0, 0)


def nearest_step(share: float, count: int) -> int:
    """The first of `count` steps whose middle lies after a share (0..1) of them; `count` for none.

    Step k reaches from k to k+1. So this is the nearest whole number of steps, and of two equally
    near ones the smaller: half of 25 steps are 12.
    """
    return ceil(share * count - 0.5 - TOLERANCE)
