"""Sizes that models take: what is asked for, and how frames of one size become another."""

import math
from dataclasses import dataclass
from typing import Any

from ..common.errors import EvenframeError
from ..common.settings import check, setting

MAX_SIDE = 16384
UNSEEN = 5e-4
"""Proportions that change by less are called unchanged."""

SHUNNED = 1.5
"""Changing proportions by one per cent is as bad as leaving out so many per cent of the pixels."""

Size = tuple[int, int]
"""Width, height."""


@dataclass(frozen=True)
class Fit:
    """How frames of one size become frames of another. Sizes are (width, height) in pixels.

    source: before. scaled: after resizing. size: after cropping or padding.
    left, top: where the crop begins in the scaled frame (crop), or the scaled frame in the result
    (pad).
    """

    mode: str
    source: Size
    scaled: Size
    size: Size
    left: int = 0
    top: int = 0

    @property
    def untouched(self) -> bool:
        """Whether the frames already had the size."""
        return self.source == self.scaled == self.size

    @property
    def cuts(self) -> bool:
        """Whether some of the source is cropped away, and not edited."""
        return self.box() != (0, 0, *self.source)

    def box(self) -> tuple[int, int, int, int]:
        """The part of a source frame that was kept: left, top, right, bottom; at least a pixel."""
        if self.mode != "crop":
            return 0, 0, *self.source
        left, right = self._kept(0, self.left)
        top, bottom = self._kept(1, self.top)
        return left, top, right, bottom

    def _kept(self, axis: int, offset: int) -> tuple[int, int]:
        """Start and end of the kept part along one axis, in pixels of the source."""
        ratio = self.source[axis] / self.scaled[axis]
        start = min(round(offset * ratio), self.source[axis] - 1)
        return start, max(start + 1, round((offset + self.size[axis]) * ratio))

    def unedited(self) -> str:
        """What of the source is cropped away: "rows 0-59 and 1020-1079"; "" for nothing."""
        left, top, right, bottom = self.box()
        wide, high = self.source
        parts = []
        for what, spans in (
            ("rows", ((0, top), (bottom, high))),
            ("columns", ((0, left), (right, wide))),
        ):
            named = [_span(start, stop) for start, stop in spans if stop > start]
            parts += [f"{what} {' and '.join(named)}"] if named else []
        return ", ".join(parts)

    def __str__(self) -> str:
        source, scaled, size = (f"{w}x{h}" for w, h in (self.source, self.scaled, self.size))
        if self.untouched:
            return f"{size}: already fits, untouched"
        resized = "" if self.source == self.scaled else f"resized to {scaled}, "
        if self.mode == "stretch" or self.scaled == self.size:
            return f"{source} -> {size}: resized{self._squeezed()}"
        columns, rows = (abs(self.scaled[i] - self.size[i]) for i in (0, 1))
        change = f"{source} -> {size}: {resized}{columns} columns and {rows} rows"
        if self.mode == "pad":
            return f"{change} of border added"
        kept = f"; {self.unedited()} of the source will not be edited" if self.cuts else ""
        return f"{change} cropped{kept}"

    def _squeezed(self) -> str:
        """By how much the proportions change, where it can be seen."""
        (wide, high), (width, height) = self.source, self.scaled
        change = width * high / (height * wide)
        change = max(change, 1 / change) - 1
        return f", proportions changed by {change:.1%}" if change >= UNSEEN else ""


def _span(start: int, stop: int) -> str:
    return f"{start}-{stop - 1}" if stop - start > 1 else f"{start}"


def _side(name: str) -> Any:
    effect = f"An exact {name}, a multiple of `multiple`; 0 follows from the video."
    return setting(0, effect, whole=(0, MAX_SIDE))


