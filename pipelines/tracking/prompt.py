"""What was drawn on one frame of a clip, as text.

    {"version": 1, "frame": 0, "box": [0.1, 0.6, 0.4, 0.95]}
    {"version": 1, "unit": "pixel", "frame": 8, "points": [[200, 310]], "outside": [[260, 400]]}

unit: as of `region_text.py`. box: left, top, right, bottom. points lie on the object, those of
"outside" do not. A box, points, or both; beside a mask, nothing but the frame.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..errors import EvenframeError
from ..json_text import read_json, read_list, read_numbers, read_object, read_whole, shown
from ..region import Box
from ..region_text import MAX_POINTS, PIXELS, POINT, read_shape, read_units, require_fractions

EXAMPLE = '{"version": 1, "frame": 0, "box": [0.1, 0.6, 0.4, 0.95]}'
PAINTED = 0.5
"""From this value on, a pixel of a painted mask belongs to the object."""

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


def parse_prompt(
    text: str, frames: int, frame_size: tuple[int, int], masked: bool = False
) -> Prompt:
    """Read a prompt for a clip of so many frames of (height, width) pixels.

    masked: a mask says what is meant, so neither a box nor points are asked for.
    Raises EvenframeError for whatever is wrong with it, naming the place.
    """
    data = read_object(
        read_json(text, "box or points", EXAMPLE),
        "The text",
        {"version"},
        {"unit", "frame", "box", "points", "outside"},
        EXAMPLE,
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
    if box is None and not points and not masked:
        raise EvenframeError(
            f"The text has neither a box nor points: write {EXAMPLE}, or give a mask."
        )
    return Prompt(frame, box, points, _points(data, "outside", frame_size, scale))


def painted_mask(masks: Tensor, frame: int, frames: int, frame_size: tuple[int, int]) -> Tensor:
    """(h, w) of 0 and 1: what was painted on one frame of a clip of so many frames.

    masks: in 0..1, of that frame alone, (1, h, w) or (h, w), or of all frames, (f, h, w).
    frame_size: (h, w). Raises EvenframeError for masks of another number or size, for values out
    of range, and where the frame's has nothing painted.
    """
    masks = masks[None] if masks.ndim == 2 else masks
    height, width = frame_size
    if tuple(masks.shape) not in ((1, height, width), (frames, height, width)):
        raise EvenframeError(
            f"The mask has the shape {tuple(masks.shape)}, but the clip has {frames} frames of "
            f"{width}x{height} pixels: give a mask of frame {frame}, (1, {height}, {width}), or "
            f"one for each frame, ({frames}, {height}, {width})."
        )
    mask = masks[frame if len(masks) == frames else 0].detach().float().cpu()
    low, high = float(mask.min()), float(mask.max())
    if not (low >= 0 and high <= 1):  # nor where they are not numbers
        raise EvenframeError(
            f"The mask of frame {frame} has values from {low:g} to {high:g}: give 0 to 1."
        )
    if high < PAINTED:
        raise EvenframeError(
            f"The mask of frame {frame} is empty, its largest value is {high:g}: paint the object "
            f"with {PAINTED:g} to 1, or write in the text on which frame it is painted."
        )
    return (mask >= PAINTED).float()


def _points(
    data: Mapping[str, Any], name: str, frame_size: tuple[int, int], scale: tuple[int, int]
) -> tuple[Point, ...]:
    if name not in data:
        return ()
    height, width = frame_size
    points = []
    for index, entry in enumerate(read_list(data[name], name, "points", 1, MAX_POINTS)):
        where = f"{name}[{index}]"
        typed = read_numbers(entry, where, POINT)
        require_fractions(typed, where, scale)
        x, y = typed[0] * scale[0], typed[1] * scale[1]
        if not (0 <= x <= width and 0 <= y <= height):
            frame = f" of {width}x{height} pixels" if scale == PIXELS else ", 0 to 1"
            raise EvenframeError(
                f"{where} is {shown(entry)}, outside the frame{frame}: move it inside."
            )
        points.append((x, y))
    return tuple(points)
