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


@dataclass(frozen=True)
class Part:
    """A part of a step that is about to begin: one of its windows, in one of the turns it is taken.

    All count from 0.
    """

    window: int
    windows: int
    turn: int = 0
    turns: int = 1

    @property
    def share(self) -> float:
        """How much of the step is done."""
        return (self.turn * self.windows + self.window) / (self.turns * self.windows)

    def __str__(self) -> str:
        """ "window 2 of 3, pass 1 of 4", without those of which there is one only."""
        named = (("window", self.window, self.windows), ("pass", self.turn, self.turns))
        return ", ".join(f"{what} {at + 1} of {count}" for what, at, count in named if count > 1)


OnPart = Callable[[Part], None]
"""Called before every part of a step; what it raises (an interrupt) ends the walk."""

OnPass = Callable[[], None]
"""Called before every pass of a step that may take many; what it raises (an interrupt) ends it."""


def carry_on() -> None:
    """The `OnPass` of who need not stop early."""
