"""A video whose frames are made one by one, as they are asked for."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..common.errors import EvenframeError
from ..common.memory import FreeMemory, free_memory
from ..common.pictures import to_bytes
from ..common.progress import OnFrame
from .audio import Audio
from .budget import Budget
from .rate import as_rate
from .sizes import Fit, Size
from .undo import Undo


class Shot(NamedTuple):
    """A frame, (h, w, 3) uint8, and when it is shown: seconds after the first."""

    pixels: np.ndarray
    time: Fraction


def evenly(images: Iterable[np.ndarray], frame_rate: Fraction) -> Iterator[Shot]:
    """Images that are shown one after the other, all equally long."""
    return (Shot(image, index / frame_rate) for index, image in enumerate(images))


@dataclass(frozen=True, eq=False)
class Film:
    """Frames and sound that need the memory of a few frames, however many there are.

    size: (width, height) of every frame.
    shots: gives all frames from the first one on, each time that it is called; the iterator raises
        EvenframeError for what goes wrong meanwhile (a file that changed).
    tick: times are whole numbers of it, in seconds; 1 / frame_rate where frames play evenly.
    expected: how many frames there will be; 0 where nobody knows.
    sound: gives what starts with the first frame.
    said: what the user should know, a line each.
    count: tells how many frames there are, where that is quicker than to make them all.
    """

    size: Size
    frame_rate: Fraction
    shots: Callable[[], Iterator[Shot]]
    tick: Fraction
    expected: int = 0
    sound: Callable[[], Audio | None] = lambda: None
    said: tuple[str, ...] = ()
    count: Callable[[], int] | None = None

    @property
    def number(self) -> int:
        """How many frames there are, as far as is known; counted where it is not."""
        if self.expected:
            return self.expected
        return self.count() if self.count is not None else sum(1 for _ in self.shots())


def film_of(
    frames: Tensor,
    frame_rate: float | Fraction,
    audio: Audio | None = None,
    undo: Undo | None = None,
    said: tuple[str, ...] = (),
) -> Film:
    """Frames (f, h, w, 3), floats in 0..1, as a film.

    undo: brings each back to its source's size when its turn comes: of 4K, one takes 100 MB.
    Raises EvenframeError as `as_rate`.
    """
    rate, back = as_rate(frame_rate), undo or Undo((frames.shape[2], frames.shape[1]))

    def shots() -> Iterator[Shot]:
        whole = (back.frame(index, frame) for index, frame in enumerate(frames))
        return evenly((to_bytes(frame).numpy() for frame in whole), rate)

    sound = audio and audio.cut(len(frames) / rate)
    return Film(back.size, rate, shots, 1 / rate, len(frames), lambda: sound, said)


def unrounded(
    frames: Tensor, rate: Fraction, audio: Audio | None = None, said: tuple[str, ...] = ()
) -> Film:
    """Frames (f, h, w, 3) as a film whose pixels are not brought to bytes."""

    def shots() -> Iterator[Shot]:
        return evenly((frame.numpy() for frame in frames), rate)

    size = (frames.shape[2], frames.shape[1])
    return Film(size, rate, shots, 1 / rate, len(frames), lambda: audio, said)


def at_rate(film: Film, frame_rate: float | Fraction) -> Film:
    """The same frames, played evenly at another rate. Raises EvenframeError as `as_rate`."""
    rate = as_rate(frame_rate)

    def shots() -> Iterator[Shot]:
        return evenly((shot.pixels for shot in film.shots()), rate)

    return replace(film, frame_rate=rate, shots=shots, tick=1 / rate)


def trimmed(film: Film, start: float | Fraction, seconds: float | Fraction = 0) -> Film:
    """What a film shows and sounds from `start` on, for so many seconds; 0 for its rest.

    Both are rounded to the film's ticks. A frame that is still shown at the start comes first.
    """
    first = round(start / film.tick) * film.tick
    end = first + round(seconds / film.tick) * film.tick if seconds else None

    def shots() -> Iterator[Shot]:
        last: Shot | None = None
        for shot in chain(film.shots(), [None]):
            if last is not None and (shot is None or shot.time > first):
                yield Shot(last.pixels, max(last.time - first, Fraction(0)))
            if shot is None or (end is not None and shot.time >= end):
                return
            last = shot

    def sound() -> Audio | None:
        audio = film.sound()
        audio = audio and audio.since(first)
        return audio and (audio if end is None else audio.cut(end - first))

    def number(total: int) -> int:
        whole = total / film.frame_rate
        left = max(Fraction(0), (whole if end is None else min(whole, end)) - first)
        return math.ceil(left * film.frame_rate)

    expected, count = number(film.expected), lambda: number(film.number)
    return replace(film, shots=shots, sound=sound, expected=expected, count=count)


def images(film: Film, on_frame: OnFrame | None = None, free: FreeMemory = free_memory) -> Tensor:
    """All frames of a film at once, (f, h, w, 3) float32 in 0..1.

    Raises EvenframeError where they find no room in memory, with what could be done.
    """
    wide, high = film.size
    most = Budget.of("The frames", free).most(Fit("stretch", film.size, film.size, film.size))
    frames: list[Tensor] = []
    for shot in film.shots():
        if len(frames) == most:
            raise EvenframeError(
                f"More than {most} frames of {wide}x{high} find no room in memory: save the video "
                "itself, which is made frame by frame, or load fewer frames."
            )
        frames.append(torch.from_numpy(shot.pixels))
        if on_frame is not None:
            on_frame(len(frames))
    whole = torch.empty(len(frames), high, wide, 3)
    for frame, out in zip(frames, whole, strict=True):
        torch.div(frame, 255, out=out)
    return whole
