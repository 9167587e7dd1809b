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

import json
import math
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .errors import EvenframeError
from .region import Box, Region, Regions, box_region, mask_region, require_box

VERSION = 1
UNITS = ("fraction", "pixel")
MAX_TEXT, MAX_REGIONS, MAX_KEYFRAMES, MAX_POINTS = 1_000_000, 32, 10_000, 1000

Shape = list[float]
"""The numbers of a box or of a polygon's points, one after the other, in pixels."""


def parse_regions(text: str, frames: int, frame_size: tuple[int, int]) -> Regions:
    """Read regions for a clip of so many frames of (height, width) pixels."""
    data = _object(_load(text), "the text", {"version", "regions"}, {"unit"})
    if data["version"] != VERSION or isinstance(data["version"], bool):
        raise EvenframeError(
            f"version is {_shown(data['version'])}: this Evenframe reads version {VERSION}."
        )
    unit = data.get("unit", "fraction")
    if unit not in UNITS:
        raise EvenframeError(f"unit is {_shown(unit)}: use {' or '.join(UNITS)}.")
    entries = _list(data["regions"], "regions", 1, MAX_REGIONS)
    height, width = frame_size
    scale = (width, height) if unit == "fraction" else (1, 1)
    items = [
        _region(entry, f"regions[{index}]", frames, frame_size, scale)
        for index, entry in enumerate(entries)
    ]
    return Regions(tuple(items), frames, frame_size)


def _load(text: str) -> Any:
    if len(text) > MAX_TEXT:
        raise EvenframeError(
            f"The regions are {len(text)} characters long: at most {MAX_TEXT} are read."
        )
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except EvenframeError:
        raise
    except (ValueError, RecursionError) as error:
        raise EvenframeError(
            f"The regions are not JSON ({error}): "
            'write {"version": 1, "regions": [{"name": ..., "words": ..., "box": ...}]}.'
        ) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise EvenframeError(f"{_shown(name)} is given twice in one object: leave one out.")
        found[name] = value
    return found


def _no_constant(name: str) -> float:
    raise EvenframeError(f"The regions hold {name}, which is no number: give a finite one.")


def _region(
    entry: Any,
    where: str,
    frames: int,
    frame_size: tuple[int, int],
    scale: tuple[int, int],
) -> Region:
    data = _object(
        entry, where, {"name"}, {"words", "box", "polygon", "keyframes", "grow", "soften"}
    )
    edges: dict[str, Any] = {
        "name": _text(data["name"], f"{where}.name"),
        "words": _text(data.get("words", ""), f"{where}.words"),
        "grow": _whole(data.get("grow", 0), f"{where}.grow"),
        "soften": _whole(data.get("soften", 0), f"{where}.soften"),
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
        return kind, {0: _shape(kind, data[kind], f"{where}.{kind}", frame_size, scale)}
    kind, keys, last = "", {}, -1
    for index, entry in enumerate(_list(data["keyframes"], f"{where}.keyframes", 1, MAX_KEYFRAMES)):
        at = f"{where}.keyframes[{index}]"
        key = _object(entry, at, {"frame"}, {"box", "polygon"})
        frame = _whole(key["frame"], f"{at}.frame")
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
        shape = _shape(kind, key[kind], f"{at}.{kind}", frame_size, scale)
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


def _shape(
    kind: str, value: Any, where: str, frame_size: tuple[int, int], scale: tuple[int, int]
) -> Shape:
    if kind == "box":
        values = [_number(v, where) for v in _list(value, where, 4, 4)]
    else:
        points = [_list(point, where, 2, 2) for point in _list(value, where, 3, MAX_POINTS)]
        values = [_number(v, where) for point in points for v in point]
    pixels = [value * scale[index % 2] for index, value in enumerate(values)]
    # A polygon's box says whether there is anything of it to see.
    xs, ys = pixels[::2], pixels[1::2]
    box = pixels if kind == "box" else [min(xs), min(ys), max(xs), max(ys)]
    require_box(box, frame_size, where)
    return pixels


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


def _object(value: Any, where: str, needed: set[str], allowed: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise EvenframeError(f"{where} is {_shown(value)}: give an object, {{...}}.")
    for name in value:
        if name not in needed | allowed:
            raise EvenframeError(
                f"{where} has {_shown(name)}, which is unknown: "
                f"use {', '.join(sorted(needed | allowed))}."
            )
    for name in sorted(needed):
        if name not in value:
            raise EvenframeError(f"{where} has no {name}: add it.")
    return value


def _list(value: Any, where: str, least: int, most: int) -> list[Any]:
    if not isinstance(value, list) or not least <= len(value) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        have = f"a list of {len(value)}" if isinstance(value, list) else _shown(value)
        raise EvenframeError(f"{where} is {have}: give a list of {wanted} entries.")
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or len(value) > 1000:
        raise EvenframeError(f"{where} is {_shown(value)}: give a short text.")
    return value.strip()


def _number(value: Any, where: str) -> float:
    valid = isinstance(value, int | float) and not isinstance(value, bool)
    if not valid or abs(value) > 1e6 or not math.isfinite(value):
        raise EvenframeError(f"{where} has {_shown(value)}: give a number from -1e6 to 1e6.")
    return float(value)


def _whole(value: Any, where: str) -> int:
    number = _number(value, where)
    if number != int(number) or number < 0:
        raise EvenframeError(f"{where} is {_shown(value)}: give a whole number, 0 or more.")
    return int(number)


def _shown(value: Any) -> str:
    """A value for a message, not too long."""
    return reprlib.repr(value)
