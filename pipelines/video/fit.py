"""Frames to a size that the model takes, and back."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import EvenframeError

if TYPE_CHECKING:
    from .clip import Clip

FIT_MODES = ("crop", "pad", "stretch")
MAX_SIDE = 16384

Size = tuple[int, int]
"""Width, height."""


@dataclass(frozen=True)
class Fit:
    """How frames of one size became frames of another. Sizes are (width, height) in pixels.

    source: before. scaled: after resizing. size: after cropping or padding.
    left, top: where the crop begins in the scaled frame (crop), or the scaled frame in the result
    (pad).
    """

    mode: str
    source: Size
    scaled: Size
    size: Size
    left: int = 0
    top: int = 0

    @property
    def untouched(self) -> bool:
        """Whether the frames already had the size."""
        return self.source == self.scaled == self.size

    def box(self) -> tuple[int, int, int, int]:
        """The part of a source frame that was kept: left, top, right, bottom; at least a pixel."""
        if self.mode != "crop":
            return 0, 0, *self.source
        left, right = self._kept(0, self.left)
        top, bottom = self._kept(1, self.top)
        return left, top, right, bottom

    def _kept(self, axis: int, offset: int) -> tuple[int, int]:
        """Start and end of the kept part along one axis, in pixels of the source."""
        ratio = self.source[axis] / self.scaled[axis]
        start = min(round(offset * ratio), self.source[axis] - 1)
        return start, max(start + 1, round((offset + self.size[axis]) * ratio))

    def __str__(self) -> str:
        source, scaled, size = (f"{w}x{h}" for w, h in (self.source, self.scaled, self.size))
        if self.untouched:
            return f"{size}: already fits, untouched"
        resized = "" if self.source == self.scaled else f"resized to {scaled}, "
        if self.mode == "stretch" or self.scaled == self.size:
            return f"{source} -> {size}: resized"
        if self.mode == "crop":
            columns, rows = (self.scaled[i] - self.size[i] for i in (0, 1))
            return f"{source} -> {size}: {resized}{columns} columns and {rows} rows cropped"
        columns, rows = (self.size[i] - self.scaled[i] for i in (0, 1))
        return f"{source} -> {size}: {resized}{columns} columns and {rows} rows of border added"


def plan(
    source: Size,
    mode: str = "crop",
    multiple: int = 64,
    *,
    width: int = 0,
    height: int = 0,
    max_side: int = 0,
) -> Fit:
    """How frames of the size `source` are made to fit, without touching any.

    mode: 'crop' keeps the scale and loses edges, 'pad' keeps everything and adds a border,
        'stretch' keeps everything and changes the proportions a little.
    multiple: both sides become multiples of it.
    width, height: the size wanted; 0 follows from the other, or from the source.
    max_side: the longer side is at most this; 0 for no limit. Frames are never made larger for it.
    """
    _check(mode, multiple, width, height, max_side)
    if width or height:
        target = _asked_size(source, multiple, width, height)
        scale = None
    else:
        scale = min(1.0, max_side // multiple * multiple / max(source)) if max_side else 1.0
        target = _nearest_size(source, mode, multiple, scale)
    return _placed(source, target, mode, scale)


def _check(mode: str, multiple: int, width: int, height: int, max_side: int) -> None:
    if mode not in FIT_MODES:
        raise EvenframeError(f"The fit is '{mode}': choose one of {', '.join(FIT_MODES)}.")
    if not 1 <= multiple <= MAX_SIDE:
        raise EvenframeError(f"multiple is {multiple}: give 1 to {MAX_SIDE}.")
    for name, value in (("width", width), ("height", height)):
        if value and (not multiple <= value <= MAX_SIDE or value % multiple):
            last = MAX_SIDE // multiple * multiple
            near = min(max(multiple, round(value / multiple) * multiple), last)
            raise EvenframeError(
                f"{name} is {value}: give a multiple of {multiple} up to {last}, "
                f"for example {near}, or 0 to keep the clip's."
            )
    if max_side and not multiple <= max_side <= MAX_SIDE:
        raise EvenframeError(
            f"max_side is {max_side}: give {multiple} to {MAX_SIDE}, or 0 for no limit."
        )


def _asked_size(source: Size, multiple: int, width: int, height: int) -> Size:
    """The size asked for; a side left open keeps the proportions as well as the grid allows."""
    wide, high = source
    if not width:
        width = max(multiple, round(height * wide / high / multiple) * multiple)
    if not height:
        height = max(multiple, round(width * high / wide / multiple) * multiple)
    return width, height


def _nearest_size(source: Size, mode: str, multiple: int, scale: float) -> Size:
    """The size on the grid that changes the frame least: below for crop, above for pad."""

    def side(pixels: int) -> int:
        exact = round(pixels * scale)
        if mode == "crop":
            steps = exact // multiple
        elif mode == "pad":
            steps = -(-exact // multiple)
        else:
            steps = round(exact / multiple)
        return max(1, steps) * multiple

    return side(source[0]), side(source[1])


def _placed(source: Size, target: Size, mode: str, scale: float | None) -> Fit:
    """Scale first, then crop or pad around the middle."""
    if mode == "stretch":
        return Fit(mode, source, target, target)
    ratios = (target[0] / source[0], target[1] / source[1])
    if mode == "crop":
        factor = max(*ratios, scale or 0.0)
        wide, high = (max(target[i], round(source[i] * factor)) for i in (0, 1))
        left, top = (wide - target[0]) // 2, (high - target[1]) // 2
    else:
        factor = min(*ratios, *([scale] if scale else []))
        wide, high = (max(1, min(target[i], round(source[i] * factor))) for i in (0, 1))
        left, top = (target[0] - wide) // 2, (target[1] - high) // 2
    return Fit(mode, source, (wide, high), target, left, top)


def fit(
    clip_or_frames: "Clip | Tensor",
    mode: str = "crop",
    multiple: int = 64,
    *,
    width: int = 0,
    height: int = 0,
    max_side: int = 0,
) -> tuple[Tensor, Fit]:
    """Frames whose sides are multiples of `multiple`, and how they were made. See `plan`.

    Frames (f, h, w, c) that already fit are returned as they are, bit for bit. Others are resized
    bicubically with antialiasing; a border repeats the frame's edge, which disturbs a model less
    than black bars do.
    """
    frames = clip_or_frames if isinstance(clip_or_frames, Tensor) else clip_or_frames.frames
    if frames.ndim != 4 or 0 in frames.shape:
        raise EvenframeError(
            f"frames have the shape {tuple(frames.shape)}: give (frames, height, width, 3)."
        )
    source = (frames.shape[2], frames.shape[1])
    how = plan(source, mode, multiple, width=width, height=height, max_side=max_side)
    return apply(frames, how), how


def fit_clip(
    clip: "Clip",
    mode: str = "crop",
    multiple: int = 64,
    *,
    width: int = 0,
    height: int = 0,
    max_side: int = 0,
) -> "Clip":
    """The clip with frames that fit, which remembers how to undo it. See `fit`."""
    frames, how = fit(clip, mode, multiple, width=width, height=height, max_side=max_side)
    original = clip.frames if mode == "crop" and not how.untouched else None
    return replace(clip, frames=frames, fit=how, original=original)


def apply(frames: Tensor, how: Fit) -> Tensor:
    """Make frames of the size `how.source` into frames of the size `how.size`."""
    if how.untouched:
        return frames
    frames = resize(frames, how.scaled)
    wide, high = how.size
    if how.mode == "crop":
        return frames[:, how.top : how.top + high, how.left : how.left + wide].contiguous()
    if how.mode == "pad":
        rows = _repeated_edge(how.top, how.scaled[1], high)
        columns = _repeated_edge(how.left, how.scaled[0], wide)
        return frames[:, rows][:, :, columns]
    return frames


def _repeated_edge(before: int, length: int, total: int) -> Tensor:
    """Which row each of `total` rows shows when `length` rows begin after `before`."""
    return (torch.arange(total) - before).clamp(0, length - 1)


def resize(frames: Tensor, size: Size) -> Tensor:
    """(f, h, w, c) frames of another size, bicubic with antialiasing, kept within 0..1."""
    wide, high = size
    if (frames.shape[2], frames.shape[1]) == size:
        return frames
    out = frames.new_empty(frames.shape[0], high, wide, frames.shape[3])
    for index, frame in enumerate(frames):  # one at a time: the working copies stay small
        planes = frame.movedim(-1, 0)[None]  # h w c -> 1 c h w
        planes = functional.interpolate(
            planes, size=(high, wide), mode="bicubic", align_corners=False, antialias=True
        )
        out[index] = planes[0].movedim(0, -1).clamp_(0, 1)
    return out


def unfit(frames: Tensor, how: Fit, around: Tensor | None = None) -> tuple[Tensor, str]:
    """Undo a fit on frames of the fitted size, and say in one line what was done.

    stretch: resized back. pad: the border is removed, then resized back. crop: pasted into
    `around`, (f, h, w, 3) frames of the source's size, where they were cut out; without it the
    frames stay cropped.
    Raises EvenframeError when the frames are not of the fitted size.
    """
    size = (frames.shape[2], frames.shape[1]) if frames.ndim == 4 else (0, 0)
    if size != how.size:
        raise EvenframeError(
            f"The frames are {size[0]}x{size[1]}, but the clip was fitted to "
            f"{how.size[0]}x{how.size[1]}: give frames of that size, or save without the clip."
        )
    wide, high = how.source
    if how.untouched:
        return frames, f"{wide}x{high}: as in the source"
    if how.mode == "crop" and how.scaled != how.size:
        return _pasted(frames, how, around)
    if how.mode == "pad":
        frames = frames[
            :, how.top : how.top + how.scaled[1], how.left : how.left + how.scaled[0]
        ].contiguous()
    done = "border removed" if how.mode == "pad" else "resized back"
    return resize(frames, how.source), f"{size[0]}x{size[1]} -> {wide}x{high}: {done}"


def unfit_clip(frames: Tensor, clip: "Clip") -> tuple[Tensor, str]:
    """Undo a clip's fit on edited frames, and say in one line what was done.

    Nothing is refused, so that no edit is lost: frames that are of another size or number than the
    clip's stay as they are, or stay cropped.
    """
    if clip.fit is None:
        return frames, "the clip was not fitted"
    original = clip.original
    if original is not None and len(original) != len(frames):
        original = None
    try:
        return unfit(frames, clip.fit, original)
    except EvenframeError as error:
        return frames, f"not undone. {error}"


def _pasted(frames: Tensor, how: Fit, around: Tensor | None) -> tuple[Tensor, str]:
    wide, high = how.source
    if around is None:
        return frames, (
            f"{how.size[0]}x{how.size[1]}: stays cropped, since the source's {wide}x{high} frames "
            "are not given"
        )
    if around.ndim != 4 or around.shape[1:] != (high, wide, frames.shape[3]):
        raise EvenframeError(
            f"The source frames have the shape {tuple(around.shape)}: "
            f"give (frames, {high}, {wide}, {frames.shape[3]})."
        )
    if around.shape[0] != frames.shape[0]:
        raise EvenframeError(
            f"There are {frames.shape[0]} frames and {around.shape[0]} source frames: "
            "give as many of one as of the other."
        )
    left, top, right, bottom = how.box()
    whole = around.clone()
    whole[:, top:bottom, left:right] = resize(frames, (right - left, bottom - top))
    return whole, (
        f"{how.size[0]}x{how.size[1]} -> {wide}x{high}: pasted back into the source frames"
    )
