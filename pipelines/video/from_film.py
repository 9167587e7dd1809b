"""A clip of frames that are made as they are asked for."""

from collections.abc import Iterator
from fractions import Fraction

from ..common.errors import EvenframeError
from ..common.memory import FreeMemory, free_memory
from ..common.progress import OnFrame
from .budget import Budget
from .clip import Clip
from .film import Film
from .footage import Stock
from .reel import Reel
from .sizes import Fitting
from .source import Timed
from .timing import EVERY, Choice, kept_rate


def clip_from_film(
    film: Film,
    choice: Choice = EVERY,
    fitting: Fitting | None = None,
    *,
    source: str = "video",
    on_frame: OnFrame | None = None,
    free: FreeMemory = free_memory,
) -> Clip:
    """Some frames of a film, as `load` takes them from a file: one by one, no more than are needed.

    source: a name for people. The others as of `load`. The clip keeps the film, whose frames are
    made again where all of them are wanted.
    Raises EvenframeError: no frames left, no room for them, what the film itself raises.
    """
    warnings: list[str] = []
    times: list[Fraction] = []
    reel = Reel(
        fitting, Budget.of(f"'{source}'", free), choice.most(film.expected, film.frame_rate)
    )
    reel.require(film.size, 1)
    for shown in choice.of(timed(film, on_frame)):
        reel.add(shown.frame)
        times.append(shown.time)
    if not times:
        raise EvenframeError(
            f"No frames are left: skip is {choice.skip}, and '{source}' has fewer. Give a smaller "
            "skip."
        )
    count = choice.length.count(len(times))
    reel.end(count)
    rate = kept_rate(times, choice, [film.frame_rate], film.frame_rate, warnings.append)
    times = times[: count.kept]
    audio = film.sound()
    if audio is not None:
        audio = audio.since(times[0]).cut(len(times) / rate)
    times += times[-1:] * count.repeated
    return Clip(
        reel.frames(),
        rate,
        audio if audio is not None and audio.samples.shape[1] else None,
        tuple(float(time) for time in times),
        source,
        reel.fit,
        reel.originals(),
        tuple(warnings),
        count=None if choice.length.any else count,
        stock=Stock(film, choice),
    )


def timed(film: Film, on_frame: OnFrame | None = None) -> Iterator[Timed]:
    """The frames of a film as `Choice.of` takes them. on_frame: called for every one that is made
    with how many are."""
    usual = 1 / film.frame_rate
    for count, shot in enumerate(film.shots(), 1):
        if on_frame is not None:
            on_frame(count)
        yield Timed(shot.pixels, shot.time, usual)
