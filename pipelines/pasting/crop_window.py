"""The part of each frame around its regions, for an editor that sees little else.

A still window holds the regions of all frames. A moving one has one size, so that the crop never
zooms, and follows a path that is as smooth as it can be without losing them.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..common.checks import frames_of_size
from ..common.errors import EvenframeError
from ..common.settings import check, setting
from ..video.placement import Placement
from ..video.resample import EXACT
from ..video.sizes import UNSEEN, Fitting, Size
from .smooth_path import smooth_within

MOST_ENLARGED = 3.0
"""A window is taken so large that an editor's best size enlarges it at most so many times, as far
as the frame has room: what is enlarged further shows an editor no more, but its surroundings do."""
MOST_LONG = 2.0
"""A window's longer side by its shorter one, as far as the frame has room: no editor was made for
strips."""
ALWAYS = 0.5
"""Of the context, what a moving window keeps on each side; the rest is there to be smooth in."""
WORTH = 1.5
"""From here on it is said how much larger a moving window would show the regions."""


@dataclass(frozen=True)
class Framing:
    """What a window shows beside its regions, and how it moves.

    The regions' size is the root of the area of their largest width and height, and a moving
    window's that of the largest one. Raises EvenframeError for settings out of range.
    """

    context: float = setting(
        0.25,
        "How much is shown around the regions, on each side: a share of their size. More lets the "
        "editor see where it is; less leaves more pixels to the region.",
        within=(0, 10),
    )
    least_context: int = setting(
        32, "Pixels of the file that are shown around the regions at least.", whole=(0, 4096)
    )
    moving: bool = setting(
        False,
        "Let the window follow the regions, at one size. Off, one still window holds the regions "
        "of all frames, which editors like better: the background stands still.",
    )
    smooth: int = setting(
        24,
        "Of a moving window: what moves quicker than in so many frames is smoothed away, as far "
        "as the regions stay inside with half of their context.",
        whole=(0, 1000),
    )

    def __post_init__(self) -> None:
        check(self)

    def around(self, sides: np.ndarray) -> float:
        """Pixels on each side of regions of a (width, height)."""
        return max(self.context * math.sqrt(sides.prod()), float(self.least_context))


STILL = Framing()


@dataclass(frozen=True)
class CropWindows:
    """The windows of a clip.

    placement: where they lie in the source's frames, inside of them and all of one size, and the
        size of the crops. frames: of the clip; absent: of these, frames without a region.
    moving_gain: how many times larger a moving window would show the regions than this still one.
    """

    placement: Placement
    frames: int
    absent: int = 0
    moving_gain: float = 1.0

    def __str__(self) -> str:
        placement = self.placement
        (left, top, right, bottom), source = placement.boxes[0], placement.source
        wide, high = right - left, bottom - top
        where = "moving" if len(placement.boxes) > 1 else f"from {left:.4g}, {top:.4g}"
        across, down = placement.size[0] / wide, placement.size[1] / high
        scale = f"{across:.3g} times larger" if across > 1 else f"{1 / across:.3g} times smaller"
        squeezed = max(across / down, down / across) - 1
        parts = [
            f"Window of {wide:.4g}x{high:.4g} in {source[0]}x{source[1]}, {where}",
            f"crops of {placement.size[0]}x{placement.size[1]}",
            "pixel by pixel" if across == down == 1 else scale,
            *([f"proportions changed by {squeezed:.1%}"] if squeezed >= UNSEEN else []),
            *([f"{self.absent} of {self.frames} frames have no region"] if self.absent else []),
        ]
        if self.moving_gain >= WORTH:
            parts.append(f"a moving one would show the regions {self.moving_gain:.2g} times larger")
        return ", ".join(parts)


def crop_windows(
    bounds: Tensor,
    source: Size,
    fitting: Fitting,
    framing: Framing = STILL,
) -> CropWindows:
    """The windows around regions, with their surroundings.

    bounds: (f, 4) of the regions, in the source's pixels, NaN on frames without any. What lies
        outside the frame is left out. source: (width, height) of the frames.
    fitting: the size of the crops. An area of pixels (`Fitting.pixels`) gives an editor's best size
        for the proportions; so do a width, a height, or both. With none of them crops have the
        window's own pixels, scaled down to `max_side`.

    Raises EvenframeError where no frame has a region.
    """
    present, low, high = _inside(bounds, source)
    margin = framing.around((high - low).max(0))
    followed = _window((high - low).max(0), margin, source, fitting)
    if framing.moving:
        window, size = followed
        held = zip(low.T, high.T, window.tolist(), source, strict=True)  # by axis
        paths = [_path(present, *axis, margin * ALWAYS, framing.smooth) for axis in held]
        corners = np.stack(paths, 1)
    else:
        low, high = low.min(0), high.max(0)
        window, size = _window(high - low, margin, source, fitting)
        corners = _still(low, high, window, source, size)[None]
    wide, tall = window.tolist()
    boxes = tuple((x, y, x + wide, y + tall) for x, y in corners.tolist())
    gain = followed[1][0] / followed[0][0] / (size[0] / window[0])
    absent = int((~present).sum())
    return CropWindows(Placement(source, size, boxes), len(bounds), absent, float(gain))


def _inside(bounds: Tensor, source: Size) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which frames have a region, (f,), and of these (left, top) and (right, bottom) inside."""
    inside = bounds.double().clamp(min=0)  # NaN stays
    inside = torch.minimum(inside, torch.tensor(source * 2)).numpy()
    low, high = inside[:, :2], inside[:, 2:]
    present = np.all(high > low, axis=1)
    if not present.any():
        raise EvenframeError(
            f"No region lies inside the {frames_of_size(len(bounds), source)}: draw one, or give "
            "the clip that the regions were drawn on."
        )
    return present, low[present], high[present]


