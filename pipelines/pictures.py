"""Pictures for people: previews, sheets, heat maps. Needs nothing but Pillow."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .errors import EvenframeError

if TYPE_CHECKING:
    from PIL.Image import Image

LABEL_HEIGHT = 18


def to_image(frame: Tensor) -> "Image":
    """A frame (h, w, 3) in 0..1 as a Pillow image."""
    from PIL import Image

    return Image.fromarray(to_bytes(frame).numpy())


def to_bytes(frames: Tensor) -> Tensor:
    """Pixels in 0..1 as 8-bit values, rounded."""
    return (frames.detach().float().cpu().clamp(0, 1) * 255).round().to(torch.uint8)


def sheet(rows: Sequence[tuple[str, Tensor]], columns: int = 8) -> "Image":
    """Labelled rows of frames, one below the other.

    rows: (label, frames (f, h, w, 3) in 0..1); of long clips, evenly spaced frames are shown.
    """
    from PIL import Image, ImageDraw

    shown = [(label, spread(frames, columns)) for label, frames in rows]
    width = max(frames.shape[0] * frames.shape[2] for _, frames in shown)
    height = sum(frames.shape[1] + LABEL_HEIGHT for _, frames in shown)
    picture = Image.new("RGB", (width, height), "white")
    draw, top = ImageDraw.Draw(picture), 0
    for label, frames in shown:
        draw.text((4, top + 3), label, fill="black")
        strip = torch.cat(list(frames), dim=1)  # h (f w) 3
        picture.paste(to_image(strip), (0, top + LABEL_HEIGHT))
        top += frames.shape[1] + LABEL_HEIGHT
    return picture


def spread(frames: Tensor, count: int) -> Tensor:
    """At most `count` evenly spaced frames of (f, ...)."""
    if len(frames) <= count:
        return frames
    return frames[torch.linspace(0, len(frames) - 1, count).round().long()]


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
    sized = torch.nn.functional.interpolate(maps[:, None].float(), (height, width))[:, 0]
    red, green = (sized * 2).clamp(0, 1), (sized * 2 - 1).clamp(0, 1)
    color = torch.stack([red, green, torch.zeros_like(red)], dim=-1)
    return frames * (1 - opacity) + color * opacity
