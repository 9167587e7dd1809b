"""Regions as text: one JSON format for the API, the editor and people.

    {"version": 1, "unit": "fraction", "regions": [
        {"name": "left", "words": "jellyfish", "box": [0.1, 0.6, 0.4, 0.95]},
        {"name": "right", "words": "goldfish", "grow": 4, "soften": 8, "keyframes": [
            {"frame": 0, "polygon": [[0.5, 0.5], [0.8, 0.5], [0.7, 0.9]]},
            {"frame": 15, "polygon": [[0.6, 0.5], [0.9, 0.5], [0.8, 0.9]]}]}]}

unit: "fraction" of the frame's sides, or "pixel". Every region has a "box" (left, top, right,
bottom), a "polygon" of three points or more, or "keyframes" of either; between key frames their
corners move evenly, before the first and after the last they stand still. Key frames may lie behind
the clip's end, so that a text holds for more of a clip than is there; what moves towards them is
merely not all seen. grow and soften are in pixels. A later region lies on top. The text is
untrusted: whatever is wrong with it is an EvenframeError that names the place.
"""

import logging
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..common.errors import EvenframeError
from ..common.grids import Box
from ..common.json_text import read_json, read_list, read_object, read_text, read_whole
from .canvas import Canvas, Shape
from .region import Region, box_region, mask_region, require_marks
from .regions import Regions

log = logging.getLogger(__name__)

FINER = 4
"""In x and y, for polygons of large frames on small ones: their pixels are coarse."""
MAX_REGIONS, MAX_KEYFRAMES = 32, 10_000
MAX_NAMED = 8
"""Key frames that a note names."""
REGION = '{"name": "left", "words": "jellyfish", "box": [0.1, 0.6, 0.4, 0.95]}'
EXAMPLE = f'{{"version": 1, "regions": [{REGION}]}}'
KEYFRAME = '{"frame": 0, "box": [0.1, 0.6, 0.4, 0.95]}'


def parse_regions(
    text: str,
    frames: int,
    frame_size: tuple[int, int],
    drawn_size: tuple[int, int] | None = None,
    *,
    tell: Callable[[str], None] = log.warning,
) -> Regions:
    """Read regions for a clip of so many frames of (height, width) pixels.

    drawn_size: (height, width) of the regions that come back, where it is another one: polygons
        become masks of that size. The pixels of the text are those of `frame_size`.
    tell: is told which key frames lie behind the clip's end.
    """
    drawn = drawn_size or frame_size
    value = read_json(text, "regions", EXAMPLE)
    data = read_object(value, "The text", {"version", "regions"}, {"unit"}, EXAMPLE)
    canvas = Canvas.of(data, frames, frame_size)
    entries = read_list(data["regions"], "regions", "regions", 1, MAX_REGIONS)
    items = [
        _region(entry, f"regions[{at}]", canvas, drawn, tell) for at, entry in enumerate(entries)
    ]
    return Regions(tuple(items), frames, drawn)


def _region(
    entry: Any, where: str, canvas: Canvas, drawn: tuple[int, int], tell: Callable[[str], None]
) -> Region:
    data = read_object(
        entry, where, {"name"}, {"words", "box", "polygon", "keyframes", "grow", "soften"}, REGION
    )
    name = read_text(data["name"], f"{where}.name")
    words = read_text(data.get("words", ""), f"{where}.words")
    grow = read_whole(data.get("grow", 0), f"{where}.grow")
    soften = read_whole(data.get("soften", 0), f"{where}.soften")
    require_marks(name, words, grow, soften)
    kind, keys = _keyframes(data, where, canvas)
    frames, frame_size = canvas.frames, canvas.size
    if behind := [str(frame) for frame in keys if frame >= frames]:
        tell(
            f"Region '{name}' has key frames behind the clip's last frame, {frames - 1}: "
            f"{', '.join(behind[:MAX_NAMED])}{' and more' if len(behind) > MAX_NAMED else ''}. "
            "It moves towards them as far as the clip goes."
        )
    x, y = (new / old for new, old in zip(drawn[::-1], frame_size[::-1], strict=True))
    soft = round(soften * x)
    # One that stands still is drawn once, and held once.
    shapes = [interpolate(keys, frame) for frame in range(frames if len(keys) > 1 else 1)]
    if kind == "box":
        boxes: list[Box] = [(shape[0], shape[1], shape[2], shape[3]) for shape in shapes]
        box = box_region(boxes, frame_size, name=name, words=words, grow=grow, soften=soft)
        smaller = box.boxes * torch.tensor([x, y, x, y], dtype=torch.float64)
        return replace(box, boxes=smaller.expand(frames, -1), frame_size=drawn)
    shapes = [[v * (x, y)[n % 2] for n, v in enumerate(one)] for one in shapes]
    masks = _polygons(shapes, drawn, 1 if drawn == frame_size else FINER)
    mask = mask_region(
        masks, len(masks), drawn, name=name, words=words, grow=round(grow * x), soften=soft
    )
    return replace(mask, masks=mask.masks.expand(frames, -1, -1))


