"""The colour drift of an editor, found around the regions and taken back inside them.

Editors that encode a clip and decode it again change all colours a little, some more from frame to
frame. Around the regions the source shows what the edit should look like there: a gain and an
offset per channel, robust against what the editor really changed there.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ..regions.edges import grown
from ..video.placement import Area, Placement

RIM = 0.06
"""Of the longer side: how far around the regions colours are compared."""
GAP = 6
"""Pixels of the edit that lie between the regions and what is compared: what is inside spreads a
little when frames are resampled, encoded and decoded."""
CELL = 8
"""Pixels of the coarser of both: means of cells are compared, since editors move details a little
and make them softer."""
FEWEST = 12
"""Cells without which nothing is known of the drift."""
ROUNDS = 12
"""Of weighing: cells that fit worse count less each time."""
STARTS = (0.5, 0.15, 0.3, 0.7, 0.85)
"""Shares of the cells' differences at which offsets are tried first, beside none at all: a shadow
or a halo beside a region may fill most of its rim."""
SURE = 0.4
"""Of the cells, those that show the drift and nothing else; the others may be anything."""
WIDTH = 1.4
"""Standard deviations of errors by the one that `SURE` of them stay below: between 0.9, where those
of the channels have nothing in common, and 1.9, where they are one."""
LEAST_SPREAD = 0.25 / 255
"""Errors of cells are never taken to be smaller: bytes are rounded."""
DOUBT = 20
"""By how much better a fit must be for each unit of change: a shadow is a larger one than a drift,
and where it fills half of the rim both fit as well."""
USUAL_GAIN, USUAL_OFFSET = 0.06, 0.03
"""How far gains of editors lie from 1, and offsets from 0."""
SMALLEST = 1 / 255
"""A correction below this at all brightnesses is none."""
FARTHEST = 0.2
"""Gains are never further from 1; where all colours are further from the source's, it is no drift:
what lies around the regions was edited, too."""


def surroundings(
    placement: Placement, index: int, area: Area, touched: Tensor
) -> tuple[Area, Tensor]:
    """What of an edited frame lies around the regions: a part of it, and (h, w), 1 where in it.

    placement: of the edited frames. touched: (h, w), what of an area of the source's frame number
    `index` is the edit's.
    """
    gap = math.ceil(GAP * max(1.0, placement.scale(index)))
    hidden = grown(functional.pad(touched[None].float(), [gap] * 4), gap)[0]
    area = area[0] - gap, area[1] - gap, area[2] + gap, area[3] + gap
    more = round(RIM * max(placement.size))
    across, down = (_Side.of(placement, index, area, axis, more) for axis in (0, 1))
    rim = torch.outer(down.seen, across.seen)
    rim[down.near, across.near] *= 1 - hidden[down.places][:, across.places]
    return (across.start, down.start, across.stop, down.stop), rim


@dataclass(frozen=True, eq=False)
class _Side:
    """One axis of the surroundings: the edit's pixels from `start` to `stop`.

    seen: 1 for those that show something of the source. near: those whose middle lies in the area,
    at `places` of it.
    """

    start: int
    stop: int
    seen: Tensor
    near: slice
    places: Tensor

    @classmethod
    def of(cls, placement: Placement, index: int, area: Area, axis: int, more: int) -> "_Side":
        low, high = placement.box(index)[axis], placement.box(index)[axis + 2]
        length, first, last = placement.size[axis], area[axis], area[axis + 2]
        step = (high - low) / length
        start = max(0, math.floor((first - low) / step) - more)
        stop = min(length, math.ceil((last - low) / step) + more)
        pixels = ((torch.arange(start, stop) + 0.5) * step + low).floor().long()  # the source's
        seen = ((pixels >= 0) & (pixels < placement.source[axis])).float()
        near = slice(int((pixels < first).sum()), int((pixels < last).sum()))
        return cls(start, stop, seen, near, pixels[near] - first)


def drift(
    edited: Tensor, source: Tensor, rim: Tensor, finer: float = 1
) -> tuple[Tensor, Tensor] | None:
    """Gain and offset (3,) with which the edit has the source's colours in the rim.

    edited, source: (h, w, 3) in 0..1, at the size that the edit came with. rim: (h, w), 1 where
    both should look alike. finer: pixels here for each of the source's own. None where the rim is
    too small to tell, and where there is no drift, or something else altogether.
    """
    size, weights = round(CELL * max(1.0, finer)), rim[..., None]
    share = _means(weights, size)  # rows columns 1
    used = share[..., 0] > 0.5
    if int(used.sum()) < FEWEST:
        return None
    found, wanted = (
        _means(frame * weights, size)[used] / share[used] for frame in (edited, source)
    )
    change = _fitted(wanted.double(), found.double())
    if change is None:
        return None
    gain, offset = 1 / change[0], -change[1] / change[0]
    ends = torch.stack([offset, gain - 1 + offset])  # by how much black and white change
    if float(ends.abs().max()) < SMALLEST:
        return None
    return gain.to(edited), offset.to(edited)


def _fitted(wanted: Tensor, found: Tensor) -> tuple[Tensor, Tensor] | None:
    """By what gain and offset (3,) the editor changed the colours of cells (n, 3), or None.

    Several fits, each from an offset of its own: the one that most cells agree with. It is the
    editor's colours that are noisy, and not the source's: a gain is found in its direction.
    """
    shares = torch.tensor(STARTS, dtype=wanted.dtype)
    offsets = torch.quantile(found - wanted, shares, 0)
    offset = torch.cat([torch.zeros(1, 3).to(offsets), offsets])[:, None]  # starts 1 3
    gain = torch.ones_like(offset)
    for _ in range(ROUNDS):
        errors = (gain * wanted + offset - found).abs().amax(2, keepdim=True)  # starts n 1
        spread = _spread(errors)
        weights = 1 / (1 + (errors / (2 * spread)) ** 2) ** 2
        gain, offset = _weighed(wanted, found, weights, spread)
    spread = _spread((gain * wanted + offset - found).abs().amax(2, keepdim=True))[:, 0, 0]
    middle = wanted.median(0).values
    change = (gain * middle + offset - middle).abs().amax((1, 2))
    best = int((spread * (1 + DOUBT * change)).argmin())
    return (gain[best, 0], offset[best, 0]) if change[best] < FARTHEST else None


def _weighed(
    wanted: Tensor, found: Tensor, weights: Tensor, spread: Tensor
) -> tuple[Tensor, Tensor]:
    """Gain and offset (starts, 1, 3) by least squares, likely ones where several fit alike.

    Where all colours around a region are alike, they do not tell a gain from an offset.
    """
    known, kept = (spread / USUAL_GAIN) ** 2, (spread / USUAL_OFFSET) ** 2
    xx = (weights * wanted.square()).sum(1, keepdim=True) + known
    xy = (weights * wanted * found).sum(1, keepdim=True) + known
    x, y = ((weights * each).sum(1, keepdim=True) for each in (wanted, found))
    one = weights.sum(1, keepdim=True) + kept
    gain = (one * xy - x * y) / (one * xx - x.square())
    gain = gain.clamp(1 - FARTHEST, 1 + FARTHEST)  # where colours were cut off, it seems less
    return gain, (y - gain * x) / one


def _spread(errors: Tensor) -> Tensor:
    """(starts, n, 1) -> (starts, 1, 1): the deviation of those cells that are sure."""
    rank = math.ceil(SURE * errors.shape[1])
    return (WIDTH * errors.kthvalue(rank, 1, keepdim=True).values).clamp(min=LEAST_SPREAD)


def _means(frame: Tensor, size: int) -> Tensor:
    """(h, w, c) -> (rows, columns, c): the mean of each cell; those at the end are cut off."""
    size = min(size, *frame.shape[:2])
    planes = frame.permute(2, 0, 1)[None]
    return functional.avg_pool2d(planes, size)[0].permute(1, 2, 0)
