"""Regions that were drawn on the frames of a clip, as masks in the pixels of its source."""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from ..common.checks import frames_of_size
from ..common.errors import EvenframeError
from ..common.grids import Box
from ..regions.region import BoxRegion, Region, to_grid
from ..regions.regions import Regions
from ..video.clip import Clip
from ..video.placement import Area, Placement
from ..video.resample import Resampler, way_back
from ..video.sizes import Size
from .edge import softened

FAINT = 1 / 512
"""An enlarged mask below this is 0: half of what a byte can tell."""
SUPPORT = 3
"""Pixels of a mask by which its enlarging may reach beyond it."""


class MaskResampler:
    """Rectangles of masks of one size, at another size; keeps what the next one may use again.

    source, size: (width, height) before and after.
    """

    def __init__(self, source: Size, size: Size) -> None:
        self.size = size
        self._resampler = lru_cache(2)(  # one for each kernel
            lambda kernel, box: Resampler(source, box, size, kernel, 1)
        )

    def resampled(self, mask: Tensor, box: Box, area: Area | None = None) -> Tensor:
        """A rectangle of a mask (h, w): a hard one stays hard, with a smooth outline.

        area: the part of the result that is wanted; None for all.
        """
        hard = bool(((mask == 0) | (mask == 1)).all())
        left, top, right, bottom = area or (0, 0, *self.size)
        resampler = self._resampler("lanczos" if hard else "triangle", box)
        large = resampler.part(mask[..., None], top, bottom, left, right)[..., 0]
        return (large >= 0.5).float() if hard else torch.where(large < FAINT, 0.0, large)


@dataclass(frozen=True, eq=False)
class Places:
    """Where the regions of a clip lie in its source.

    regions: drawn on frames that show what `placement` says of the source.
    """

    regions: Regions
    placement: Placement

    @cached_property
    def _bounds(self) -> Tensor:
        """(f, 4): the pixels that the regions touch, and those that their enlarging may."""
        return self.regions.bounds(SUPPORT)

    @cached_property
    def _masks(self) -> MaskResampler:
        return MaskResampler(self.placement.size, self.placement.source)

    def area(self, index: int, margin: int) -> Area | None:
        """What of the source's frame number `index` the regions touch, and so many pixels around;
        None where they touch nothing."""
        wide, high = self.placement.source
        left, top, right, bottom = self._to_source(self._bounds, index)
        if math.isnan(left):
            return None
        margin += max(self._soft(region, index) for region in self.regions.items)
        area = (
            max(0, int(left) - margin),
            max(0, int(top) - margin),
            min(wide, int(right) + 1 + margin),
            min(high, int(bottom) + 1 + margin),
        )
        return area if area[0] < area[2] and area[1] < area[3] else None

    def alike(self, one: int, other: int) -> bool:
        """Whether the regions lie at the same places of the source on two frames."""
        if self.placement.box(one) != self.placement.box(other):
            return False
        return all(region.alike(one, other) for region in self.regions.items)

    def masks(self, index: int, area: Area) -> Tensor:
        """(n, 1, h, w) in 0..1: each region on that frame, in an area of the source's frame.

        At the edge of the frames that they were drawn on masks go on beyond it.
        """
        return torch.stack([self._mask(region, index, area) for region in self.regions.items])

    def _mask(self, region: Region, index: int, area: Area) -> Tensor:
        """(1, h, w)"""
        box = self.placement.box(index)
        if isinstance(region, BoxRegion):
            edges = self._to_source(region.boxes, index)
            mask = _box_mask(edges, self.placement.source, area)
        else:
            size, source = self.placement.size, self.placement.source
            mask = self._masks.resampled(region.masks[index], way_back(box, source, size), area)
        return softened(mask[None], self._soft(region, index))

    def _soft(self, region: Region, index: int) -> int:
        """Pixels of the source that the region's own soft edge is wide."""
        return round(region.soften * self.placement.scale(index))

    def _to_source(self, boxes: Tensor, index: int) -> Box:
        """Of boxes (f, 4) in the clip's pixels, that of a frame in the source's."""
        here = self.placement.of_frames([index]).to_source(boxes[index : index + 1])
        left, top, right, bottom = here[0].tolist()
        return left, top, right, bottom


def drawn_on(regions: Regions, clip: Clip, edit: tuple[int, Size] | None = None) -> Placement:
    """Where the frames that regions were drawn on lie in the source of a clip: its own frames,
    those of its edit (how many, and their size), or the source's.

    Raises EvenframeError for regions of other frames, and for those that may be.
    """
    height, width = regions.frame_size
    size, placement = (width, height), clip.placement
    count, edited = edit or (len(clip), placement.size)
    _require_window(regions, clip, edited)
    if regions.frames in (len(clip), count):
        if size in (placement.size, edited):
            return placement.at(size)
        if size == placement.source:
            return Placement.whole(size, size)
    have = f"the clip has {frames_of_size(len(clip), placement.size)}"
    if edit is None:
        have += ": draw them on the clip's frames."
    else:
        have += f", and the edit {frames_of_size(*edit)}: draw them on the frames that were edited."
    raise EvenframeError(f"The regions are for {frames_of_size(regions.frames, size)}, but {have}")


def _require_window(regions: Regions, clip: Clip, edited: Size) -> None:
    """Raise EvenframeError for regions of other crops, and for those of which nobody can tell
    whether they were drawn on the crops or on what these were cropped from."""
    height, width = regions.frame_size
    size, window = (width, height), clip.window
    if regions.window is not None and regions.window != window:
        raise EvenframeError(
            "The regions lie on crops, and the clip is another: link clip and regions of the same "
            "Crop Around Region."
        )
    if window is None or regions.window is not None or size not in (window.size, edited):
        return
    if size in (window.cropped, window.source):
        raise EvenframeError(
            f"Regions of {width}x{height} pixels may be of the crops or of the frames before them, "
            "which have the same size: link the regions of Crop Around Region."
        )


def _box_mask(box: Box, source: Size, area: Area) -> Tensor:
    """(h, w) of 0 and 1: the whole pixels nearest to a box, in an area of the frame."""
    wide, high = source
    left, top, right, bottom = area
    mask = torch.zeros(bottom - top, right - left)
    if box[0] >= wide or box[1] >= high or box[2] <= 0 or box[3] <= 0:
        return mask
    x1, y1, x2, y2 = to_grid(box, (high, wide), (high, wide))
    mask[max(0, y1 - top) : max(0, y2 - top), max(0, x1 - left) : max(0, x2 - left)] = 1
    return mask
