"""How an object moves from one frame to the next: the affine map that most of its pixels share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

MOST_POINTS, LEAST_POINTS = 4000, 12
ROUNDS = 4
FAR, CLOSE = 2.5, 0.5
"""Left out is what lies off by so many times the median, and by more than so many pixels."""
STIFF = 0.05
"""How strongly an object is believed to keep its shape, against all of its pixels."""
LARGEST = 0.15
"""In one step, lengths change by at most this share."""


@dataclass(frozen=True, eq=False)
class Affine:
    """x' = linear x + shift, in pixels, x first. linear: (2, 2). shift: (2,)."""

    linear: Tensor
    shift: Tensor

    def of(self, points: Tensor) -> Tensor:
        """Where points (..., 2) go."""
        return points @ self.linear.T + self.shift

    def origin(self, points: Tensor) -> Tensor:
        """Where points (..., 2) come from."""
        return (points - self.shift) @ torch.linalg.inv(self.linear).T

    def after(self, first: Affine) -> Affine:
        """First the other, then this."""
        return Affine(self.linear @ first.linear, self.of(first.shift))


def shifted(shift: Tensor) -> Affine:
    """The same way (2,) everywhere."""
    return Affine(torch.eye(2), shift)


def fit(points: Tensor, moved: Tensor, whole: int) -> Affine | None:
    """The motion that most of some points (n, 2) share, by least squares; None of too few points.

    Points that it does not explain are left out, and it is fitted again. whole: how many there
    would be if nothing were hidden: the fewer are seen, the less the shape is believed to change.
    """
    if len(points) < LEAST_POINTS:
        return None
    stiff = STIFF * max(whole / len(points), 1.0)
    stride = -(-len(points) // MOST_POINTS)
    points, moved = points[::stride].double(), moved[::stride].double()
    same = torch.eye(2, dtype=torch.float64)
    motion = Affine(same, (moved - points).median(0).values)
    for _ in range(ROUNDS):
        off = (motion.of(points) - moved).norm(dim=-1)
        kept = off <= max(FAR * float(off.median()), CLOSE)
        middle, target = points[kept].mean(0), moved[kept].mean(0)
        arms, pull = points[kept] - middle, moved[kept] - target
        spread = arms.T @ arms
        spread += stiff * spread.diagonal().mean() * same + 1e-6 * same
        change = torch.linalg.solve(spread, arms.T @ (pull - arms)).T
        linear = same + change.clamp(-LARGEST, LARGEST)
        motion = Affine(linear, target - linear @ middle)
    return Affine(motion.linear.float(), motion.shift.float())