@dataclass(frozen=True)
class Fitting:
    """The size that frames are to have, whatever they come in. Raises EvenframeError out of range.

    width, height: one that is 0 follows from the other, too. pixels: of a frame, at most, where
        neither is given: see `best_size`. Smaller frames are made larger. 0 keeps the source's.
    """

    mode: str = setting(
        "stretch",
        "How sides become multiples of `multiple`: stretch edits the whole frame and changes its "
        "proportions a little, pad adds a border, crop leaves edges unedited. The saver undoes it.",
        choices=("stretch", "crop", "pad"),
        told="fit",
    )
    multiple: int = setting(
        16,
        "Both sides become multiples of it, in pixels. Less comes nearer to the video's "
        "proportions; Stable Diffusion takes 8 and more. 64 gives the sizes it was trained on.",
        whole=(1, MAX_SIDE),
    )
    width: int = _side("width")
    height: int = _side("height")
    max_side: int = setting(
        0,
        "Make larger frames smaller, so that their longer side is at most this; 0 sets no limit.",
        whole=(0, MAX_SIDE),
    )
    pixels: int = setting(0, whole=(0, MAX_SIDE**2))

    def __post_init__(self) -> None:
        check(self)
        multiple = self.multiple
        for name, value in (("width", self.width), ("height", self.height)):
            if value and (not multiple <= value <= MAX_SIDE or value % multiple):
                last = MAX_SIDE // multiple * multiple
                near = min(max(multiple, round(value / multiple) * multiple), last)
                raise EvenframeError(
                    f"{name} is {value}: give a multiple of {multiple} up to {last}, "
                    f"for example {near}, or 0 to keep the clip's."
                )
        for name, value, least in (
            ("max_side", self.max_side, multiple),
            ("pixels", self.pixels, multiple**2),
        ):
            if 0 < value < least:
                raise EvenframeError(f"{name} is {value}: give {least} or more, or 0 for no limit.")

    def plan(self, source: Size) -> Fit:
        """How frames of a size are made to fit, without touching any."""
        wide, high = source
        if self.width or self.height:  # one left open keeps the proportions as the multiple allows
            width = self.width or self._nearest(self.height * wide / high)
            height = self.height or self._nearest(self.width * high / wide)
            return self._placed(source, (width, height))
        if self.pixels:
            return self._placed(source, best_size(wide / high, self.pixels, self.multiple))
        longest = self.max_side // self.multiple * self.multiple
        scale = min(1.0, longest / max(source)) if self.max_side else 1.0
        return self._placed(source, (self._side(wide * scale), self._side(high * scale)), scale)

    def _nearest(self, pixels: float) -> int:
        most = MAX_SIDE // self.multiple
        return min(max(1, round(pixels / self.multiple)), most) * self.multiple

    def _side(self, pixels: float) -> int:
        """The multiple that changes a side least: below for crop, above for pad."""
        if self.mode == "stretch":
            return self._nearest(pixels)
        exact = round(pixels)
        steps = exact // self.multiple if self.mode == "crop" else -(-exact // self.multiple)
        return max(1, steps) * self.multiple

    def _placed(self, source: Size, target: Size, scale: float | None = None) -> Fit:
        """Scale first, then crop or pad around the middle."""
        if self.mode == "stretch":
            return Fit(self.mode, source, target, target)
        limit = max if self.mode == "crop" else min
        factor = limit(target[0] / source[0], target[1] / source[1], *([scale] if scale else []))
        wide, high = (max(1, limit(target[i], round(source[i] * factor))) for i in (0, 1))
        left, top = abs(wide - target[0]) // 2, abs(high - target[1]) // 2
        return Fit(self.mode, source, (wide, high), target, left, top)


def best_size(aspect: float, pixels: int, multiple: int) -> Size:
    """The size that suits an editor best: of at most so many pixels, with sides that are multiples.

    aspect: width / height wanted. A change of it is shunned more than pixels left out, so that
    16:9 at the area of 832x480 is 832x480, and at that of 768x512, by multiples of 32, 800x448.
    """
    best, least = (multiple, multiple), math.inf
    for rows in range(1, min(MAX_SIDE, pixels // multiple) // multiple + 1):
        high = rows * multiple
        most = min(MAX_SIDE, pixels // high) // multiple
        near = max(1, math.floor(high * aspect / multiple))
        for columns in {min(near, most), min(near + 1, most)}:
            wide = columns * multiple
            squeezed = abs(math.log(wide / high / aspect))
            cost = SHUNNED * squeezed + math.log(pixels / (wide * high))
            if cost < least:
                best, least = (wide, high), cost
    return best


USUAL = Fitting()
"""The whole frame, at the size that it has."""
