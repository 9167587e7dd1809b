"""Where things stand on a frame: inside it, apart, and in a relation. Lengths are in pixels."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from .vocabulary import RELATIONS, SIZE


@dataclass(frozen=True)
class Box:
    """The centre of a thing and its half extents."""

    x: float
    y: float
    half_width: float
    half_height: float

    def is_inside(self, margin: float) -> bool:
        """Whether it is in the frame, this far from its edges."""
        x_room = min(self.x, SIZE - self.x) - self.half_width
        y_room = min(self.y, SIZE - self.y) - self.half_height
        return min(x_room, y_room) >= margin

    def gap(self, other: Box) -> float:
        """Room between both, along the axis where there is more."""
        across = abs(self.x - other.x) - self.half_width - other.half_width
        return max(across, abs(self.y - other.y) - self.half_height - other.half_height)

    def is_to(self, relation: str, other: Box) -> bool:
        """Whether it stands in one of `RELATIONS` to another, clearly."""
        dx, dy = RELATIONS[relation]
        along = (self.x - other.x) * dx + (self.y - other.y) * dy
        across = abs((self.x - other.x) * dy) + abs((self.y - other.y) * dx)
        return along >= 1.6 * across

    @property
    def window(self) -> tuple[int, int, int, int]:
        """(x0, y0, x1, y1): the pixels that drawing it may touch."""
        reach_x, reach_y = self.half_width + 2, self.half_height + 2
        return (
            max(0, int(self.x - reach_x)),
            max(0, int(self.y - reach_y)),
            min(SIZE, int(self.x + reach_x) + 1),
            min(SIZE, int(self.y + reach_y) + 1),
        )


def all_apart(boxes: list[Box], gap: float) -> bool:
    """Whether any two leave this much room between them."""
    return all(a.gap(b) >= gap for a, b in combinations(boxes, 2))
