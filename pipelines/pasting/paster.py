"""Edited frames into frames of their source, one at a time."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ..common.pictures import to_bytes
from ..video.fit import as_floats
from ..video.placement import Area, Placement
from ..video.resample import Resampler, way_back
from .edge import Edge
from .rim import drift, surroundings
from .source_masks import Places


@dataclass(frozen=True, eq=False)
class _Share:
    """What of a frame is the edit's.

    index: of the edited frame. area: of the source's, all that the edit touches. inside: (h, w) in
    0..1, its share there. rim: the part of the edited frame in which colours are compared, and
    (h, w), 1 where in it.
    """

    index: int
    area: Area
    inside: Tensor
    rim: tuple[Area, Tensor] | None


class Paster:
    """Pastes frame by frame, and keeps what the next frame may use again: regions often stand.

    edited: where edited frames lie in their source. places: where they count. edge: how they end.
    """

    def __init__(self, edited: Placement, places: Places, edge: Edge) -> None:
        source, size = edited.source, edited.size
        self._edited, self._places, self._edge = edited, places, edge
        self._last: _Share | None = None
        # From the source to the edit, where only colours are compared, and back.
        self._there = lru_cache(1)(lambda box: Resampler(source, box, size))
        self._back = lru_cache(1)(lambda box: Resampler(size, way_back(box, source, size), source))

    def in_bytes(self, pixels: np.ndarray, edited: Tensor | None, index: int) -> np.ndarray:
        """A frame of the source, (h, w, 3) as decoded or floats, as uint8, with the edit in it.

        edited: None where there is none. index: the number of that frame among the edited.
        """
        whole, pasted = in_bytes(pixels), self._pasted(pixels, edited, index)
        if pasted is None:
            return whole
        (left, top, right, bottom), mixed = pasted
        if whole is pixels:  # the decoder's, or the user's own
            whole = whole.copy()
        # Pixels of which the edit has no share come back as the bytes that they were.
        whole[top:bottom, left:right] = to_bytes(mixed).numpy()
        return whole

    def in_floats(self, image: Tensor, edited: Tensor | None, index: int) -> Tensor:
        """As `in_bytes`, of an image (h, w, 3) in 0..1, as floats."""
        pasted = self._pasted(image.numpy(), edited, index)
        if pasted is None:
            return image
        (left, top, right, bottom), mixed = pasted
        whole = image.clone()
        whole[top:bottom, left:right] = mixed
        return whole

    def _pasted(
        self, pixels: np.ndarray, image: Tensor | None, index: int
    ) -> tuple[Area, Tensor] | None:
        """The area that the edit touches, and both mixed there (h, w, 3)."""
        if image is None or (share := self._share(index)) is None:
            return None
        left, top, right, bottom = share.area
        frame = torch.from_numpy(pixels)
        back = self._back(self._edited.box(index))
        edited = back.part(image, top, bottom, left, right)
        corrected = self._drift(frame, image, share)
        if corrected is not None:
            gain, offset = corrected
            edited = edited.mul_(gain).add_(offset).clamp_(0, 1)
        source = as_floats(frame[top:bottom, left:right])
        return share.area, self._edge.mixed(source, edited, share.inside)

    def _drift(self, frame: Tensor, image: Tensor, share: _Share) -> tuple[Tensor, Tensor] | None:
        """Gain and offset against a drift of colours, compared at the size of the edit."""
        if share.rim is None:
            return None
        (left, top, right, bottom), rim = share.rim
        there = self._there(self._edited.box(share.index))
        source = there.part(frame, top, bottom, left, right)
        edited = as_floats(image[top:bottom, left:right])
        return drift(edited, source, rim, 1 / self._edited.scale(share.index))

    def _share(self, index: int) -> _Share | None:
        places, edge, edited = self._places, self._edge, self._edited
        last, box = self._last, edited.box
        if last is not None and box(last.index) == box(index) and places.alike(last.index, index):
            return last
        area = places.area(index, edge.reach)
        if area is None:
            return None
        visible, masks = edited.visible(index, area), places.masks(index, area)
        inside, rim = edge.inside(masks, visible)[0], None
        if not inside.any():
            return None
        if edge.rim_match:
            touched = torch.maximum(masks.amax((0, 1)) * visible, inside) > 0
            rim = surroundings(edited, index, area, touched)
        self._last = _Share(index, *_trimmed(area, inside), rim)
        return self._last


def _trimmed(area: Area, inside: Tensor) -> tuple[Area, Tensor]:
    """The part of an area in which its share (h, w) is not 0."""
    rows, columns = (inside.amax(axis).nonzero()[:, 0] for axis in (1, 0))
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    left, right = int(columns[0]), int(columns[-1]) + 1
    trimmed = area[0] + left, area[1] + top, area[0] + right, area[1] + bottom
    return trimmed, inside[top:bottom, left:right].contiguous()


def in_bytes(pixels: np.ndarray) -> np.ndarray:
    """(h, w, 3) as decoded, or floats in 0..1, as uint8; rounded to the nearest."""
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.uint16:  # 257 is 65535 / 255
        return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return to_bytes(torch.from_numpy(pixels)).numpy()
