"""Optical flow between the neighbouring frames of a clip. Needs OpenCV, no weights.

Flow: "Fast Optical Flow using Dense Inverse Search" (ECCV 2016). Occlusion: the forward-backward
check of "Dense Point Trajectories by GPU-Accelerated Large Displacement Optical Flow" (ECCV 2010).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...common.errors import EvenframeError
from ...common.pictures import to_bytes
from . import packages

if TYPE_CHECKING:
    import numpy as np

RELATIVE, ABSOLUTE = 0.01, 0.5
"""Flows there and back may differ, squared, by this share of their lengths plus so many pixels."""
KEPT_BYTES = 2**30
"""Flows that are needed twice are kept in so much memory; beyond, they are computed twice."""
LEAST_SIDES = (8, 12)
"""Smaller frames have no optical flow for OpenCV: pixels along the shorter and the longer side."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """From the frame `before` to the neighbouring frame `now`. Flows: (h, w, 2), pixels, x first.

    there: where a pixel of `before` is in `now`; back: where one of `now` was in `before`.
    """

    before: int
    now: int
    there: Tensor
    back: Tensor


class Fields:
    """The flows of a clip (f, h, w, 3) in 0..1, each computed once where it is used both ways."""

    def __init__(self, frames: Tensor) -> None:
        require_room(len(frames), (frames.shape[1], frames.shape[2]))
        self._flow = _dense_flow()
        self._grey = _grey(frames)
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}
        self._room = KEPT_BYTES // (8 * self._grey[0].size)  # pairs of two half-precision numbers

    def step(self, before: int, now: int, again: bool = False) -> Neighbours:
        """The flows of two neighbouring frames. again: they are asked for once more, reversed."""
        first = min(before, now)
        if first in self._kept:
            there, back = (flow.float() for flow in self._kept.pop(first))
        else:
            there = torch.from_numpy(
                self._flow.calc(self._grey[first], self._grey[first + 1], None)
            )
            back = torch.from_numpy(self._flow.calc(self._grey[first + 1], self._grey[first], None))
            if again and len(self._kept) < self._room:
                self._kept[first] = there.half(), back.half()
        return Neighbours(before, now, *((there, back) if before < now else (back, there)))


def require_room(count: int, frame_size: tuple[int, int]) -> None:
    """Raise EvenframeError where frames of (height, width) are too small to be followed."""
    shorter, longer = LEAST_SIDES
    if count > 1 and (min(frame_size) < shorter or max(frame_size) < longer):
        raise EvenframeError(
            f"The frames are {frame_size[1]}x{frame_size[0]} pixels, too small for optical flow: "
            f"give frames of {longer}x{longer} or more, or choose SAM 2 as the tracker."
        )


def _dense_flow() -> Any:
    packages.require(packages.OPTICAL_FLOW)
    import cv2

    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow.setFinestScale(0)  # full resolution: outlines of small objects depend on it
    return flow


def _grey(frames: Tensor) -> np.ndarray:
    """(f, h, w) bytes: along the colours' first principal axis, where a clip has most contrast.

    Luma would not tell things of other colours but the same brightness apart.
    """
    colours = frames[:, ::4, ::4].reshape(-1, 3).double()
    axis = torch.linalg.eigh(torch.cov(colours.T)).eigenvectors[:, -1]
    grey = frames @ axis.float()
    low, high = grey.min(), grey.max()
    return to_bytes((grey - low) / (high - low).clamp(min=1e-6)).numpy()


def agree(flow: Tensor, opposite: Tensor) -> Tensor:
    """(h, w) bool: whether the flow there and the flow back cancel, within the frame."""
    points = pixels(flow) + flow
    limits = torch.tensor([flow.shape[1] - 1, flow.shape[0] - 1])
    inside = ((points >= 0) & (points <= limits)).all(-1)
    returned = sample(opposite, points)
    lengths = flow.square().sum(-1) + returned.square().sum(-1)
    return inside & ((flow + returned).square().sum(-1) <= RELATIVE * lengths + ABSOLUTE)


def pixels(image: Tensor) -> Tensor:
    """(h, w, 2): x and y of every pixel of an image (h, w, ...)."""
    height, width = image.shape[:2]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([columns, rows], dim=-1).float()


def sample(image: Tensor, points: Tensor) -> Tensor:
    """An image (h, w, c) at points (rows, columns, 2) in pixels, bilinear; 0 outside."""
    scale = torch.tensor([image.shape[1], image.shape[0]])
    where = (points * 2 + 1) / scale - 1
    planes = image.permute(2, 0, 1)[None]  # 1 c h w
    sampled = F.grid_sample(planes, where[None], padding_mode="zeros", align_corners=False)
    return sampled[0].permute(1, 2, 0)
