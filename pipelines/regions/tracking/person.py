"""People, found anew on each frame by a small network that is part of this package.

The network sees a whole frame, then what is around each find: of a small figure in a wide frame the
first look has too few pixels. It looks there twice, as it is and mirrored, and the mean is brought
to the frame's size and to the edges in it by a guided filter. Needs OpenCV, no weights beside those
in `data/`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ...common.errors import EvenframeError, in_short
from . import packages
from .guided import guided_filter

if TYPE_CHECKING:
    from ...common.grids import Box

FILE = Path(__file__).parent / "data" / "selfie_segmentation_landscape.tflite"
SHA256 = "4aafe6223bb8dac6fac8ca8ed56852870a33051ef3f6238822d282a109962894"
ROWS, COLUMNS = 144, 256
"""Pixels of the picture that the network sees, whatever the shape of what it shows."""
LIKELY = 0.5
"""From this probability on, a pixel is a person's."""
AROUND = 0.1
"""The second look takes in so much around a find, as a share of its longer side."""
SPECK, DRAWN_SPECK = 0.001, 0.00025
"""What covers less of the frame is nobody, and not looked at again; the second share holds where a
box is drawn, since who is meant may be very small."""
MOST_LOOKS = 4
"""Second looks at one frame, at most: those at the largest finds."""
REACH, SMOOTHING = 2, 1e-3
"""Of the guided filter: its radius in pixels of the network, and how much contrast is an edge."""

Window = tuple[int, int, int, int]
"""left, top, right, bottom in whole pixels; the last two exclusive."""
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Segmenter:
    """net: the network, of `cv2.dnn`."""

    net: Any

    def look(self, frame: Tensor, window: Window) -> Tensor:
        """Probabilities of people in a window (its height, its width) of a frame (h, w, 3)."""
        left, top, right, bottom = window
        part = frame[top:bottom, left:right].permute(2, 0, 1)[None].float()  # 1 3 h w
        seen = F.interpolate(part, (ROWS, COLUMNS), mode="bilinear", antialias=True)
        self.net.setInput(seen.clamp(0, 1).contiguous().numpy())
        found = torch.from_numpy(self.net.forward().copy())  # 1 1 rows columns
        size = bottom - top, right - left
        return F.interpolate(found, size, mode="bilinear", antialias=True)[0, 0]

    def look_again(self, frame: Tensor, window: Window) -> Tensor:
        """As `look`, the mean of the window and of its mirror image."""
        left, top, right, bottom = window
        width = frame.shape[1]
        mirrored = self.look(frame.flip(1), (width - right, top, width - left, bottom))
        return (self.look(frame, window) + mirrored.flip(1)) / 2


def load_segmenter(file: Path = FILE) -> Segmenter:
    """The network that is part of this package.

    Raises EvenframeError where OpenCV is missing or too old, and where the file is not the one that
    was published: it is told by its hash, before anything reads it.
    """
    packages.require(packages.PERSON)
    import cv2

    data = file.read_bytes() if file.is_file() else b""
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise EvenframeError(
            f"'{file.name}', which finds people, is damaged or missing: install Evenframe again, "
            "or choose another tracker."
        )
    try:
        return Segmenter(cv2.dnn.readNetFromTFLite(np.frombuffer(data, np.uint8)))
    except cv2.error as error:
        raise EvenframeError(
            f"OpenCV {cv2.__version__} cannot read the network that finds people "
            f"({in_short(error)}): install OpenCV 4.10 or newer, or choose another tracker."
        ) from error


def find_people(
    segmenter: Segmenter, frame: Tensor, near: Sequence[Box] = (), drawn: Sequence[Box] = ()
) -> Mask:
    """Where people are on a frame (h, w, 3) in 0..1; nowhere where nobody is found.

    near: boxes (pixels) where they were on the frame before; looked at where the first look sees
        somebody in them, too, or what comes into the place of who left would be taken for them.
    drawn: boxes that are looked at in any case.
    """
    height, width = frame.shape[:2]
    frame = frame.detach().float().cpu()
    first = segmenter.look(frame, (0, 0, width, height)).numpy() >= LIKELY
    still = [box for box in near if inside(first, box).any()]
    windows = _windows([*drawn, *still, *boxes_of(first)], (height, width))
    found = np.zeros((height, width), np.float32)
    for left, top, right, bottom in windows:
        here = np.s_[top:bottom, left:right]
        seen = segmenter.look_again(frame, (left, top, right, bottom)).numpy()
        radius = max(1, round(REACH * max((bottom - top) / ROWS, (right - left) / COLUMNS)))
        found[here] = guided_filter(frame[here].numpy(), seen, radius, SMOOTHING)
    return _without_specks(found >= LIKELY, DRAWN_SPECK if drawn else SPECK)


def masks_of_people(segmenter: Segmenter, frames: Iterable[Tensor]) -> Iterator[Mask]:
    """As `find_people`, of frames that come one after the other; nothing of them is kept."""
    near: list[Box] = []
    for frame in frames:
        found = find_people(segmenter, frame, near)
        near = boxes_of(found)
        yield found


def boxes_of(mask: Mask, least: float = SPECK) -> list[Box]:
    """The boxes of a mask's connected parts, the largest part first.

    least: the share of the frame below which a part is left out.
    """
    import cv2

    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    parts = stats[1:][stats[1:, cv2.CC_STAT_AREA] >= least * mask.size]
    largest = parts[np.argsort(-parts[:, cv2.CC_STAT_AREA], kind="stable")]
    return [
        (float(left), float(top), float(left + width), float(top + height))
        for left, top, width, height, _ in largest.tolist()
    ]


def inside(mask: np.ndarray, box: Box) -> np.ndarray:
    """What of a mask (h, w) lies in a box, by whole pixels."""
    left, top, right, bottom = (max(0, round(edge)) for edge in box)
    return mask[top:bottom, left:right]


def _windows(boxes: Sequence[Box], frame_size: tuple[int, int]) -> list[Window]:
    """Where to look again: around each box, those that overlap as one; the largest first."""
    joined: list[Window] = []
    for box in boxes:
        window = _around(box, frame_size)
        while met := [other for other in joined if _overlap(window, other)]:
            joined = [other for other in joined if other not in met]
            low, high = np.array([window, *met])[:, :2], np.array([window, *met])[:, 2:]
            window = (*low.min(0).tolist(), *high.max(0).tolist())
        joined.append(window)
    return sorted(joined, key=lambda w: (w[2] - w[0]) * (w[3] - w[1]), reverse=True)[:MOST_LOOKS]


def _around(box: Box, frame_size: tuple[int, int]) -> Window:
    left, top, right, bottom = box
    margin = AROUND * max(right - left, bottom - top)
    height, width = frame_size
    left, top = max(0, int(left - margin)), max(0, int(top - margin))
    right, bottom = min(width, ceil(right + margin)), min(height, ceil(bottom + margin))
    return min(left, width - 1), min(top, height - 1), max(right, 1), max(bottom, 1)


def _overlap(one: Window, other: Window) -> bool:
    return max(one[0], other[0]) < min(one[2], other[2]) and max(one[1], other[1]) < min(
        one[3], other[3]
    )


def _without_specks(mask: Mask, least: float) -> Mask:
    import cv2

    found: Any = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    _, labels, stats, _ = found
    large = stats[:, cv2.CC_STAT_AREA] >= least * mask.size
    large[0] = False  # the background
    return large[labels]
