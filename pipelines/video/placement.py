"""Where an edited frame lies in the frame of its source."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..common.grids import Box
from .sizes import Fit, Size

Area = tuple[int, int, int, int]
"""left, top, right, bottom in whole pixels, the last two exclusive."""


@dataclass(frozen=True)
class Placement:
    """The part of each source frame that the frames of a clip show.

    source: (width, height) of the source's frames. size: of the clip's.
    boxes: in the source's pixels, what a whole frame of the clip covers; one for each frame, or a
        single one for all. A border that was added lies beyond the source's frame.
    cropped: of a window, (width, height) of the frames that it was chosen on.
    """

    source: Size
    size: Size
    boxes: tuple[Box, ...]
    cropped: Size | None = None

    @classmethod
    def of(cls, fit: Fit) -> "Placement":
        """Of frames that were made to fit, to a fraction of a pixel."""
        (wide, high), (across, down) = fit.source, fit.scaled
        left, top = (fit.left, fit.top) if fit.mode == "crop" else (-fit.left, -fit.top)
        x, y = wide / across, high / down
        right, bottom = left + fit.size[0], top + fit.size[1]
        return cls(fit.source, fit.size, ((left * x, top * y, right * x, bottom * y),))

    @classmethod
    def whole(cls, source: Size, size: Size) -> "Placement":
        """Of frames that show all of their source."""
        return cls(source, size, ((0.0, 0.0, float(source[0]), float(source[1])),))

    def of_frames(self, indices: Sequence[int]) -> "Placement":
        """That of some frames, in their order."""
        if len(self.boxes) == 1:
            return self
        return replace(self, boxes=tuple(self.boxes[index] for index in indices))

    def within(self, other: "Placement") -> "Placement":
        """Where the same frames lie in the clip's frames of another placement in their source."""
        boxes = other.from_source(torch.tensor(self.boxes, dtype=torch.float64))
        return Placement(other.size, self.size, tuple(map(tuple, boxes.tolist())))

    def at(self, size: Size) -> "Placement":
        """That of the same frames at another size."""
        return replace(self, size=size)

    def box(self, index: int) -> Box:
        """That of frame number `index`."""
        return self.boxes[index if len(self.boxes) > 1 else 0]

    def scale(self, index: int = 0) -> float:
        """Pixels of the source for each of the clip's, across."""
        left, _, right, _ = self.box(index)
        return (right - left) / self.size[0]

    def to_source(self, boxes: Tensor) -> Tensor:
        """(f, 4) boxes in the pixels of the clip's frames, in those of the source."""
        corners, sides = self._corners_and_sides()
        return corners + boxes * sides / torch.tensor(self.size * 2)

    def from_source(self, boxes: Tensor) -> Tensor:
        """(f, 4) boxes in the source's pixels, in those of the clip's frames."""
        corners, sides = self._corners_and_sides()
        return (boxes - corners) / sides * torch.tensor(self.size * 2)

    def _corners_and_sides(self) -> tuple[Tensor, Tensor]:
        """Left, top and width, height, each twice: (f, 4), or (1, 4) where all are one."""
        boxes = torch.tensor(self.boxes, dtype=torch.float64)
        return boxes[:, :2].repeat(1, 2), (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)

    def visible(self, index: int, area: Area) -> Tensor:
        """(h, w) of 0 and 1: what of an area of the source's frame the clip's frame shows, pixels
        of which it shows the middle."""
        box, (left, top, right, bottom) = self.box(index), area
        x, y = torch.arange(left, right) + 0.5, torch.arange(top, bottom) + 0.5
        rows, columns = (y > box[1]) & (y < box[3]), (x > box[0]) & (x < box[2])
        return (rows[:, None] & columns).float()
