"""The frames that a clip was made of, at their own size and one by one."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

from .clip import Audio, Clip
from .decode import Reading, reading
from .film import Film, Shot
from .footage import Footage
from .sizes import Size
from .sound import read_sound
from .source import Findings
from .timing import TOLERANCE, Choice

FINEST = 1000
"""Ticks a second, at least, in which frames of an uneven file are timed."""
SLACK = Fraction(1)
"""Seconds of sound that are read beyond those that frames take evenly."""
LONGEST = Fraction(24 * 3600)
"""Seconds of sound of a whole file: its frames may play slower than those that were loaded."""


@dataclass(frozen=True, eq=False)
class Original:
    """What a clip was made of.

    film: its shots have pixels as decoded (uint8, uint16), or floats of images.
    first: the number of the clip's first frame in it. deep: whether it has more than 8 bits.
    """

    film: Film
    first: int = 0
    deep: bool = False


def original(clip: Clip, whole: bool = True) -> Original:
    """The source of a clip: its file, decoded again, or the images it was made of.

    whole: all of the file; else the frames that were loaded.
    Raises EvenframeError where the file was changed, or is gone; so do the film's shots.
    """
    size = clip.placement.source
    if clip.footage is not None:
        return _from_file(clip.footage, size, clip.frame_rate, whole)
    images, rate = clip.frames if clip.original is None else clip.original, clip.frame_rate

    def shots() -> Iterator[Shot]:
        for index, image in enumerate(images):
            yield Shot(image.numpy(), index / rate)

    return Original(Film(size, rate, shots, 1 / rate, len(images), lambda: clip.audio))


def _from_file(footage: Footage, size: Size, rate: Fraction, whole: bool) -> Original:
    choice = footage.whole if whole else footage.choice
    with _read_again(footage, choice) as file:
        expected, deep = file.expected, file.depth > 1

    def shots() -> Iterator[Shot]:
        with _read_again(footage, choice) as file:
            start = None
            for index, (pixels, time) in enumerate(file.frames):
                start = time if start is None else start
                late, even = time - start, index / rate
                # Containers round times: what is nearly even is meant to be.
                yield Shot(pixels, even if abs(late - even) <= TOLERANCE else late)
        footage.require_unchanged()  # or the last ones may be another's

    def sound() -> Audio | None:
        with _read_again(footage, choice) as file:
            start = next((time for _, time in islice(file.frames, 1)), Fraction(0))
        most = choice.max_frames
        seconds = most / rate + SLACK if most else LONGEST
        return read_sound(footage.path, start, seconds, Findings())

    tick = Fraction(1, rate.numerator * -(-FINEST // rate.numerator))
    film = Film(size, rate, shots, tick, expected, sound)
    return Original(film, footage.first if whole else 0, deep)


def _read_again(footage: Footage, choice: Choice) -> AbstractContextManager[Reading]:
    footage.require_unchanged()
    return reading(footage.path, choice, Findings())
