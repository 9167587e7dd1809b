"""What a running loop tells its caller after every step."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class StepReport:
    """A step that has just ended.

    done, total: steps. latents: (f, c, h, w) after it. clean: (f, c, h, w), the clean latents that
    the step's prediction implies, for previews.
    """

    done: int
    total: int
    timestep: int
    latents: Tensor
    clean: Tensor


OnStep = Callable[[StepReport], None]
"""Called after every step; what it raises (an interrupt) ends the loop."""

OnFrame = Callable[[int], None]
"""Called after every frame with how many are done; what it raises (an interrupt) ends the loop."""

OnNote = Callable[[str], None]
"""Called with a line that the user should know."""


@dataclass
class Counted:
    """An `OnFrame` that passes on how many frames are done, and remembers it."""

    on_frame: OnFrame
    done: int = 0

    def __call__(self, done: int) -> None:
        self.done = done
        self.on_frame(done)


OnPass = Callable[[], None]
"""Called before every pass of a step that may take many; what it raises (an interrupt) ends it."""


def carry_on() -> None:
    """The `OnPass` of who need not stop early."""
