"""Regions from bounding boxes as ComfyUI's own nodes give them.

A box is {"x", "y", "width", "height"} in pixels, with "metadata": {"desc": what it shows}, or with
the "label" of a detector. Values are one box, a list of them, or a list of such lists: one for the
whole clip, or one for each frame with a single box in it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ..common.errors import EvenframeError
from ..common.grids import Box
from ..common.json_text import read_list, read_number, read_text, shown
from .region import Region, box_region
from .regions import Regions
from .text import MAX_REGIONS

EXAMPLE = '{"x": 10, "y": 20, "width": 100, "height": 80}'
SIDES = ("x", "y", "width", "height")
MAX_FRAMES = 100_000


def detected_regions(value: Any, frames: int, frame_size: tuple[int, int]) -> Regions:
    """The regions of bounding boxes on a clip of so many frames of (height, width) pixels.

    What a box shows is the name of its region and its words. Raises EvenframeError for what are no
    boxes, naming the place, and for frames with several: which of them belong together is unknown.
    """
    entries = [value] if isinstance(value, Mapping) else value
    entries = read_list(entries, "boxes", "boxes", 1, MAX_FRAMES)
    if not isinstance(entries[0], list):
        still = [[entry] for entry in _at_most(entries)]
    elif len(entries) == 1:
        still = [[entry] for entry in _at_most(entries[0])]
    else:
        still = [_one_a_frame(entries, frames)]
    items = (_region(boxes, at, frames, frame_size) for at, boxes in enumerate(still))
    return Regions(tuple(items), frames, frame_size)


def _at_most(boxes: Any) -> list[Any]:
    return read_list(boxes, "boxes", "boxes", 1, MAX_REGIONS)


def _one_a_frame(entries: Sequence[Any], frames: int) -> list[Any]:
    if len(entries) != frames:
        raise EvenframeError(
            f"boxes are of {len(entries)} frames, but the clip has {frames}: find them on the "
            "frames of this clip, or on one frame alone."
        )
    for frame, found in enumerate(entries):
        if not isinstance(found, list) or len(found) != 1:
            count = len(found) if isinstance(found, list) else shown(found)
            raise EvenframeError(
                f"boxes[{frame}] has {count} boxes: give one on each frame, or the boxes of one "
                "frame alone. To follow several objects, take Track Region for each."
            )
    return [found[0] for found in entries]


def _region(boxes: Sequence[Any], at: int, frames: int, frame_size: tuple[int, int]) -> Region:
    """A region of one box for the whole clip, or of one for each frame."""
    where = f"boxes[{at}]" if len(boxes) == 1 else "boxes"
    corners = [_corners(box, where) for box in boxes]
    words = _told(boxes[0], where)
    every = corners if len(corners) == frames else corners * frames
    return box_region(every, frame_size, name=words or f"box {at + 1}", words=words)


def _corners(box: Any, where: str) -> Box:
    if not isinstance(box, Mapping) or not set(SIDES) <= set(box):
        raise EvenframeError(f"{where} is {shown(box)}: give boxes such as {EXAMPLE}.")
    x, y, width, height = (read_number(box[side], f"{where}.{side}") for side in SIDES)
    return x, y, x + width, y + height


def _told(box: Mapping[str, Any], where: str) -> str:
    """What a box shows, "" where that is not said."""
    metadata = box.get("metadata")
    told = metadata.get("desc") if isinstance(metadata, Mapping) else None
    return read_text(told or box.get("label") or "", f"{where}.metadata.desc")
