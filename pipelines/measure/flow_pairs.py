"""Optical flow between the neighbouring frames of a clip, and what it says of two clips."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..common.pictures import to_bytes
from .asked import NotMeasured

if TYPE_CHECKING:
    from torch import Tensor

FRAMES, SIDE = 12, 384
"""The first frames of a clip, and the longer side at which flow is sought, in pixels."""

Array = NDArray[np.float32]


def sized(frames: Tensor) -> NDArray[np.uint8]:
    """(n, h, w, 3): the first frames at that size, by area."""
    import cv2

    pictures = to_bytes(frames[:FRAMES]).numpy()
    height, width = pictures.shape[1:3]
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.stack([cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in pictures])


@dataclass(frozen=True, eq=False)
class Pair:
    """Two neighbouring frames of a clip. back: (h, w, 2), for each pixel of the second the way in
    pixels to where the first has it. visible: (h, w), where the way there and back agree."""

    first: int
    back: Array
    visible: NDArray[np.bool_]


def flows(pictures: NDArray[np.uint8], way: int = -1) -> list[Array]:
    """(h, w, 2) for each pair of neighbours, in pixels, by OpenCV's DIS, preset medium, on grey.

    way: -1 for where the first of two frames has each pixel of the second, 1 the other way round.
    Raises NotMeasured for a single frame.
    """
    import cv2

    if len(pictures) < 2:
        raise NotMeasured("the clip has one frame, and motion needs two")
    search: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = [cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in pictures]
    return [search.calc(*pair[::way], None) for pair in pairwise(grey)]


def pairs(pictures: NDArray[np.uint8]) -> list[Pair]:
    """The neighbours of a clip, their flow checked forward and backward."""
    both = zip(flows(pictures), flows(pictures, way=1), strict=True)
    return [
        Pair(at, back, visible(back, warped(forth, back))) for at, (back, forth) in enumerate(both)
    ]


def visible(back: Array, forth: Array) -> NDArray[np.bool_]:
    """Where a way there and the way back (h, w, 2) cancel out: |b + f|² < .01 (|b|² + |f|²) + .5
    (Sundaram, Brox and Keutzer, ECCV 2010)."""
    apart = ((back + forth) ** 2).sum(-1)
    return apart < 0.01 * ((back**2).sum(-1) + (forth**2).sum(-1)) + 0.5


def warped(picture: Any, back: Array) -> Any:
    """A picture (h, w, c) as seen from the next frame: bilinear, its edge repeated."""
    import cv2

    height, width = back.shape[:2]
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    across = (columns + back[..., 0]).astype(np.float32)
    down = (rows + back[..., 1]).astype(np.float32)
    return cv2.remap(picture, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
