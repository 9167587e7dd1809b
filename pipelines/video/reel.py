"""The frames of a clip as they are decoded: each has its final size before the next one comes."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from .audio import Audio
from .budget import Budget
from .clip import Clip
from .fit import apply, as_floats
from .lengths import Length
from .sizes import Fit, Fitting, Size

AT_FIRST, AT_MOST = 16, 256
"""Frames that room is made for at once: where nobody knows how many there will be, and ever."""

SoundOf = Callable[[Fraction, Fraction], Audio | None]
"""Gives the sound from a time on, for so many seconds."""


class Reel:
    """Takes decoded frames and holds the fitted ones, and the source's where a crop cuts some away.

    fitting: the size they shall have; None keeps the source's. frames: how many to expect at most,
    0 where that is not known. times: of those that were added. Raises EvenframeError once they
    exceed the budget.
    """

    def __init__(self, fitting: Fitting | None, budget: Budget, frames: int = 0) -> None:
        self._fitting, self._budget, self._expected = fitting, budget, frames
        self._how: Fit | None = None
        self._fitted = _Stack(min(frames or AT_FIRST, AT_MOST))
        self._originals = _Stack(min(frames or AT_FIRST, AT_MOST))
        self.times: list[Fraction] = []

    def require(self, source: Size, depth: int) -> None:
        """Raise EvenframeError where the frames, as far as they are known, will find no room.

        source: their size in pixels. depth: bytes a channel.
        """
        self._budget.require(self._plan(source), max(1, self._expected), depth)

    def add(self, pixels: np.ndarray, time: Fraction) -> None:
        """Fit one more frame, (h, w, 3), uint8 or uint16, all of one size, shown at a time."""
        self.times.append(time)
        if self._how is None:
            self._how = self._plan((pixels.shape[1], pixels.shape[0]))
        how = self._how
        # One by one: what a file says of its length bounds nothing.
        self._budget.require(how, len(self._fitted) + 1, pixels.itemsize)
        out = self._fitted.next((how.size[1], how.size[0], 3), np.dtype(np.float32))
        if how.untouched:
            np.divide(pixels, np.iinfo(pixels.dtype).max, out=out, dtype=np.float32)
        else:
            out[:] = as_floats(apply(torch.from_numpy(pixels)[None], how))[0].numpy()
        if how.cuts:
            self._originals.next(pixels.shape, pixels.dtype)[:] = pixels

    def clip(self, rate: Fraction, length: Length, sound: SoundOf) -> Clip:
        """The clip, once all frames are there: the last are left out, or the last one is repeated,
        until their number is one that is wanted; the source's stay."""
        count = length.count(len(self.times))
        self._fitted.cut(count.kept)
        for _ in range(count.repeated):
            assert self._how is not None
            self._budget.require(self._how, len(self._fitted) + 1)
            self._fitted.repeat()
        times = self.times[: count.kept]
        return Clip(
            self._fitted.tensor(),
            rate,
            sound(times[0], len(times) / rate),
            tuple(map(float, times + times[-1:] * count.repeated)),
            fit=None if self._fitting is None else self._how,
            original=self._originals.tensor() if len(self._originals) else None,
            count=None if length.any else count,
        )

    def _plan(self, source: Size) -> Fit:
        if self._fitting is None:
            return Fit("stretch", source, source, source)
        return self._fitting.plan(source)


class _Stack:
    """Arrays of one shape, one after the other in memory: a list would have to be copied."""

    def __init__(self, room: int) -> None:
        self._array, self._room, self._count = np.empty(0), room, 0

    def __len__(self) -> int:
        return self._count

    def next(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Where the next one is to be written."""
        if not self._count:
            self._array = np.empty((self._room, *shape), dtype)
        elif self._count == len(self._array):  # moved by the system's tables, not copied
            self._resize(self._count + max(1, self._count // 4))
        self._count += 1
        return self._array[self._count - 1]

    def cut(self, count: int) -> None:
        """Keep so many at most."""
        self._count = min(self._count, count)

    def repeat(self) -> None:
        """The last one once more."""
        out = self.next(self._array.shape[1:], self._array.dtype)
        out[:] = self._array[self._count - 2]

    def tensor(self) -> Tensor:
        self._resize(self._count)
        return torch.from_numpy(self._array)

    def _resize(self, count: int) -> None:
        self._array.resize((count, *self._array.shape[1:]), refcheck=False)
