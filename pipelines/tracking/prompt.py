"""What was drawn on one frame of a clip, as text.

    {"version": 1, "frame": 0, "box": [0.1, 0.6, 0.4, 0.95]}
    {"version": 1, "unit": "pixel", "frame": 8, "points": [[200, 310]], "outside": [[260, 400]]}

unit: as of `region_text.py`. box: left, top, right, bottom. points lie on the object, those of
"outside" do not. A box, points, or both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import EvenframeError
from ..json_text import read_json, read_list, read_number, read_object, read_whole
from ..region import Box, to_grid
from ..region_text import MAX_POINTS, read_shape, read_units

EXAMPLE = '{"version": 1, "frame": 0, "box": [0.1, 0.6, 0.4, 0.95]}'

Point = tuple[float, float]
"""x, y in pixels."""


@dataclass(frozen=True)
class Prompt:
    """An object on one frame, in pixels.

    points: on the object. outside: points that are not.
    """

    frame: int
    box: Box | None = None
    points: tuple[Point, ...] = ()
    outside: tuple[Point, ...] = ()

    def coordinates(self) -> list[list[float]]:
        """All points, those on the object first."""
        return [list(point) for point in (*self.points, *self.outside)]

    def labels(self) -> list[int]:
        """For each of the points: 1 on the object, 0 outside."""
        return [1] * len(self.points) + [0] * len(self.outside)


def parse_prompt(text: str, frames: int, frame_size: tuple[int, int]) -> Prompt:
    """Read a prompt for a clip of so many frames of (height, width) pixels.

    Raises EvenframeError for whatever is wrong with it, naming the place.
    """
    data = read_object(
        read_json(text, "box or points", EXAMPLE),
        "the text",
        {"version"},
        {"unit", "frame", "box", "points", "outside"},
    )
    scale = read_units(data, frame_size)
    frame = read_whole(data.get("frame", 0), "frame")
    if frame >= frames:
        raise EvenframeError(
            f"frame is {frame}, beyond the clip: its frames are 0 to {frames - 1}."
        )
    box = None
    if "box" in data:
        left, top, right, bottom = read_shape("box", data["box"], "box", frame_size, scale)
        box = (left, top, right, bottom)
    points = _points(data, "points", frame_size, scale)
    if box is None and not points:
        raise EvenframeError(f"The text has neither a box nor points: write {EXAMPLE}.")
    return Prompt(frame, box, points, _points(data, "outside", frame_size, scale))


def box_mask(box: Box, frame_size: tuple[int, int]) -> Tensor:
    """(h, w): 1 in a box of pixels."""
    left, top, right, bottom = to_grid(box, frame_size, frame_size)
    mask = torch.zeros(frame_size)
    mask[top:bottom, left:right] = 1
    return mask


def _points(
    data: Mapping[str, Any], name: str, frame_size: tuple[int, int], scale: tuple[int, int]
) -> tuple[Point, ...]:
    if name not in data:
        return ()
    height, width = frame_size
    points = []
    for index, entry in enumerate(read_list(data[name], name, 1, MAX_POINTS)):
        where = f"{name}[{index}]"
        x, y = (read_number(value, where) for value in read_list(entry, where, 2, 2))
        x, y = x * scale[0], y * scale[1]
        if not (0 <= x <= width and 0 <= y <= height):
            raise EvenframeError(
                f"{where} is ({x:g}, {y:g}), outside the frame of {width}x{height} pixels: "
                "move it inside."
            )
        points.append((x, y))
    return tuple(points)
