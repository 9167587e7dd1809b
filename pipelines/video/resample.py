"""Any rectangle of a frame at any size: exact float boxes, antialiased, separable.

Pixel edges lie at whole numbers and centres at .5, on both sides: an unchanged frame that is cut
out and put back lies where it was, whatever the sizes between.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..common.errors import EvenframeError
from ..common.grids import Box
from .fit import as_floats
from .sizes import MAX_SIDE, Size

BLOCK = 16
"""Output pixels that are made by one product: more multiply more zeros, fewer start more often."""
EXACT = 9
"""Decimals of a pixel to which places are kept, so that a whole shift is one, and copies bits."""
UNFELT = 1e-12
"""Weights below are the rounding of 0."""


def _lanczos(x: Tensor) -> Tensor:
    return torch.sinc(x) * torch.sinc(x / 3) * (x.abs() < 3)


def _triangle(x: Tensor) -> Tensor:
    return (1 - x.abs()).clamp(min=0)


KERNELS: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "lanczos": (_lanczos, 3),
    "triangle": (_triangle, 1),
}
"""A function of pixels, and how far it reaches. 'lanczos' (of 3 lobes) for pictures; 'triangle'
(bilinear), which never overshoots, for masks."""


class Resampler:
    """One rectangle of frames of one size, at another size; keep it for all frames of a geometry.

    source: (width, height) of the frames. box: left, top, right, bottom in their pixels, floats; it
    may reach beyond the frame, whose edge is then repeated. size: (width, height) of the results,
    which the box covers wholly. kernel: see `KERNELS`; it widens where pixels are made fewer, so
    that nothing aliases. channels: of each pixel.

    Raises EvenframeError for a box that is empty or not finite and for sizes out of range.
    """

    def __init__(
        self, source: Size, box: Box, size: Size, kernel: str = "lanczos", channels: int = 3
    ) -> None:
        _require(source, box, size)
        self.source, self.size = source, size
        self._channels = channels
        self._columns = _Axis.of(source[0], box[0], box[2], size[0], kernel, channels)
        self._rows = _Axis.of(source[1], box[1], box[3], size[1], kernel)
        self._rows_first = box[3] - box[1] > size[1]  # what follows has less to do

    def __call__(self, frame: Tensor) -> Tensor:
        """A frame (h, w, c), floats in 0..1 or as decoded (uint8, uint16), as (h', w', c) float32
        in 0..1."""
        return self.part(frame, 0, self.size[1], 0, self.size[0])

    def part(self, frame: Tensor, top: int, bottom: int, left: int, right: int) -> Tensor:
        """Only these rows and columns of the result, the last ones exclusive: equal to it but for
        the rounding of sums, at the cost of what is asked for."""
        wide, high = self.size
        if not (0 <= top < bottom <= high and 0 <= left < right <= wide):
            raise EvenframeError(
                f"Rows {top} to {bottom} and columns {left} to {right} were asked of a frame of "
                f"{wide}x{high}: give a part of it that is not empty."
            )
        if frame.shape != (self.source[1], self.source[0], self._channels):
            raise EvenframeError(
                f"The frame has the shape {tuple(frame.shape)}: give "
                f"({self.source[1]}, {self.source[0]}, {self._channels})."
            )
        rows, columns = (top, bottom), (self._channels * left, self._channels * right)
        above, below = self._rows.reach(*rows)
        before, after = self._columns.reach(*columns)
        flat = as_floats(frame[above:below].flatten(1)[:, before:after]).float()  # h (w c)
        if self._rows_first:
            flat = self._columns.across(self._rows.down(flat, rows, above), columns, before)
        else:
            flat = self._rows.down(self._columns.across(flat, columns, before), rows, above)
        return flat.clamp_(0, 1).unflatten(1, (right - left, self._channels))


def resample(frame: Tensor, box: Box, size: Size, kernel: str = "lanczos") -> Tensor:
    """A rectangle of one frame (h, w, c) at a size, (h', w', c) float32 in 0..1; see `Resampler`,
    which is quicker where several frames have one geometry."""
    if frame.ndim != 3:
        raise EvenframeError(
            f"The frame has the shape {tuple(frame.shape)}: give (height, width, channels)."
        )
    high, wide, channels = frame.shape
    return Resampler((wide, high), box, size, kernel, channels)(frame)


def way_back(box: Box, source: Size, size: Size) -> Box:
    """The way back: the rectangle, in pixels of a frame of `size` that covers `box` of a frame of
    `source`, that the whole source covers. `Resampler(size, way_back(box, source, size), source)`
    puts each pixel where it was taken from."""
    across, down = size[0] / (box[2] - box[0]), size[1] / (box[3] - box[1])
    left, top = -box[0] * across, -box[1] * down
    return left, top, left + source[0] * across, top + source[1] * down


@dataclass(frozen=True, eq=False)
class _Block:
    """Output elements from `start`, each a weighted sum (b, n) of the input from `first` on."""

    start: int
    first: int
    weights: Tensor

    @property
    def stop(self) -> int:
        return self.start + len(self.weights)

    @property
    def last(self) -> int:
        return self.first + self.weights.shape[1]


@dataclass(frozen=True, eq=False)
class _Axis:
    """One axis of a frame, resampled block by block."""

    blocks: tuple[_Block, ...]
    length: int
    """Of a block, but for the last one."""

    @classmethod
    def of(
        cls, source: int, low: float, high: float, size: int, kernel: str, channels: int = 1
    ) -> "_Axis":
        """The weights of `size` elements that cover low..high of `source` elements, each of them so
        many numbers side by side."""
        first, weights = _taps(low, high, size, kernel)
        indices = (first[:, None] + torch.arange(weights.shape[1])).clamp(0, source - 1)
        blocks, each = [], torch.eye(channels)
        for start in range(0, size, BLOCK):
            taken, given = indices[start : start + BLOCK], weights[start : start + BLOCK]
            begin, end = int(taken[0, 0]), int(taken[-1, -1]) + 1
            # What lies beyond the frame is its edge: several weights fall on one element.
            dense = torch.zeros(len(taken), end - begin, dtype=torch.float64)
            dense.scatter_add_(1, taken - begin, given)
            dense = torch.kron(dense.float(), each)
            blocks.append(_Block(channels * start, channels * begin, dense))
        return cls(tuple(blocks), channels * BLOCK)

    def of_part(self, start: int, stop: int) -> tuple[_Block, ...]:
        """Those that make some output elements."""
        return self.blocks[start // self.length : (stop - 1) // self.length + 1]

    def reach(self, start: int, stop: int) -> tuple[int, int]:
        """The first input element that some output elements need, and the one after the last."""
        blocks = self.of_part(start, stop)
        return min(block.first for block in blocks), max(block.last for block in blocks)

    def down(self, frame: Tensor, wanted: tuple[int, int], above: int) -> Tensor:
        """(n, k) -> (rows wanted, k). above: the first input row that `frame` has."""
        out = torch.empty(wanted[1] - wanted[0], frame.shape[1])
        for weights, begin, end, low, high in self._pieces(wanted, above):
            torch.mm(weights, frame[low:high], out=out[begin:end])
        return out

    def across(self, frame: Tensor, wanted: tuple[int, int], before: int) -> Tensor:
        """(k, n) -> (k, columns wanted). before: the first input column that `frame` has."""
        out = torch.empty(frame.shape[0], wanted[1] - wanted[0])
        for weights, begin, end, low, high in self._pieces(wanted, before):
            torch.mm(frame[:, low:high], weights.T, out=out[:, begin:end])
        return out

    def _pieces(
        self, wanted: tuple[int, int], offset: int
    ) -> Iterator[tuple[Tensor, int, int, int, int]]:
        """Weights, the part of the output that they make, and the part of the input they take."""
        start, stop = wanted
        for block in self.of_part(start, stop):
            begin, end = max(start, block.start), min(stop, block.stop)
            weights = block.weights[begin - block.start : end - block.start]
            low, high = block.first - offset, block.last - offset
            yield weights, begin - start, end - start, low, high


def _taps(low: float, high: float, size: int, kernel: str) -> tuple[Tensor, Tensor]:
    """The first element that each output element takes (size,), and the weights (size, taps)."""
    function, reach = KERNELS[kernel]
    step = (high - low) / size
    wide = max(1.0, step)
    places = torch.arange(size, dtype=torch.float64).add_(0.5).mul_(step).add_(low - 0.5)
    places = places.round(decimals=EXACT)
    first = (places - reach * wide).ceil().long()
    taps = torch.arange(math.ceil(2 * reach * wide) + 1)
    weights = function((first[:, None] + taps - places[:, None]) / wide)
    weights[weights.abs() < UNFELT] = 0
    return first, weights / weights.sum(1, keepdim=True)


def _require(source: Size, box: Box, size: Size) -> None:
    for what, (wide, high) in (("source", source), ("size", size)):
        if not (1 <= wide <= MAX_SIDE and 1 <= high <= MAX_SIDE):
            raise EvenframeError(f"The {what} is {wide}x{high}: give sides of 1 to {MAX_SIDE}.")
    left, top, right, bottom = box
    if not (all(map(math.isfinite, box)) and left < right and top < bottom):
        edges = ", ".join(f"{edge:g}" for edge in box)
        raise EvenframeError(
            f"The box [{edges}] is empty or not finite: give left, top, right, bottom, the smaller "
            "one first."
        )