def _keyframes(data: Mapping[str, Any], where: str, canvas: Canvas) -> tuple[str, dict[int, Shape]]:
    """The kind of a region's shapes, and the shapes by frame, in order."""
    given = [name for name in ("box", "polygon", "keyframes") if name in data]
    if len(given) != 1:
        raise EvenframeError(
            f"{where} has {' and '.join(given) or 'no shape'}: "
            "give one of box, polygon or keyframes."
        )
    if given != ["keyframes"]:
        kind = given[0]
        return kind, {0: canvas.shape(kind, data[kind], f"{where}.{kind}")}
    kind, keys, last = "", {}, -1
    for index, entry in enumerate(
        read_list(data["keyframes"], f"{where}.keyframes", "key frames", 1, MAX_KEYFRAMES)
    ):
        at = f"{where}.keyframes[{index}]"
        key = read_object(entry, at, {"frame"}, {"box", "polygon"}, KEYFRAME)
        frame = read_whole(key["frame"], f"{at}.frame")
        if frame <= last:
            raise EvenframeError(
                f"{at}.frame is {frame}, but the key frame before it is {last}: "
                "give them in order, each frame once."
            )
        last = frame
        found = [name for name in ("box", "polygon") if name in key]
        if len(found) != 1 or found[0] != (kind or found[0]):
            raise EvenframeError(
                f"{at} has {' and '.join(found) or 'no shape'}: "
                f"give {'a ' + kind if kind else 'a box or a polygon'}, as for the whole region."
            )
        kind = found[0]
        shape = canvas.shape(kind, key[kind], f"{at}.{kind}")
        first = next(iter(keys.values()), shape)
        if len(shape) != len(first):
            raise EvenframeError(
                f"{at}.polygon has {len(shape) // 2} points, the first key frame's has "
                f"{len(first) // 2}: give equally many, in the same order."
            )
        keys[frame] = shape
    return kind, keys


def interpolate(keys: Mapping[int, Shape], frame: int) -> Shape:
    """The shape on a frame: moved evenly between key frames, held before and after them.

    keys: shapes of equal length by frame, in order.
    """
    places = list(keys)
    index = bisect_right(places, frame)
    if index == 0 or index == len(places):
        return keys[places[index - 1 if index else 0]]
    before, after = places[index - 1], places[index]
    share = (frame - before) / (after - before)
    return [low + share * (high - low) for low, high in zip(keys[before], keys[after], strict=True)]


def _polygons(shapes: Sequence[Shape], frame_size: tuple[int, int], finer: int = 1) -> Tensor:
    """(f, h, w): 1 where a pixel lies inside the polygon of its frame.

    finer: draw with so many times the pixels, and keep those of which half lies inside.
    """
    import numpy as np
    from PIL import Image, ImageDraw

    height, width = frame_size
    masks = torch.empty(len(shapes), height, width)
    for mask, shape in zip(masks, shapes, strict=True):
        picture = Image.new("L", (finer * width, finer * height), 0)
        # A pixel's centre lies half a pixel inside of it.
        ImageDraw.Draw(picture).polygon([finer * value - 0.5 for value in shape], fill=255)
        share = torch.from_numpy(np.array(picture.reduce(finer)))
        most = int(share.max()) or 255  # of a small one no pixel holds half
        mask[:] = share >= min(128, most)
    return masks
