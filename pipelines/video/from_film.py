"""A clip of frames that are made as they are asked for."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from ..common.memory import FreeMemory, free_memory
from ..common.progress import OnFrame
from .audio import Audio
from .budget import Budget
from .clip import Clip
from .film import Film
from .footage import Stock
from .reel import Reel
from .sizes import Fitting
from .source import Timed, announced
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
    rate, warnings = film.frame_rate, []
    reel = Reel(fitting, Budget.of(f"'{source}'", free), choice.most(film.expected, rate))
    reel.require(film.size, 1)
    for shot in choice.of(announced(timed(film), on_frame)):
        reel.add(shot.frame, shot.time)
    if not reel.times:
        raise choice.nothing_left(source)

    def sound(start: Fraction, seconds: Fraction) -> Audio | None:
        audio = film.sound()
        return audio and audio.part(start, seconds)

    played = kept_rate(reel.times, choice, [rate], rate, warnings.append)
    clip = reel.clip(played, choice.length, sound)
    return replace(clip, source=source, warnings=tuple(warnings), stock=Stock(film, choice))


def timed(film: Film) -> Iterator[Timed]:
    """The frames of a film as `Choice.of` takes them."""
    return (Timed(*shot, 1 / film.frame_rate) for shot in film.shots())
