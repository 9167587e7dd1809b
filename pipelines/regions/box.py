"""A box in a frame: its checks, and the cells of a grid that it covers."""

import math
import reprlib
from collections.abc import Iterable, Sequence
from numbers import Real

from torch import Tensor

from ..common.errors import EvenframeError
from ..common.grids import Box, cell_at


def to_grid(
    box: Sequence[float] | Tensor, frame_size: tuple[int, int], grid_size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """A box of pixels as (left, top, right, bottom) cells of a grid, the last two exclusive.

    box: left, top, right, bottom. frame_size, grid_size: (height, width), (rows, columns).
    Edges are clamped to the frame and rounded half to even; a box that is smaller than a cell gives
    the cell that holds its centre. The last cells may reach over the frame's edge, see grids.py.
    Raises EvenframeError as `require_box`, and for an empty grid.
    """
    (height, width), (rows, columns) = frame_size, grid_size
    if rows < 1 or columns < 1:
        raise EvenframeError(f"The grid has {rows} rows and {columns} columns: give 1 or more.")
    x1, y1, x2, y2 = require_box(box, frame_size)
    left, right = _span(x1, x2, width, columns)
    top, bottom = _span(y1, y2, height, rows)
    return left, top, right, bottom


def _span(low: float, high: float, length: int, count: int) -> tuple[int, int]:
    """The cells from one edge to another along an axis of `length` pixels and `count` cells."""
    low, high = (cell_at(min(max(edge, 0), length), length, count) for edge in (low, high))
    start, stop = round(low), round(high)
    if start < stop:
        return start, stop
    middle = min(math.floor((low + high) / 2), count - 1)
    return middle, middle + 1


def require_box(
    box: Sequence[float] | Tensor, frame_size: tuple[int, int] | None, owner: str = ""
) -> Box:
    """A box as four numbers.

    frame_size: (height, width) in pixels, as the box is; None for one in fractions of the frame.
    owner: what it belongs to, for the message. Raises EvenframeError for one that is something
    else, reversed, outside the frame or not finite.
    """
    height, width = frame_size or (1, 1)
    of = f" of {owner}" if owner else ""
    left, top, right, bottom = edges = _four_numbers(box, of)
    told = "The box [" + ", ".join(f"{edge:g}" for edge in edges) + f"]{of}"
    if not all(math.isfinite(edge) for edge in edges):
        raise EvenframeError(f"{told} is not finite: give four numbers.")
    if left >= right or top >= bottom:
        raise EvenframeError(
            f"{told} is reversed or empty: give left, top, right, bottom, the smaller one first."
        )
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        frame = f" of {width}x{height} pixels" if frame_size else ", 0 to 1"
        raise EvenframeError(f"{told} lies outside the frame{frame}: move it inside.")
    return edges


def _four_numbers(box: object, of: str) -> Box:
    """of: as in "The box of it", for the message."""
    values = box.tolist() if isinstance(box, Tensor) else box
    numbers = tuple(values) if isinstance(values, Iterable) else ()
    if len(numbers) != 4 or not all(isinstance(number, Real) for number in numbers):
        raise EvenframeError(
            f"The box{of} is {reprlib.repr(values)}: give four numbers, left, top, right, bottom."
        )
    left, top, right, bottom = (float(number) for number in numbers)
    return left, top, right, bottom
