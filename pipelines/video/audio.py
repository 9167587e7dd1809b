"""Sound."""

from dataclasses import dataclass
from fractions import Fraction

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Audio:
    """Sound that starts with a clip's first frame.

    samples: (channels, n) float32, -1..1. sample_rate: in Hz.
    """

    samples: Tensor
    sample_rate: int

    @property
    def seconds(self) -> float:
        return self.samples.shape[1] / self.sample_rate

    def since(self, seconds: Fraction) -> "Audio":
        """The same sound without its first `seconds`."""
        return Audio(self.samples[:, round(seconds * self.sample_rate) :], self.sample_rate)

    def cut(self, seconds: Fraction) -> "Audio":
        """The same sound, no longer than `seconds`."""
        return Audio(self.samples[:, : round(seconds * self.sample_rate)], self.sample_rate)

    def part(self, start: Fraction, seconds: Fraction) -> "Audio | None":
        """So many seconds of it, or as much as there is; None for nothing."""
        part = self.since(start).cut(seconds)
        return part if part.samples.shape[1] else None
