"""The clips and masks of an evaluation, from videos, folders of pictures, and files of regions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..common.errors import EvenframeError, in_short
from ..common.progress import OnNote
from ..regions.text import parse_regions
from ..video import Choice, load

Value = TypeVar("Value")
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
MAX_REGIONS = 2**24
"""Bytes of a file of regions."""


@dataclass(frozen=True, eq=False)
class Clips:
    """A source and its result, (f, h, w, 3) in 0..1 of one shape, and a mask (f, h, w) or None."""

    source: Tensor
    result: Tensor
    mask: Tensor | None


def read_clips(
    source: Path,
    result: Path,
    mask: Path | None,
    most: int,
    on_note: OnNote,
    edited: Choice | None = None,
) -> Clips:
    """Read them; at most so many frames, of a result of another size at the source's.

    on_note: told what was left out or resized. edited: the frames of the source that the result
    was made of; all where it is None. Raises EvenframeError for what cannot be read.
    """
    before, after = read_frames(source, most, edited), read_frames(result, most)
    count = min(len(before), len(after))
    if len(before) != len(after):
        on_note(
            f"'{source.name}' has {len(before)} frames and '{result.name}' {len(after)}: the first "
            f"{count} are compared."
        )
    elif count == most:
        on_note(f"The first {most} frames are measured; --frames takes more.")
    before, after = before[:count], after[:count]
    if before.shape != after.shape:
        on_note(
            f"'{result.name}' is {after.shape[2]}x{after.shape[1]}: measured at the source's "
            f"{before.shape[2]}x{before.shape[1]}."
        )
        after = resized(after, (before.shape[1], before.shape[2]))
    covered = None if mask is None else read_mask(mask, count, (before.shape[1], before.shape[2]))
    return Clips(before, after, covered)


def read_frames(path: Path, most: int, choice: Choice | None = None) -> Tensor:
    """(f, h, w, 3) in 0..1 of a video, or of a folder of pictures by name.

    most: frames; 0 takes all. choice: of a video's; all where it is None.
    """
    if not path.is_dir():
        chosen = choice or Choice()
        fewest = min(filter(None, (most, chosen.max_frames)), default=0)
        return load(path, replace(chosen, max_frames=fewest), audio=False).frames
    files = sorted(each for each in path.iterdir() if each.suffix.lower() in PICTURES)
    files = files[: most or None]
    if not files:
        raise EvenframeError(f"The folder '{path}' holds no pictures ({', '.join(PICTURES)}).")
    first, *others = pictures = [read_picture(each) for each in files]
    if odd := next((at for at, each in enumerate(others, 1) if each.shape != first.shape), 0):
        raise EvenframeError(
            f"The pictures of '{path}' differ in size from '{files[odd].name}' on: give frames of "
            "one size."
        )
    return torch.stack(pictures)


def read_mask(path: Path, count: int, size: tuple[int, int]) -> Tensor:
    """(f, h, w) of 0 and 1 for a clip of so many frames of (height, width).

    A video or a folder of pictures, a frame for each; one picture for all frames; or regions as
    JSON. What is brighter than half is masked.
    """
    if path.suffix.lower() == ".json":
        return (_regions(path, count, size) > 0.5).float()
    picture = path.suffix.lower() in PICTURES
    frames = read_picture(path)[None] if picture else read_frames(path, count)
    grey = frames.mean(-1, keepdim=True)
    if len(grey) == 1:
        grey = grey.expand(count, -1, -1, -1)
    if len(grey) < count:
        raise EvenframeError(
            f"The mask '{path}' has {len(grey)} frames, but {count} are measured: give one for "
            "each, or a picture for all."
        )
    return (resized(grey[:count], size)[..., 0] > 0.5).float()


def resized(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Frames (f, h, w, c) at another (height, width): by area where that is smaller."""
    if frames.shape[1:3] == size:
        return frames
    turned = frames.permute(0, 3, 1, 2)
    how = {"mode": "bilinear", "antialias": True, "align_corners": False}
    return F.interpolate(turned, size, **how).permute(0, 2, 3, 1).contiguous()


def _regions(path: Path, count: int, size: tuple[int, int]) -> Tensor:
    def text() -> str:
        if path.stat().st_size > MAX_REGIONS:
            raise ValueError(f"it has more than {MAX_REGIONS} bytes")
        return path.read_text(encoding="utf-8-sig")

    return parse_regions(_read(path, text), count, size, size).coverage(size)


def read_picture(path: Path) -> Tensor:
    """(h, w, 3) in 0..1."""
    from PIL import Image

    def pixels() -> Tensor:
        with Image.open(path) as image:
            return torch.from_numpy(np.asarray(image.convert("RGB"), np.float32) / 255)

    return _read(path, pixels)


def _read(path: Path, read: Callable[[], Value]) -> Value:
    from PIL import Image

    try:
        return read()
    except EvenframeError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise EvenframeError(f"'{path}' cannot be read: {in_short(error)}.") from error
