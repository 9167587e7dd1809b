"""How many frames an editor takes: its autoencoder makes one latent of several."""

from dataclasses import dataclass

from ..common.errors import EvenframeError

ENDINGS = ("trim", "repeat")


@dataclass(frozen=True)
class Length:
    """Numbers of frames that are `first` + n * `step`. Raises EvenframeError out of range.

    ending: what is done where a clip has another number, until it fits. 'trim' leaves out the last
        frames, 'repeat' shows the last one again, and so does 'trim' for less than `first`.
    """

    step: int = 1
    first: int = 1
    ending: str = "trim"

    def __post_init__(self) -> None:
        if self.step < 1 or self.first < 1:
            raise EvenframeError(
                f"The length is {self.first} + n * {self.step} frames: give 1 or more for both."
            )
        if self.ending not in ENDINGS:
            raise EvenframeError(f"length is '{self.ending}': choose {' or '.join(ENDINGS)}.")

    @property
    def any(self) -> bool:
        """Whether every number is one."""
        return self.step == self.first == 1

    def count(self, frames: int) -> "Count":
        """What becomes of so many frames."""
        over = frames - self.first
        if self.ending == "repeat":
            over += self.step - 1
        return Count(self, frames, self.first + max(0, over // self.step) * self.step)

    def __str__(self) -> str:
        return f"{'' if self.step == 1 else self.step}n+{self.first}"


ANY = Length()
"""Every number from one on."""


@dataclass(frozen=True)
class Count:
    """How many frames a clip was made of, and how many it has.

    length: the numbers that were wanted. chosen: frames before. kept: frames after.
    """

    length: Length
    chosen: int
    kept: int

    @property
    def trimmed(self) -> int:
        """Chosen frames that the clip has not, at its end."""
        return max(0, self.chosen - self.kept)

    @property
    def repeated(self) -> int:
        """Frames at the clip's end that only repeat the last one chosen."""
        return max(0, self.kept - self.chosen)

    def __str__(self) -> str:
        if self.kept == self.chosen:
            return f"{self.kept} frames = {self.length}: none trimmed or repeated"
        change = self.trimmed or self.repeated
        frames = "1 frame" if change == 1 else f"{change} frames"
        if self.trimmed:
            return f"{frames} trimmed at the end: {self.kept} of {self.chosen} = {self.length}"
        return (
            f"the last frame repeated for {frames}: {self.kept} from {self.chosen} = {self.length}"
        )
