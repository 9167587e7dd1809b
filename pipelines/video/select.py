"""Some frames of a clip, and what the clip was made of."""

from collections.abc import Sequence
from dataclasses import replace

from .clip import Clip
from .film import Film, unrounded
from .footage import Stock
from .source import Timed
from .timing import Choice


def select(clip: Clip, choice: Choice) -> Clip:
    """Some frames of a clip, chosen as `load` chooses them, with the sound that belongs to them.

    What the clip was made of stays known, with the frames that are left out: its file or film, or
    its images. Only where frames of a file or film are brought to another rate it is forgotten, and
    the fit with it.
    """
    rate, own = choice.rate or clip.frame_rate, 1 / clip.frame_rate
    total = clip.own_frames  # what was repeated is no frame of the source
    chosen = list(choice.of(Timed(index, index * own, own) for index in range(total)))
    if not chosen:
        raise choice.nothing_left(clip.source, f"{total} frames")
    count, numbers = choice.length.count(len(chosen)), [timed.frame for timed in chosen]
    indices = numbers[: count.kept] + numbers[-1:] * count.repeated
    source = clip.original
    if source is None and count.kept != count.chosen:
        source = clip.frames  # of images, whose trimmed ones come back
    played = (len(indices) - count.repeated) * choice.stride / rate
    times = tuple(clip.timestamps[index] for index in indices) if clip.timestamps else ()
    frames = clip.frames if indices == list(range(len(clip))) else clip.frames[indices]
    return replace(
        _chosen(clip, choice, numbers),
        frames=frames,
        frame_rate=rate / choice.stride,
        audio=clip.audio and clip.audio.part(chosen[0].time, played),
        timestamps=times,
        original=None if source is None else source[numbers],
        window=clip.window and clip.window.of_frames(indices),
        count=None if choice.length.any else count,
    )


def _chosen(clip: Clip, choice: Choice, numbers: Sequence[int]) -> Clip:
    """The clip with what its chosen frames were made of. numbers: those of the frames."""
    footage, stock = clip.footage, clip.stock
    if footage is None and stock is None:
        if list(numbers) == list(range(clip.own_frames)):
            return clip
        return replace(clip, stock=Stock(film_of_source(clip), choice))
    there = replace(choice, max_frames=len(numbers))  # the clip may end before its source
    if footage is not None and (then := footage.choice.then(there)):
        return replace(clip, footage=replace(footage, choice=then))
    if stock is not None and (then := stock.choice.then(there)):
        return replace(clip, stock=replace(stock, choice=then))
    if clip.original is None:  # nothing is there that the fit could be undone into
        clip = replace(clip, fit=None, window=None)
    return replace(clip, footage=None, stock=None)


def film_of_source(clip: Clip) -> Film:
    """The images that a clip was made of as a film, whose pixels are floats, or as decoded."""
    frames = clip.frames if clip.original is None else clip.original
    return unrounded(frames, clip.frame_rate, clip.audio)
