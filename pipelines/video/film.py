"""A video whose frames are made one by one, as they are asked for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from .clip import Audio
from .sizes import Size


class Shot(NamedTuple):
    """A frame, (h, w, 3) uint8, and when it is shown: seconds after the first."""

    pixels: np.ndarray
    time: Fraction


def no_sound() -> Audio | None:
    """That of a silent film."""
    return None


@dataclass(frozen=True, eq=False)
class Film:
    """Frames and sound that need the memory of a few frames, however many there are.

    size: (width, height) of every frame. frame_rate: at which they play.
    shots: gives all frames from the first one on, each time that it is called; what goes wrong
        meanwhile (a file that changed) is an EvenframeError of the iterator.
    tick: times are whole numbers of it, in seconds; 1 / frame_rate where frames play evenly.
    expected: how many frames there will be, as far as is known; 0 where nobody knows.
    sound: gives what starts with the first frame.
    said: what the user should know, a line each.
    """

    size: Size
    frame_rate: Fraction
    shots: Callable[[], Iterator[Shot]]
    tick: Fraction
    expected: int = 0
    sound: Callable[[], Audio | None] = no_sound
    said: tuple[str, ...] = ()
