"""The frames that the numbers of a text lie on: how many, how large, and in which unit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..common.errors import EvenframeError
from ..common.json_text import read_list, read_numbers, read_whole, shown
from .box import require_box

VERSION = 1
FRACTION, PIXEL = UNITS = ("fraction", "pixel")
LARGEST_FRACTION = 2
"""Fractions may lie outside of the frame, but not so far as pixels that were taken for them."""
MAX_POINTS = 1000
SIDES, POINT = "left, top, right, bottom", "x, y"

Shape = list[float]
"""The numbers of a box or of a polygon's points, one after the other, in pixels."""


@dataclass(frozen=True)
class Canvas:
    """A clip of so many frames of (height, width) pixels. unit: what its places are given in.

    All that is read raises EvenframeError for what is wrong with it, naming the place `where`.
    """

    frames: int
    size: tuple[int, int]
    unit: str = FRACTION

    @classmethod
    def of(cls, text: Mapping[str, Any], frames: int, size: tuple[int, int]) -> "Canvas":
        """With the unit that a text has; texts of another version are refused."""
        if text["version"] != VERSION or isinstance(text["version"], bool):
            raise EvenframeError(
                f"version is {shown(text['version'])}: this Evenframe reads version {VERSION}, so "
                f'write "version": {VERSION}, or update it.'
            )
        unit = text.get("unit", FRACTION)
        if unit not in UNITS:
            raise EvenframeError(f"unit is {shown(unit)}: use {' or '.join(UNITS)}.")
        return cls(frames, size, unit)

    def frame(self, value: Any, where: str) -> int:
        """The number of a frame of the clip."""
        frame = read_whole(value, where)
        if frame >= self.frames:
            raise EvenframeError(
                f"{where} is {frame}, beyond the clip: its frames are 0 to {self.frames - 1}."
            )
        return frame

    def shape(self, kind: str, value: Any, where: str) -> Shape:
        """A "box" or a "polygon", some of it in the frame."""
        if kind == "box":
            values = read_numbers(value, where, SIDES)
        else:
            points = enumerate(read_list(value, where, "points", 3, MAX_POINTS))
            named = ((point, f"{where}[{at}]") for at, point in points)
            values = [v for point, at in named for v in read_numbers(point, at, POINT)]
        self._require_fractions(values, where)
        if self.unit == PIXEL and all(0 <= v <= 1 for v in values):
            raise EvenframeError(
                f"{where} is {shown(value)}, not more than a pixel: for fractions of the frame, "
                'write "unit": "fraction".'
            )
        if kind == "box":
            frame_size = self.size if self.unit == PIXEL else None
            require_box(values, frame_size, where.rpartition(".")[0])
        else:
            self._require_polygon(values, where)
        return self._pixels(values)

    def points(self, value: Any, where: str) -> tuple[tuple[float, float], ...]:
        """Points in the frame, x and y in pixels."""
        height, width = self.size
        points = []
        for index, entry in enumerate(read_list(value, where, "points", 1, MAX_POINTS)):
            at = f"{where}[{index}]"
            typed = read_numbers(entry, at, POINT)
            self._require_fractions(typed, at)
            x, y = self._pixels(typed)
            if not (0 <= x <= width and 0 <= y <= height):
                raise EvenframeError(
                    f"{at} is {shown(entry)}, outside the frame{self._extent}: move it inside."
                )
            points.append((x, y))
        return tuple(points)

    def _pixels(self, values: Sequence[float]) -> Shape:
        height, width = self._scale
        return [value * (height if index % 2 else width) for index, value in enumerate(values)]

    @property
    def _scale(self) -> tuple[int, int]:
        """How many pixels one unit is in y and x."""
        return self.size if self.unit == FRACTION else (1, 1)

    @property
    def _extent(self) -> str:
        height, width = self.size
        return f" of {width}x{height} pixels" if self.unit == PIXEL else ", 0 to 1"

    def _require_polygon(self, values: Sequence[float], where: str) -> None:
        """There must be something of a polygon to see, by the box around it."""
        xs, ys = values[::2], values[1::2]
        left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
        if left == right or top == bottom:
            raise EvenframeError(f"The points of {where} lie on one line: move one of them off it.")
        height, width = self.size if self.unit == PIXEL else (1, 1)
        if right <= 0 or bottom <= 0 or left >= width or top >= height:
            raise EvenframeError(
                f"{where} lies outside the frame{self._extent}, with x from {left:g} to {right:g} "
                f"and y from {top:g} to {bottom:g}: move it inside."
            )

    def _require_fractions(self, values: Sequence[float], where: str) -> None:
        """They must be no pixels, it seems."""
        largest = max(values, key=abs)
        if self.unit == FRACTION and abs(largest) > LARGEST_FRACTION:
            raise EvenframeError(
                f"{where} has {largest:g}, but the unit is the fraction of the frame, 0 to 1: for "
                'pixels, write "unit": "pixel".'
            )
