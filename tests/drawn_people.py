"""People drawn with ellipses: enough of a likeness for the network that finds people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Mask = NDArray[np.bool_]
HAIR, SKIN, DARK, LIPS = (60, 40, 30), (225, 180, 150), (40, 30, 30), (180, 80, 80)


@dataclass(frozen=True)
class Figure:
    """x: of the middle, y: of the head's top, in pixels; scale 1 is 155 pixels high."""

    x: float
    y: float
    scale: float = 1.0
    coat: tuple[int, int, int] = (60, 60, 150)

    def ellipses(self):
        """(x, y), half axes, angle and colour; what is drawn first lies below."""
        yield (0, 95), (44, 60), 0, self.coat
        yield (-45, 100), (12, 50), 10, self.coat
        yield (45, 100), (12, 50), -10, self.coat
        yield (0, 40), (9, 16), 0, SKIN
        yield (0, 14), (23, 26), 0, HAIR
        yield (0, 20), (18, 24), 0, SKIN
        yield (-7, 15), (2, 2), 0, DARK
        yield (7, 15), (2, 2), 0, DARK
        yield (0, 30), (6, 2), 0, LIPS


def meadow(size: tuple[int, int] = (180, 320)) -> NDArray[np.uint8]:
    """A frame (h, w, 3) of sky and grass, without anybody."""
    frame = np.full((*size, 3), (150, 180, 210), np.uint8)
    frame[size[0] // 2 :] = (90, 140, 80)
    return frame


def drawn(
    figures: Sequence[Figure], size: tuple[int, int] = (180, 320)
) -> tuple[Tensor, NDArray[np.uint8]]:
    """A frame (h, w, 3) in 0..1, and (h, w) with k where the k-th figure is seen; the last lies on
    top."""
    import cv2

    frame, labels = meadow(size), np.zeros(size, np.uint8)
    for label, figure in enumerate(figures, start=1):
        for (x, y), axes, angle, colour in figure.ellipses():
            centre = round(figure.x + x * figure.scale), round(figure.y + y * figure.scale)
            half = max(1, round(axes[0] * figure.scale)), max(1, round(axes[1] * figure.scale))
            cv2.ellipse(frame, centre, half, angle, 0, 360, colour, -1, cv2.LINE_AA)
            cv2.ellipse(labels, centre, half, angle, 0, 360, label, -1)
    return torch.from_numpy(frame).float() / 255, labels


def overlap(mask: Mask, truth: Mask) -> float:
    """Intersection over union; 1 where both are empty."""
    either = (mask | truth).sum()
    return float((mask & truth).sum() / either) if either else 1.0
