"""Pictures for people: previews, sheets, heat maps. Needs nothing but Pillow."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .errors import EvenframeError
from .grids import nearest

if TYPE_CHECKING:
    from PIL.Image import Image

LABEL_HEIGHT = 18


def to_image(frame: Tensor) -> "Image":
    """A frame (h, w, 3) in 0..1 as a Pillow image."""
    from PIL import Image

    return Image.fromarray(to_bytes(frame).numpy())


def to_bytes(frames: Tensor) -> Tensor:
    """Pixels in 0..1 as 8-bit values, rounded."""
    return frames.detach().float().cpu().clamp(0, 1).mul_(255).round_().to(torch.uint8)


def sheet(rows: Sequence[tuple[str, Tensor]], columns: int = 8) -> "Image":
    """Labelled rows of frames, one below the other.

    rows: (label, frames (f, h, w, 3) in 0..1); of long clips, evenly spaced frames are shown.
    """
    strips = [torch.cat(list(spread(frames, columns)), dim=1) for _, frames in rows]  # h (f w) 3
    width = max(strip.shape[1] for strip in strips)
    padded = (F.pad(strip, (0, 0, 0, width - strip.shape[1]), value=1)[None] for strip in strips)
    labelled = [_under(label, strip)[0] for (label, _), strip in zip(rows, padded, strict=True)]
    return to_image(torch.cat(labelled))


def grid(clips: Sequence[Tensor], labels: Sequence[str] = (), columns: int = 3) -> Tensor:
    """Clips in a grid, row by row, playing together, each under its label.

    clips: (f, h, w, 3) in 0..1, all of one shape. labels: one for each clip, or none at all.
    Returns (f, H, W, 3); cells without a clip are white.
    Raises EvenframeError for clips of other shapes and another number of labels.
    """
    shapes = sorted({tuple(clip.shape[:3]) for clip in clips})
    if len(shapes) > 1:
        sizes = " and ".join(map(str, shapes))
        raise EvenframeError(
            f"The clips differ in size, {sizes} (frames, height, width): give clips of equal size."
        )
    if labels and len(labels) != len(clips):
        raise EvenframeError(
            f"There are {len(labels)} labels for {len(clips)} clips: give one for each, or none."
        )
    cells = list(map(_under, labels, clips)) if labels else list(clips)
    columns = min(columns, len(cells))
    cells += [torch.ones_like(cells[0])] * (-len(cells) % columns)
    rows = [torch.cat(cells[at : at + columns], dim=2) for at in range(0, len(cells), columns)]
    return torch.cat(rows, dim=1)


def _under(label: str, frames: Tensor) -> Tensor:
    """Frames (f, h, w, 3) below a strip with the label."""
    pixels = np.asarray(_label(label, frames.shape[2]), np.float32) / 255
    strip = torch.from_numpy(pixels).to(frames).expand(len(frames), -1, -1, -1)
    return torch.cat([strip, frames], dim=1)


def _label(text: str, width: int) -> "Image":
    """A strip of LABEL_HEIGHT pixels with a line of text."""
    from PIL import Image, ImageDraw

    strip = Image.new("RGB", (width, LABEL_HEIGHT), "white")
    ImageDraw.Draw(strip).text((4, 3), text, fill="black")
    return strip


def spread(frames: Tensor, count: int) -> Tensor:
    """At most `count` evenly spaced frames of (f, ...)."""
    if len(frames) <= count:
        return frames
    return frames[torch.linspace(0, len(frames) - 1, count).round().long()]


def bars(values: Tensor, frames: Tensor) -> Tensor:
    """Frames (f, h, w, 3) with a bar along the lower edge of each, as long as its value (f,) of
    0..1 is high: red at 0, through yellow to green at 1."""
    height, width = frames.shape[1:3]
    drawn, rows = frames.clone(), max(2, height // 64)
    for frame, value in zip(drawn, values.clamp(0, 1).tolist(), strict=True):
        frame[-rows:] = 0
        length = max(round(value * width), 1)
        frame[-rows:, :length] = torch.tensor([min(2 - 2 * value, 1.0), min(2 * value, 1.0), 0.0])
    return drawn


def heat(maps: Tensor, frames: Tensor, opacity: float = 0.6) -> Tensor:
    """Maps over frames: dark where 0, through red to yellow where 1.

    maps: (f, h, w) in 0..1 on any grid. frames: (f, H, W, 3) in 0..1. Returns (f, H, W, 3).
    Raises EvenframeError where they are not equally many.
    """
    if len(maps) != len(frames):
        raise EvenframeError(
            f"The maps are of {len(maps)} frames, but {len(frames)} are given to draw on: "
            "connect the frames that were inverted."
        )
    height, width = frames.shape[1:3]
    sized = nearest(maps.float(), (height, width))
    red, green = (sized * 2).clamp(0, 1), (sized * 2 - 1).clamp(0, 1)
    color = torch.stack([red, green, torch.zeros_like(red)], dim=-1)
    return frames * (1 - opacity) + color * opacity
