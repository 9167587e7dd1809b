"""What in a box is the object, by its colours against those around the box.

Source: "GrabCut: Interactive Foreground Extraction using Iterated Graph Cuts" (SIGGRAPH 2004).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ...common.grids import Box
from ...common.pictures import to_bytes

LONGEST = 160
"""Pixels along the longer side of what is looked at: it is only for choosing points."""
AROUND = 0.2
"""By this share of its sides, what is looked at is larger than the box."""
LEAST = 0.1
"""Below this share of the box, what was found is not believed."""
ROUNDS = 4


def foreground(frame: Tensor, box: Box) -> Tensor:
    """(h, w) of 0 and 1: what in a box of a frame (h, w, 3) differs from its surroundings.

    The whole box, where nothing around it is in the frame, or hardly anything in it differs.
    """
    height, width = frame.shape[:2]
    left, top, right, bottom = _whole(box, height, width)
    filled = torch.zeros(height, width)
    filled[top:bottom, left:right] = 1
    out_x, out_y = (int(AROUND * side) + 4 for side in (right - left, bottom - top))
    x, y = max(left - out_x, 0), max(top - out_y, 0)
    near = (slice(y, bottom + out_y), slice(x, right + out_x))
    if filled[near].all():
        return filled
    found = torch.zeros(height, width)
    found[near] = _cut(frame[near], filled[near])
    found *= filled
    return found if float(found.sum()) >= LEAST * float(filled.sum()) else filled


def _whole(box: Box, height: int, width: int) -> tuple[int, int, int, int]:
    """The pixels of a box that are in the frame, at least one."""
    left, top = min(max(round(box[0]), 0), width - 1), min(max(round(box[1]), 0), height - 1)
    right, bottom = min(round(box[2]), width), min(round(box[3]), height)
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _cut(frame: Tensor, filled: Tensor) -> Tensor:
    """(h, w) of 0 and 1, of a mask that holds the object and some surroundings."""
    import cv2
    import numpy as np

    size = frame.shape[:2]
    scale = min(1.0, LONGEST / max(size))
    rows, columns = (max(round(side * scale), 4) for side in size)
    planes = torch.cat([frame, filled[..., None]], -1).permute(2, 0, 1)[None]  # 1 4 h w
    planes = F.interpolate(planes, (rows, columns), mode="area")[0]
    marks = np.where(planes[3].numpy() > 0.5, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    if not (marks == cv2.GC_BGD).any() or not (marks == cv2.GC_PR_FGD).any():
        return filled
    picture = to_bytes(planes[:3].permute(1, 2, 0)).contiguous().numpy()
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)  # its clusters begin at random: the same box gives the same track
    everywhere = (0, 0, columns, rows)
    cv2.grabCut(picture, marks, everywhere, *models, ROUNDS, cv2.GC_INIT_WITH_MASK)
    found = torch.from_numpy((marks == cv2.GC_PR_FGD).astype(np.float32))
    sized = F.interpolate(found[None, None], size, mode="bilinear", align_corners=False)
    return (sized[0, 0] > 0.5).float()
