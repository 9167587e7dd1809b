"""The frames that a clip was made of, at their own size and one by one."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction

from .audio import Audio
from .clip import Clip
from .decode import Reading, reading
from .film import Film, Shot
from .findings import Findings
from .footage import Footage, Stock
from .from_film import timed
from .select import film_of_source
from .sizes import Size
from .sound import missing_sound, read_sound
from .timing import TOLERANCE, Choice

FINEST = 1000
"""Ticks a second, at least, in which frames of an uneven file are timed."""
SLACK = Fraction(1)
"""Seconds of sound that are read beyond those that frames take evenly."""
NEARLY = Fraction(1, 100)
"""By how much the rate of a part may differ from that of its file, and be taken for it."""
DAY = Fraction(24 * 3600)
"""Seconds of sound of a whole file: its frames may play slower than those that were loaded."""


@dataclass(frozen=True, eq=False)
class Original:
    """What a clip was made of.

    film: its shots have pixels as decoded (uint8, uint16), or floats of images.
    first: the number of the clip's first frame in it. deep: whether it has more than 8 bits.
    missing: gives what to say of its sound where not all of that will be there; "" otherwise.
    """

    film: Film
    first: int = 0
    deep: bool = False
    missing: Callable[[], str] = lambda: ""


def original(clip: Clip, whole: bool = True) -> Original:
    """The source of a clip: its file, decoded again, or the images it was made of.

    whole: all of the file; else the frames that were loaded.
    Raises EvenframeError where the file was changed, or is gone; so do the film's shots.
    """
    if clip.footage is not None:
        return _from_file(clip.footage, clip.placement.source, clip.frame_rate, whole)
    if clip.stock is not None:
        return _from_film(clip.stock, whole)
    return Original(film_of_source(clip))


def _from_film(stock: Stock, whole: bool) -> Original:
    film = stock.film
    choice = stock.choice.unbounded if whole else stock.choice
    rate = (choice.rate or film.frame_rate) / choice.stride

    def shots() -> Iterator[Shot]:
        start = None
        for frame, time, _ in choice.of(timed(film)):
            start = time if start is None else start
            yield Shot(frame, time - start)

    def sound() -> Audio | None:
        audio, first = film.sound(), next(choice.of(timed(film)), None)
        if audio is None or first is None:
            return None
        audio = audio.since(first.time)
        slack = 0 if film.tick == 1 / film.frame_rate else SLACK
        return audio.cut(choice.max_frames / rate + slack) if choice.max_frames else audio

    def count() -> int:
        return choice.most(film.number, film.frame_rate)

    tick = film.tick if choice.rate is None else 1 / choice.rate
    expected = choice.most(film.expected, film.frame_rate)
    chosen = Film(film.size, rate, shots, tick, expected, sound, count=count)
    return Original(chosen, stock.choice.left_out if whole else 0)


def _from_file(footage: Footage, size: Size, rate: Fraction, whole: bool) -> Original:
    choice = footage.choice.unbounded if whole else footage.choice
    with _read_again(footage, choice) as file:
        expected, deep = file.expected, file.depth > 1
        average = rate if choice == footage.choice else _rate_of_all(file, choice, rate)

    def shots() -> Iterator[Shot]:
        with _read_again(footage, choice, size) as file:
            start = None
            for index, (pixels, time) in enumerate(file.frames):
                start = time if start is None else start
                late, even = time - start, index / rate
                # Containers round times: what is nearly even is meant to be.
                yield Shot(pixels, even if abs(late - even) <= TOLERANCE else late)
        footage.require_unchanged()  # or the last ones may be another's

    most = choice.max_frames
    seconds = most / rate + SLACK if most else DAY

    def sound() -> Audio | None:
        with _read_again(footage, choice) as file:
            start = next((frame.time for frame in file.timed), Fraction(0))
        return read_sound(footage.path, start, seconds, Findings())

    def count() -> int:
        with _read_again(footage, choice) as file:
            return sum(1 for _ in file.timed)

    tick = Fraction(1, rate.numerator * -(-FINEST // rate.numerator))
    film = Film(size, average, shots, tick, expected, sound, count=count)
    first = footage.choice.left_out if whole else 0
    return Original(film, first, deep, lambda: missing_sound(footage.path, seconds))


def _rate_of_all(file: Reading, choice: Choice, loaded: Fraction) -> Fraction:
    """At which all frames play on average, where an index tells; else as the loaded ones do."""
    if choice.rate is not None or not file.expected or not file.claims:
        return loaded
    rate = (file.claims[0] / choice.stride).limit_denominator(1001)
    return loaded if abs(rate / loaded - 1) < NEARLY else rate or loaded


def _read_again(
    footage: Footage, choice: Choice, size: Size | None = None
) -> AbstractContextManager[Reading]:
    footage.require_unchanged()
    return reading(footage.path, choice, size=size)
