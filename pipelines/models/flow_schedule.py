"""The noise levels of flow models: straight paths between the picture and the noise.

Source: "Flow Matching for Generative Modeling" (Lipman et al., ICLR 2023); the shift is that of
"Scaling Rectified Flow Transformers for High-Resolution Image Synthesis" (Esser et al., ICML 2024),
Eq. 23.
"""

from dataclasses import dataclass

from ..common.errors import EvenframeError
from .schedule import Kind, Level, require_steps


@dataclass(frozen=True)
class FlowSchedule:
    """Levels of signal 1 - s and noise s, s from 0 to 1.

    shift: above 0; more than 1 spends more of the steps at high noise, as large clips want.
    scale: the time that the denoiser is told at s = 1.
    Raises EvenframeError for numbers out of range.
    """

    shift: float = 1.0
    scale: float = 1000.0

    def __post_init__(self) -> None:
        if not (self.shift > 0 and self.scale > 0):
            raise EvenframeError(
                f"The shift is {self.shift} and the scale {self.scale}: choose numbers above 0."
            )

    @property
    def kind(self) -> Kind:
        """What the model predicts: noise - clean."""
        return "flow"

    def at(self, time: float) -> Level:
        """The level of a time from 0, clean, to the scale, pure noise."""
        if not 0 <= time <= self.scale:
            raise EvenframeError(
                f"The time {time:g} is beyond the model's noise levels, 0 to {self.scale:g}: "
                "invert the clip again with this model."
            )
        return Level(time, 1 - time / self.scale, time / self.scale)

    def times(self, steps: int) -> tuple[float, ...]:
        """From pure noise to clean, evenly spaced before the shift."""
        require_steps(steps)
        even = [1 - step / steps for step in range(1, steps + 1)]
        shifted = [self.shift * s / (1 + (self.shift - 1) * s) for s in even]
        return (self.scale, *(self.scale * s for s in shifted))

    def identity(self) -> str:
        """All that the levels depend on."""
        return f"flow, shift {self.shift!r}, scale {self.scale!r}"
