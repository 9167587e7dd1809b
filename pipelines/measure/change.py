"""How much an edit changed each frame, where it should and where it should not."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from ..common.progress import OnPass, carry_on

if TYPE_CHECKING:
    from ..regions.regions import Regions

AT_ONCE = 8
"""Frames whose regions are drawn at a time: masks of a long clip take as much room as it does."""


@dataclass(frozen=True)
class Change:
    """Mean absolute differences of two clips, 0..1, one for each frame.

    whole: of all pixels; inside, outside: of those that regions cover and the others, by how much
    they do. None for a frame that has none of them, and for all where there are no regions.
    """

    whole: tuple[float, ...]
    inside: tuple[float | None, ...] = ()
    outside: tuple[float | None, ...] = ()


def change(
    before: Tensor,
    after: Tensor,
    regions: "Regions | None" = None,
    on_pass: OnPass = carry_on,
) -> Change:
    """The change from one clip (f, h, w, 3) in 0..1 to another of the same shape.

    on_pass: called now and then. Raises EvenframeError for regions of another clip.
    """
    count, size = len(before), (before.shape[1], before.shape[2])
    if regions is not None:
        regions.require(count, size)
    whole, inside, outside = [], [], []
    for start in range(0, count, AT_ONCE):
        frames = range(start, min(count, start + AT_ONCE))
        own = slice(frames.start, frames.stop)
        on_pass()
        moved = (after[own] - before[own]).abs().mean(-1)  # t h w
        whole += moved.mean((1, 2)).tolist()
        if regions is not None:
            covered = regions.part(frames).coverage(size)  # t h w
            inside += _means(moved, covered)
            outside += _means(moved, 1 - covered)
    return Change(tuple(whole), tuple(inside), tuple(outside))


def _means(values: Tensor, weights: Tensor) -> list[float | None]:
    """The weighted mean of each frame (h, w); None where nothing has a weight."""
    total, weight = (values * weights).sum((1, 2)).tolist(), weights.sum((1, 2)).tolist()
    return [each / by if by else None for each, by in zip(total, weight, strict=True)]
