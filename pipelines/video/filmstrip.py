"""A clip as small pictures in a folder, which a browser steps through."""

from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from ..common.errors import EvenframeError
from ..common.memory import free_memory
from ..common.pictures import to_image
from ..common.progress import OnPass
from .budget import Budget
from .decode import FALLBACK_RATE, reading
from .fit import apply, as_floats, resize
from .sizes import Fit, Fitting, Size
from .timing import Choice, kept_rate

SIDE = 1024
"""Of a picture's longer side at most, in pixels."""
FIRST = Choice(1)
"""Of a video, a single frame."""
MOST = 500
"""Pictures of a strip: of longer clips those at the beginning."""
MOST_DECODED = 20_000
"""Frames of a video that are decoded to show some of them."""
QUALITY = 90


@dataclass(frozen=True)
class Filmstrip:
    """Pictures `00000.jpg` and so on, one for each frame.

    frames: how many. width, height: of the clip's frames in pixels, whose proportions the pictures
    have. frame_rate: at which they play.
    """

    frames: int
    width: int
    height: int
    frame_rate: float

    def told(self) -> dict[str, int | float]:
        """For JSON."""
        return asdict(self)


def strip_of_frames(frames: Tensor, folder: Path, frame_rate: float, on_frame: OnPass) -> Filmstrip:
    """The strip of frames (f, h, w, 3) in 0..1. on_frame: called before each."""
    kept = frames[:MOST]
    for index, frame in enumerate(kept):
        on_frame()
        _write(frame, folder, index)
    return Filmstrip(len(kept), frames.shape[2], frames.shape[1], frame_rate)


def strip_of_file(path: Path, choice: Choice, fitting: Fitting, folder: Path) -> Filmstrip:
    """The strip of the frames that a loader would take of a video, made as they are decoded.

    Raises EvenframeError as `load` does.
    """
    how: Fit | None = None
    times: list[Fraction] = []
    with reading(path, choice, _require_near) as source:
        for pixels, time in source.frames:
            if len(times) == MOST:
                break
            if how is None:
                how = fitting.plan((pixels.shape[1], pixels.shape[0]))
                Budget.of(f"'{path.name}'", free_memory).require(how, 1, pixels.itemsize)
            fitted = apply(torch.from_numpy(pixels)[None], how)
            _write(as_floats(fitted)[0], folder, len(times))
            times.append(time)
    if how is None:
        raise choice.nothing_left(path.name)
    count = choice.length.count(len(times))
    rate = kept_rate(times, choice, source.claims, FALLBACK_RATE, lambda _: None)
    last = (folder / _name(count.chosen - 1)).read_bytes()
    for index in range(count.chosen, count.kept):
        (folder / _name(index)).write_bytes(last)
    for index in range(count.kept, count.chosen):
        (folder / _name(index)).unlink()
    return Filmstrip(count.kept, *how.size, float(rate))


def _require_near(decoded: int) -> None:
    """Nobody waits for a look at frames that lie far into a video."""
    if decoded > MOST_DECODED:
        raise EvenframeError(
            f"The clip ends after frame {MOST_DECODED} of the video, too far to look at it before "
            "the run: run this node once to see it."
        )


def size_of_file(path: Path) -> Size:
    """(width, height) of a video's frames, as a viewer sees them. Raises EvenframeError as `load`
    does."""
    with reading(path, FIRST) as source:
        for pixels, _ in source.frames:
            return pixels.shape[1], pixels.shape[0]
    raise FIRST.nothing_left(path.name)


def small(size: Size) -> Size:
    """The size of the pictures of frames of (width, height)."""
    scale = min(1.0, SIDE / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _write(frame: Tensor, folder: Path, index: int) -> None:
    """A frame (h, w, 3). Its colours are not thinned out: what is equal in two clips stays so."""
    (picture,) = resize(frame[None], small((frame.shape[1], frame.shape[0])))
    to_image(picture).save(folder / _name(index), quality=QUALITY, subsampling=0)


def _name(index: int) -> str:
    return f"{index:05}.jpg"
