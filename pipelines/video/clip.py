"""The clip: frames, their rate, and their sound."""

from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from ..common.checks import require_numbers
from ..common.errors import EvenframeError
from .audio import Audio
from .footage import Footage, Stock
from .lengths import Count
from .placement import Placement
from .rate import as_rate
from .sizes import Fit


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames that are played one after the other, and what is known of where they come from.

    frames: (f, h, w, 3) float32, 0..1, contiguous, on the CPU.
    frame_rate: frames in a second. The clip plays as long as the part of the file it was taken
        from: every second frame of a clip of 24 frames a second plays at 12.
    audio: the sound of that part.
    timestamps: seconds from the start of the file, one for each frame.
    source: a name for people: a file name, or what made the images.
    fit: how `frames` were made from frames of another size; None when they are as they came.
    original: (f, h, w, 3), floats or as decoded (uint8, uint16), the frames before the fit: `undo`
        pastes back into them. None where nothing was changed, and of a file, which can be read
        again, unless some of them was cropped away. Those that were trimmed at the end for an
        editor are among them, and none is repeated.
    warnings: what the user should know, a line each.
    footage: the file that it was loaded from; None for images.
    stock: the images or the film that it was chosen from; None where it is all of them, or a file.
    window: where the frames lie in those of their source, where they are crops without a fit.
    count: how their number came to be one that an editor takes; None where any would do.
    """

    frames: Tensor
    frame_rate: Fraction
    audio: Audio | None = None
    timestamps: tuple[float, ...] = ()
    source: str = "images"
    fit: Fit | None = None
    original: Tensor | None = None
    warnings: tuple[str, ...] = ()
    footage: Footage | None = None
    count: Count | None = None
    window: Placement | None = None
    stock: Stock | None = None

    def __len__(self) -> int:
        return self.frames.shape[0]

    @property
    def width(self) -> int:
        return self.frames.shape[2]

    @property
    def height(self) -> int:
        return self.frames.shape[1]

    @property
    def repeated(self) -> int:
        """Frames at the end that only repeat the one before them."""
        return 0 if self.count is None else self.count.repeated

    @property
    def own_frames(self) -> int:
        """How many there are without the repeated ones."""
        return len(self) - self.repeated

    @property
    def seconds(self) -> Fraction:
        """How long the clip plays."""
        return len(self) / self.frame_rate

    @property
    def placement(self) -> Placement:
        """Where the frames lie in those of their source."""
        if self.window is not None:
            return self.window
        size = (self.width, self.height)
        return Placement.whole(size, size) if self.fit is None else Placement.of(self.fit)

    def describe(self) -> str:
        """The clip in a few lines, for people."""
        sound = "no sound"
        if self.audio is not None:
            channels = self.audio.samples.shape[0]
            kind = {1: "mono", 2: "stereo"}.get(channels, f"{channels}-channel")
            sound = f"{kind} sound at {self.audio.sample_rate} Hz"
        rate, seconds = float(self.frame_rate), float(self.seconds)
        first = (
            f"{self.source}: {len(self)} frames of {self.width}x{self.height}, "
            f"{rate:.4g} frames a second, {seconds:.3f} s, {sound}"
        )
        changes = (str(change) for change in (self.fit, self.count) if change is not None)
        return "\n".join([first, *changes, *self.warnings])


def clip_from_images(
    images: Tensor,
    frame_rate: float | Fraction,
    audio: Audio | None = None,
    *,
    source: str = "images",
) -> Clip:
    """A clip of images that another program made.

    images: (f, h, w, c) with 1 (grey), 3 (RGB) or 4 (RGBA) channels; floats in 0..1 or uint8.
        Transparent pixels are put on black. Raises EvenframeError for other shapes, other whole
        numbers, no frames, or pixels that are not numbers (naming the frame).
    audio: sound that starts with the first frame; what is longer than the frames is cut off.
    """
    rate, (frames, warnings) = as_rate(frame_rate), rgb_frames(images)
    audio = audio and audio.cut(len(frames) / rate)
    times = tuple(float(index / rate) for index in range(len(frames)))
    return Clip(frames, rate, audio, times, source, warnings=warnings)


def rgb_frames(images: Tensor) -> tuple[Tensor, tuple[str, ...]]:
    """Images of 1, 3 or 4 channels as (f, h, w, 3) float32 in 0..1, and what had to be done."""
    if images.ndim != 4 or images.shape[-1] not in (1, 3, 4):
        raise EvenframeError(
            f"The images have the shape {tuple(images.shape)}: "
            "give (frames, height, width, channels) with 1, 3 or 4 channels."
        )
    if 0 in images.shape:
        raise EvenframeError("There are no images: give at least one frame.")
    if images.dtype != torch.uint8 and not images.is_floating_point():
        kind = str(images.dtype).removeprefix("torch.")
        raise EvenframeError(
            f"The images are {kind}: give floating-point pixels from 0 to 1, or bytes (uint8)."
        )
    frames = images.detach().cpu()
    frames = frames.float() / 255 if frames.dtype == torch.uint8 else frames.float()
    require_numbers(frames)
    warnings: list[str] = []
    if float(frames.min()) < 0 or float(frames.max()) > 1:
        warnings.append("Pixels outside 0..1 were brought into that range.")
        frames = frames.clamp(0, 1)
    if frames.shape[-1] == 1:
        frames = frames.expand(-1, -1, -1, 3)
    elif frames.shape[-1] == 4:
        frames, see_through = on_black(frames)
        warnings += [ALPHA_WARNING] if see_through else []
    return frames.contiguous(), tuple(warnings)


ALPHA_WARNING = "The frames have transparent pixels: they were put on black."


def on_black(rgba: Tensor) -> tuple[Tensor, bool]:
    """(..., h, w, 4) pixels on a black background, and whether any was transparent."""
    alpha = rgba[..., 3:]
    see_through = bool((alpha < 1).any())
    return (rgba[..., :3] * alpha if see_through else rgba[..., :3]), see_through
