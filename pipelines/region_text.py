"""Regions as text: one JSON format for the API, the editor and people.

    {"version": 1, "unit": "fraction", "regions": [
        {"name": "left", "words": "jellyfish", "box": [0.1, 0.6, 0.4, 0.95]},
        {"name": "right", "words": "goldfish", "grow": 4, "soften": 8, "keyframes": [
            {"frame": 0, "polygon": [[0.5, 0.5], [0.8, 0.5], [0.7, 0.9]]},
            {"frame": 15, "polygon": [[0.6, 0.5], [0.9, 0.5], [0.8, 0.9]]}]}]}

unit: "fraction" of the frame's sides, or "pixel". Every region has a "box" (left, top, right,
bottom), a "polygon" of three points or more, or "keyframes" of either; between key frames their
corners move evenly, before the first and after the last they stand still. grow and soften are in
pixels. A later region lies on top. The text is untrusted: whatever is wrong with it is an
EvenframeError that names the place.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .errors import EvenframeError
from .json_text import read_json, read_list, read_number, read_object, read_text, read_whole, shown
from .region import Box, Region, Regions, box_region, mask_region, require_box

VERSION = 1
UNITS = ("fraction", "pixel")
PIXELS = (1, 1)
"""How many pixels a pixel is in x and y."""
LARGEST_FRACTION = 2
"""Fractions may lie outside of the frame, but not so far as pixels that were taken for them."""
MAX_REGIONS, MAX_KEYFRAMES, MAX_POINTS = 32, 10_000, 1000
EXAMPLE = '{"version": 1, "regions": [{"name": ..., "words": ..., "box": ...}]}'

Shape = list[float]
"""The numbers of a box or of a polygon's points, one after the other, in pixels."""


def parse_regions(text: str, frames: int, frame_size: tuple[int, int]) -> Regions:
    """Read regions for a clip of so many frames of (height, width) pixels."""
    value = read_json(text, "regions", EXAMPLE)
    data = read_object(value, "The text", {"version", "regions"}, {"unit"}, EXAMPLE)
    scale = read_units(data, frame_size)
    entries = read_list(data["regions"], "regions", 1, MAX_REGIONS)
    items = [
        _region(entry, f"regions[{index}]", frames, frame_size, scale)
        for index, entry in enumerate(entries)
    ]
    return Regions(tuple(items), frames, frame_size)


def read_units(data: Mapping[str, Any], frame_size: tuple[int, int]) -> tuple[int, int]:
    """How many pixels one unit of a text is in x and y. Raises EvenframeError for a text of
    another version or an unknown unit."""
    if data["version"] != VERSION or isinstance(data["version"], bool):
        raise EvenframeError(
            f"version is {shown(data['version'])}: this Evenframe reads version {VERSION}."
        )
    unit = data.get("unit", "fraction")
    if unit not in UNITS:
        raise EvenframeError(f"unit is {shown(unit)}: use {' or '.join(UNITS)}.")
    height, width = frame_size
    return (width, height) if unit == "fraction" else PIXELS


def _region(
    entry: Any,
    where: str,
    frames: int,
    frame_size: tuple[int, int],
    scale: tuple[int, int],
) -> Region:
    data = read_object(
        entry, where, {"name"}, {"words", "box", "polygon", "keyframes", "grow", "soften"}
    )
    edges: dict[str, Any] = {
        "name": read_text(data["name"], f"{where}.name"),
        "words": read_text(data.get("words", ""), f"{where}.words"),
        "grow": read_whole(data.get("grow", 0), f"{where}.grow"),
        "soften": read_whole(data.get("soften", 0), f"{where}.soften"),
    }
    kind, keys = _keyframes(data, where, frames, frame_size, scale)
    shapes = [interpolate(keys, frame) for frame in range(frames)]
    if kind == "box":
        boxes: list[Box] = [(shape[0], shape[1], shape[2], shape[3]) for shape in shapes]
        return box_region(boxes, frame_size, **edges)
    return mask_region(_polygons(shapes, frame_size), frames, frame_size, **edges)


