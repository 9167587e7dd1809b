"""Follow a mask or a box through a clip by dense optical flow. Needs OpenCV, no weights.

Flow: "Fast Optical Flow using Dense Inverse Search" (ECCV 2016). Occlusion: the forward-backward
check of "Dense Point Trajectories by GPU-Accelerated Large Displacement Optical Flow" (ECCV 2010).
Boxes: "Forward-Backward Error: Automatic Detection of Tracking Failures" (ICPR 2010).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..pictures import to_bytes
from ..progress import OnFrame
from ..region import Box
from . import packages

if TYPE_CHECKING:
    import numpy as np

RELATIVE, ABSOLUTE = 0.01, 0.5
"""Flows there and back may differ, squared, by this share of their lengths plus so many pixels."""
CHANGED = 0.1
"""From this difference of a colour channel (0..1) on, a pixel shows something else."""
NEAR, SURROUNDED = 3, 0.75
"""A hole has so many pixels around it, this share of them in the mask."""
GRID = 20
"""A box is followed by so many points along each side."""
MIN_SIDE = 2.0
"""A box never gets smaller than this, in pixels."""


@dataclass(frozen=True, eq=False)
class _Step:
    """From the frame `before` to the neighbouring frame `now`. Flows: (h, w, 2), pixels, x first.

    there: where a pixel of `before` is in `now`; back: where one of `now` was in `before`.
    """

    before: int
    now: int
    there: Tensor
    back: Tensor


def follow_mask(
    frames: Tensor, mask: Tensor, start: int, on_frame: OnFrame | None = None
) -> Tensor:
    """Masks (f, h, w) of 0 and 1 on all frames, from the one (h, w) on the frame `start`.

    frames: (f, h, w, 3) in 0..1. Each step warps the mask of the frame beside it. What flow says
    was hidden there, and has another colour, is dropped, unless it is a hole in the mask.
    """
    masks = torch.zeros(frames.shape[:3])
    masks[start] = mask
    soft = masks.clone()
    for step in _steps(frames, start, on_frame):
        points = _pixels(step.back) + step.back
        warped = _sample(soft[step.before, ..., None], points)[..., 0]
        changed = (_sample(frames[step.before], points) - frames[step.now]).abs().amax(-1) > CHANGED
        seen = ~changed | _agree(step.back, step.there)
        soft[step.now] = torch.where(seen, warped, _holes(warped, seen))
        masks[step.now] = (soft[step.now] > 0.5).float()
    return masks


def follow_box(frames: Tensor, box: Box, start: int, on_frame: OnFrame | None = None) -> list[Box]:
    """A box (pixels) on every frame, from the one on the frame `start`.

    It moves by the median of a grid of points and grows by the median of their distances' ratios;
    the half of the points that return worst is left out. It stops where it would leave the frame.
    """
    boxes: list[Box] = [box] * len(frames)
    for step in _steps(frames, start, on_frame):
        boxes[step.now] = _moved(boxes[step.before], step)
    return boxes


def _moved(box: Box, step: _Step) -> Box:
    points = _grid(box, step.there.shape[:2])
    if len(points) == 0:  # so little of it is left in the frame
        return box
    moved = points + _sample(step.there, points[None])[0]
    error = (moved + _sample(step.back, moved[None])[0] - points).norm(dim=-1)
    kept = error <= error.median()
    points, moved = points[kept], moved[kept]
    x, y = (moved - points).median(0).values.tolist()
    before, now = torch.pdist(points), torch.pdist(moved)
    scale = float((now / before).median()) if len(before) else 1.0
    left, top, right, bottom = box
    centre_x, centre_y = (left + right) / 2 + x, (top + bottom) / 2 + y
    half_width = max((right - left) * scale, MIN_SIDE) / 2
    half_height = max((bottom - top) * scale, MIN_SIDE) / 2
    now_left, now_right = centre_x - half_width, centre_x + half_width
    now_top, now_bottom = centre_y - half_height, centre_y + half_height
    rows, columns = step.there.shape[:2]
    if now_right <= 0 or now_bottom <= 0 or now_left >= columns or now_top >= rows:
        return box
    return now_left, now_top, now_right, now_bottom


def _grid(box: Box, frame_size: tuple[int, ...]) -> Tensor:
    """(n, 2) points of a box that lie in the frame; pixel centres are whole numbers."""
    height, width = frame_size
    inside = (torch.arange(GRID) + 0.5) / GRID
    xs = box[0] + (box[2] - box[0]) * inside - 0.5
    ys = box[1] + (box[3] - box[1]) * inside - 0.5
    xs, ys = xs[(xs >= 0) & (xs <= width - 1)], ys[(ys >= 0) & (ys <= height - 1)]
    return torch.cartesian_prod(xs, ys)


def _steps(frames: Tensor, start: int, on_frame: OnFrame | None) -> Iterator[_Step]:
    """Frame by frame from `start` to the end, then from `start` back to the beginning."""
    flow = _dense_flow()
    grey = _grey(frames)
    later = [(now - 1, now) for now in range(start + 1, len(frames))]
    earlier = [(now + 1, now) for now in range(start - 1, -1, -1)]
    for done, (before, now) in enumerate(later + earlier, start=2):  # the first was given
        there = torch.from_numpy(flow.calc(grey[before], grey[now], None))
        back = torch.from_numpy(flow.calc(grey[now], grey[before], None))
        yield _Step(before, now, there, back)
        if on_frame is not None:
            on_frame(done)


def _dense_flow() -> Any:
    packages.require(packages.OPTICAL_FLOW)
    import cv2

    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow.setFinestScale(0)  # full resolution: outlines of small objects depend on it
    return flow


def _grey(frames: Tensor) -> "np.ndarray":
    """(f, h, w) bytes: along the colours' first principal axis, where a clip has most contrast.

    Luma would not tell things of other colours but the same brightness apart.
    """
    colours = frames[:, ::4, ::4].reshape(-1, 3).double()
    axis = torch.linalg.eigh(torch.cov(colours.T)).eigenvectors[:, -1]
    grey = frames @ axis.float()
    low, high = grey.min(), grey.max()
    return to_bytes((grey - low) / (high - low).clamp(min=1e-6)).numpy()


def _holes(mask: Tensor, seen: Tensor) -> Tensor:
    """(h, w) of 0 and 1: where nearly all pixels nearby that are seen belong to the mask."""
    weights = torch.stack([mask * seen, seen.float()])[None]  # 1 2 h w
    inside, count = F.avg_pool2d(weights, 2 * NEAR + 1, 1, NEAR)[0]
    return (inside > SURROUNDED * count).float()


def _agree(flow: Tensor, opposite: Tensor) -> Tensor:
    """(h, w) bool: whether the flow there and the flow back cancel, within the frame."""
    points = _pixels(flow) + flow
    limits = torch.tensor([flow.shape[1] - 1, flow.shape[0] - 1])
    inside = ((points >= 0) & (points <= limits)).all(-1)
    returned = _sample(opposite, points)
    lengths = flow.square().sum(-1) + returned.square().sum(-1)
    return inside & ((flow + returned).square().sum(-1) <= RELATIVE * lengths + ABSOLUTE)


def _pixels(flow: Tensor) -> Tensor:
    """(h, w, 2): x and y of every pixel."""
    height, width = flow.shape[:2]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([columns, rows], dim=-1).float()


def _sample(image: Tensor, points: Tensor) -> Tensor:
    """An image (h, w, c) at points (rows, columns, 2) in pixels, bilinear; 0 outside."""
    scale = torch.tensor([image.shape[1], image.shape[0]])
    where = (points * 2 + 1) / scale - 1
    planes = image.permute(2, 0, 1)[None]  # 1 c h w
    sampled = F.grid_sample(planes, where[None], padding_mode="zeros", align_corners=False)
    return sampled[0].permute(1, 2, 0)
