"""Regions that were drawn on the frames of a clip, as masks in the pixels of its source."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from .checks import frames_of_size
from .edge import softened
from .errors import EvenframeError
from .region import Box, Region, Regions, to_grid
from .video.clip import Clip
from .video.placement import Area, Placement
from .video.resample import Resampler, way_back
from .video.sizes import Size

FAINT = 1 / 512
"""An enlarged mask below this is 0: half of what a byte can tell."""
SUPPORT = 3
"""Pixels of a mask by which its enlarging may reach beyond it."""


@dataclass(frozen=True, eq=False)
class Places:
    """Where the regions of a clip lie in its source.

    regions: drawn on frames that show what `placement` says of the source.
    """

    regions: Regions
    placement: Placement
    _made: dict[str, Resampler] = field(default_factory=dict, init=False)

    def area(self, index: int, margin: int) -> Area | None:
        """What of the source's frame number `index` the regions touch, and so many pixels around;
        None where they touch nothing."""
        wide, high = self.placement.source
        boxes = [box for region in self.regions.items if (box := _bounds(region, index))]
        if not boxes:
            return None
        lefts, tops, rights, bottoms = zip(*boxes, strict=True)
        all_of_them = min(lefts), min(tops), max(rights), max(bottoms)
        left, top, right, bottom = self._to_source(all_of_them, index)
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
        shapes = (
            region.boxes if region.masks is None else region.masks for region in self.regions.items
        )
        return all(torch.equal(shape[one], shape[other]) for shape in shapes if shape is not None)

    def masks(self, index: int, area: Area) -> Tensor:
        """(n, 1, h, w) in 0..1: each region on that frame, in an area of the source's frame.

        At the edge of the frames that they were drawn on masks go on beyond it.
        """
        return torch.stack([self._mask(region, index, area) for region in self.regions.items])

    def _mask(self, region: Region, index: int, area: Area) -> Tensor:
        """(1, h, w)"""
        box = self.placement.box(index)
        if region.boxes is not None:
            left, top, right, bottom = region.boxes[index].tolist()
            edges = self._to_source((left, top, right, bottom), index)
            mask = _box_mask(edges, self.placement.source, area)
        else:
            assert region.masks is not None
            mask = self._enlarged(region.masks[index], box, area)
        return softened(mask[None], self._soft(region, index))

    def _enlarged(self, mask: Tensor, box: Box, area: Area) -> Tensor:
        """A mask as it looks at the source's size: a hard one stays hard, with a smooth outline."""
        hard = bool(((mask == 0) | (mask == 1)).all())
        kernel = "lanczos" if hard else "triangle"
        left, top, right, bottom = area
        large = self._resampler(box, kernel).part(mask[..., None], top, bottom, left, right)[..., 0]
        return (large >= 0.5).float() if hard else torch.where(large < FAINT, 0.0, large)

    def _resampler(self, box: Box, kernel: str) -> Resampler:
        """Of masks; the last one of each kernel is kept."""
        source, size = self.placement.source, self.placement.size
        back = way_back(box, source, size)
        if kernel not in self._made or self._made[kernel].box != back:
            self._made[kernel] = Resampler(size, back, source, kernel, 1)
        return self._made[kernel]

    def _soft(self, region: Region, index: int) -> int:
        """Pixels of the source that the region's own soft edge is wide."""
        return round(region.soften * self.placement.scale(index))

    def _to_source(self, box: Box, index: int) -> Box:
        """A box of the clip's pixels in the source's."""
        left, top, right, bottom = self.placement.box(index)
        wide, high = self.placement.size
        x, y = (right - left) / wide, (bottom - top) / high
        return left + box[0] * x, top + box[1] * y, left + box[2] * x, top + box[3] * y


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


def _bounds(region: Region, index: int) -> Box | None:
    """The pixels that a region touches on a frame, and those that its enlarging may."""
    if region.boxes is not None:
        left, top, right, bottom = region.boxes[index].tolist()
        return left, top, right, bottom
    assert region.masks is not None
    mask = region.masks[index] > 0
    rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    if not len(rows):
        return None
    return (
        float(columns[0]) - SUPPORT,
        float(rows[0]) - SUPPORT,
        float(columns[-1]) + 1 + SUPPORT,
        float(rows[-1]) + 1 + SUPPORT,
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
