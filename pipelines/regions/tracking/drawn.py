"""What was drawn on one frame of a clip, and on others to correct it, as text.

    {"version": 1, "frame": 0, "box": [0.1, 0.6, 0.4, 0.95]}
    {"version": 1, "unit": "pixel", "frame": 8, "points": [[200, 310]], "outside": [[260, 400]]}
    {"version": 1, "frame": 0, "box": [0.1, 0.6, 0.4, 0.95], "corrections": [
        {"frame": 12, "box": [0.3, 0.6, 0.5, 0.9]}, {"frame": 20, "box": [0.5, 0.5, 0.7, 0.9]}]}

unit: as of `regions/text.py`, for the whole text. box: left, top, right, bottom. points lie on the
object, those of "outside" do not. A box, points, or both; beside masks, nothing but the frames.
corrections: the same object on other frames, each once, in any order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ...common.checks import require_whole
from ...common.errors import EvenframeError
from ...common.grids import Box
from ...common.json_text import read_json, read_list, read_object
from ..box import require_box
from ..canvas import Canvas

EXAMPLE = '{"version": 1, "frame": 0, "box": [0.1, 0.6, 0.4, 0.95]}'
CORRECTION = '{"frame": 12, "box": [0.3, 0.6, 0.5, 0.9]}'
MAX_CORRECTIONS = 1000
DRAWN = {"box", "points", "outside"}
PAINTED = 0.5
"""From this value on, a pixel of a painted mask belongs to the object."""

Point = tuple[float, float]
"""x, y in pixels."""


@dataclass(frozen=True)
class Drawing:
    """An object on one frame, in pixels.

    points: on the object. outside: points that are not. corrections: the object on other frames,
    which have no corrections of their own.
    """

    frame: int
    box: Box | None = None
    points: tuple[Point, ...] = ()
    outside: tuple[Point, ...] = ()
    corrections: tuple["Drawing", ...] = ()

    def every(self) -> "tuple[Drawing, ...]":
        """This one and its corrections, as they were written."""
        return (self, *self.corrections)

    def require(self, frames: int, frame_size: tuple[int, int], name: str, where: str = "") -> None:
        """Raise EvenframeError unless its frame and box are in the clip.

        name: of the region. where: as in "corrections[0]", for messages.
        """
        require_whole(f"{where}.frame" if where else "frame", self.frame, 0, frames - 1)
        if self.box is not None:
            require_box(self.box, frame_size, where or f"region '{name}'")

    def coordinates(self) -> list[list[float]]:
        """All points, those on the object first."""
        return [list(point) for point in (*self.points, *self.outside)]

    def labels(self) -> list[int]:
        """For each of the points: 1 on the object, 0 outside."""
        return [1] * len(self.points) + [0] * len(self.outside)


def parse_drawing(
    text: str, frames: int, frame_size: tuple[int, int], masked: bool = False
) -> Drawing:
    """Read a drawing for a clip of so many frames of (height, width) pixels.

    masked: masks say what is meant, so neither boxes nor points are asked for.
    Raises EvenframeError for whatever is wrong with it, naming the place.
    """
    data = read_object(
        read_json(text, "box or points", EXAMPLE),
        "The text",
        {"version"},
        {"unit", "frame", "corrections"} | DRAWN,
        EXAMPLE,
    )
    canvas = Canvas.of(data, frames, frame_size)
    first = _drawn(data, "", canvas, masked)
    if "corrections" not in data:
        return first
    corrections = []
    for index, entry in enumerate(
        read_list(data["corrections"], "corrections", "corrections", 1, MAX_CORRECTIONS)
    ):
        where = f"corrections[{index}]"
        read_object(entry, where, {"frame"}, DRAWN, CORRECTION)
        corrections.append(_drawn(entry, f"{where}.", canvas, masked))
    drawing = replace(first, corrections=tuple(corrections))
    require_apart([each.frame for each in drawing.every()])
    return drawing


def require_apart(frames: Sequence[int]) -> None:
    """Raise EvenframeError unless a drawing and its corrections are on different frames."""
    for index, frame in enumerate(frames):
        if (first := frames.index(frame)) < index:
            before = f"corrections[{first - 1}]" if first else "the prompt itself"
            raise EvenframeError(
                f"corrections[{index - 1}].frame is {frame}, as of {before}: give each frame once."
            )


def painted_masks(
    masks: Tensor, drawing: Drawing, frames: int, frame_size: tuple[int, int]
) -> Tensor:
    """(drawings, h, w) of 0 and 1: what was painted on the frames of a drawing, in its order.

    masks: in 0..1, (h, w) or (n, h, w): of these frames alone, in the drawing's order, or of
    all frames of a clip of so many. frame_size: (h, w). Raises EvenframeError for masks of another
    number or size, for values out of range, and where nothing is painted on one of them.
    """
    masks = masks[None] if masks.ndim == 2 else masks
    height, width = frame_size
    named = [each.frame for each in drawing.every()]
    if tuple(masks.shape) not in ((len(named), height, width), (frames, height, width)):
        alone = f"frame {named[0]}" if len(named) == 1 else f"the {len(named)} frames of the text"
        raise EvenframeError(
            f"The mask has the shape {tuple(masks.shape)}, but the clip has {frames} frames of "
            f"{width}x{height} pixels: give a mask of {alone}, ({len(named)}, {height}, {width}), "
            f"or one for each frame, ({frames}, {height}, {width})."
        )
    places = named if len(masks) == frames else range(len(named))
    return torch.stack(
        [_painted(masks[place], frame) for place, frame in zip(places, named, strict=True)]
    )


def _painted(mask: Tensor, frame: int) -> Tensor:
    mask = mask.detach().float().cpu()
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


def _drawn(data: Mapping[str, Any], where: str, canvas: Canvas, masked: bool) -> Drawing:
    """What was drawn on one frame. where: as in "corrections[0].", for messages."""
    frame, box = canvas.frame(data.get("frame", 0), f"{where}frame"), None
    if "box" in data:
        left, top, right, bottom = canvas.shape("box", data["box"], f"{where}box")
        box = (left, top, right, bottom)
    points, outside = (
        canvas.points(data[name], f"{where}{name}") if name in data else ()
        for name in ("points", "outside")
    )
    if box is None and not points and not masked:
        owner, example = ("The text", EXAMPLE) if not where else (where[:-1], CORRECTION)
        raise EvenframeError(
            f"{owner} has neither a box nor points: write {example}, or give a mask."
        )
    return Drawing(frame, box, points, outside)
