"""How many frames an editor takes: its autoencoder makes one latent of several."""

from dataclasses import dataclass

from ..common.settings import check, setting

MAX_STEP = 64
"""No editor's autoencoder comes near: as many frames at most are repeated."""


@dataclass(frozen=True)
class Length:
    """Numbers of frames that are `first` + n * `step`. Raises EvenframeError out of range.

    Of less than `first` the last one is shown again, whatever the `ending`.
    """

    step: int = setting(
        1,
        "The clip has 1 frame and a multiple of this: 4 for Wan. 1 takes any number, unless "
        "`target` asks for another; `length` says what becomes of the last frames.",
        whole=(1, MAX_STEP),
        told="frame_step",
    )
    first: int = setting(1, whole=(1, None))
    ending: str = setting(
        "trim",
        "What is done where `target` or `frame_step` takes another number of frames: trim leaves "
        "out the last ones, repeat shows the last one again. The saver leaves repeated ones out.",
        choices=("trim", "repeat"),
        told="length",
    )

    def __post_init__(self) -> None:
        check(self)

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