def _window(
    bare: np.ndarray, margin: float, source: Size, fitting: Fitting
) -> tuple[np.ndarray, Size]:
    """The window's (width, height), and the crop's: of its proportions wherever the frame has room.

    bare: (width, height) of what must be inside.
    """
    frame = np.array(source, float)
    need = bare + 2 * margin
    need = np.minimum(np.maximum(need, need.max() / MOST_LONG), frame)
    named = bool(fitting.width or fitting.height or fitting.pixels)
    size = _crop_size(fitting, need)
    factor = max((need / size).max(), 1 / MOST_ENLARGED if named else 1.0)
    window = (np.array(size) * factor).round(EXACT)
    if (window <= frame).all():
        return window, size
    limited = np.minimum(window, frame)
    size = _crop_size(fitting, limited)
    largest = np.minimum(np.array(size) * (frame / size).min(), frame)  # of the crop's proportions
    return largest if (largest >= bare).all() else limited, size


def _crop_size(fitting: Fitting, window: np.ndarray) -> Size:
    wide, high = (max(1, round(side)) for side in window.tolist())
    return replace(fitting, mode="pad").plan((wide, high)).size


def _still(
    low: np.ndarray, high: np.ndarray, window: np.ndarray, source: Size, size: Size
) -> np.ndarray:
    """The (left, top) of one window around the middle of low..high."""
    corner = ((low + high - window) / 2).clip(0, source - window)
    whole = corner.round()
    if (window == size).all() and (whole <= low).all() and (whole + window >= high).all():
        return whole  # pixel by pixel: nothing has to be resampled
    return corner


def _path(
    present: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    window: float,
    frame: float,
    margin: float,
    smooth: int,
) -> np.ndarray:
    """Along one axis, where the window begins on each frame.

    present: frames with a region, which reaches from low to high and keeps a margin as far as
    window and frame have room for it.
    """
    last = frame - window
    least, most = np.zeros(len(present)), np.full(len(present), last)
    margins = np.minimum(margin, (window - (high - low)) / 2)
    least[present] = (np.minimum(high + margins, frame) - window).clip(0, last)
    most[present] = np.maximum(low - margins, 0).clip(0, last)
    middle = ((low + high - window) / 2).clip(least[present], most[present])
    wanted = np.interp(np.arange(len(present)), np.flatnonzero(present), middle)
    return smooth_within(wanted, least, most, smooth)