def _keyframes(
    data: Mapping[str, Any],
    where: str,
    frames: int,
    frame_size: tuple[int, int],
    scale: tuple[int, int],
) -> tuple[str, dict[int, Shape]]:
    """The kind of a region's shapes, and the shapes by frame, in order."""
    given = [name for name in ("box", "polygon", "keyframes") if name in data]
    if len(given) != 1:
        raise EvenframeError(
            f"{where} has {' and '.join(given) or 'no shape'}: "
            "give one of box, polygon or keyframes."
        )
    if given != ["keyframes"]:
        kind = given[0]
        return kind, {0: read_shape(kind, data[kind], f"{where}.{kind}", frame_size, scale)}
    kind, keys, last = "", {}, -1
    for index, entry in enumerate(
        read_list(data["keyframes"], f"{where}.keyframes", 1, MAX_KEYFRAMES)
    ):
        at = f"{where}.keyframes[{index}]"
        key = read_object(entry, at, {"frame"}, {"box", "polygon"})
        frame = read_whole(key["frame"], f"{at}.frame")
        if frame >= frames:
            raise EvenframeError(
                f"{at}.frame is {frame}, beyond the clip: its frames are 0 to {frames - 1}."
            )
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
        shape = read_shape(kind, key[kind], f"{at}.{kind}", frame_size, scale)
        if keys and len(shape) != len(next(iter(keys.values()))):
            raise EvenframeError(
                f"{at}.polygon has {len(shape) // 2} points, the first key frame's has "
                f"{len(next(iter(keys.values()))) // 2}: give equally many, in the same order."
            )
        keys[frame] = shape
    return kind, keys


def interpolate(keys: Mapping[int, Shape], frame: int) -> Shape:
    """The shape on a frame: moved evenly between key frames, held before and after them.

    keys: shapes of equal length by frame, in order.
    """
    before = max((key for key in keys if key <= frame), default=min(keys))
    after = min((key for key in keys if key >= frame), default=max(keys))
    if before >= after:
        return keys[before] if before <= frame else keys[after]
    share = (frame - before) / (after - before)
    return [low + share * (high - low) for low, high in zip(keys[before], keys[after], strict=True)]


def read_shape(
    kind: str, value: Any, where: str, frame_size: tuple[int, int], scale: tuple[int, int]
) -> Shape:
    """A "box" or a "polygon" in pixels, some of it in the frame. scale: of `read_units`."""
    if kind == "box":
        values = [read_number(v, where) for v in read_list(value, where, 4, 4)]
    else:
        points = [read_list(point, where, 2, 2) for point in read_list(value, where, 3, MAX_POINTS)]
        values = [read_number(v, where) for point in points for v in point]
    require_fractions(values, where, scale)
    if scale == PIXELS and all(0 <= v <= 1 for v in values):
        raise EvenframeError(
            f"{where} is {shown(value)}, not more than a pixel: for fractions of the frame, write "
            '"unit": "fraction".'
        )
    # A polygon's box says whether there is anything of it to see.
    xs, ys = values[::2], values[1::2]
    box = values if kind == "box" else [min(xs), min(ys), max(xs), max(ys)]
    owner = where.rpartition(".")[0] if kind == "box" else where
    require_box(box, frame_size if scale == PIXELS else None, owner)
    return [v * scale[index % 2] for index, v in enumerate(values)]


def require_fractions(values: Sequence[float], where: str, scale: tuple[int, int]) -> None:
    """Raise EvenframeError for fractions that are pixels, it seems. scale: of `read_units`."""
    largest = max(values, key=abs)
    if scale != PIXELS and abs(largest) > LARGEST_FRACTION:
        raise EvenframeError(
            f"{where} has {largest:g}, but the unit is the fraction of the frame, 0 to 1: for "
            'pixels, write "unit": "pixel".'
        )


def _polygons(shapes: Sequence[Shape], frame_size: tuple[int, int]) -> Tensor:
    """(f, h, w): 1 where a pixel lies inside the polygon of its frame."""
    import numpy as np
    from PIL import Image, ImageDraw

    height, width = frame_size
    masks = []
    for shape in shapes:
        picture = Image.new("L", (width, height), 0)
        # A pixel's centre lies half a pixel inside of it.
        ImageDraw.Draw(picture).polygon([value - 0.5 for value in shape], fill=1)
        masks.append(torch.from_numpy(np.asarray(picture, dtype=np.float32)))
    return torch.stack(masks)
