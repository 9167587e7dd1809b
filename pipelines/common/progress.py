"""What running work tells its caller."""

from collections.abc import Callable
from dataclasses import dataclass

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
