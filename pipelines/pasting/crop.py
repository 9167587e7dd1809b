"""A clip cropped to its regions, which knows where its crops lie in its source."""

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice

import torch
from torch import Tensor

from ..common.errors import EvenframeError
from ..common.memory import FreeMemory, free_memory
from ..common.progress import OnFrame
from ..regions.region import BoxRegion, MaskRegion, Region
from ..regions.regions import Regions
from ..video.budget import Budget
from ..video.clip import Clip
from ..video.original import original
from ..video.placement import Placement
from ..video.resample import Resampler
from ..video.sizes import Fit, Fitting
from .crop_window import STILL, CropWindows, Framing, crop_windows
from .source_masks import MaskResampler, drawn_on


@dataclass(frozen=True, eq=False)
class Crop:
    """What an editor is given.

    clip: the crops; its `placement` says where they lie, so that `only_there` puts them back.
    regions: the same as before, on the crops. windows: for people.
    """

    clip: Clip
    regions: Regions
    windows: CropWindows


def crop_around(
    clip: Clip,
    regions: Regions,
    fitting: Fitting,
    framing: Framing = STILL,
    *,
    on_frame: OnFrame | None = None,
    free: FreeMemory = free_memory,
) -> Crop:
    """Crop a clip to a window around its regions, at the size that an editor likes best.

    clip: where it was loaded from a file, that is read again at its own size, frame by frame; only
        the crops are kept. regions: drawn on the clip's frames, or on the source's.
    fitting: see `crop_windows`.

    Raises EvenframeError: regions of another clip or that are nowhere, a file that was changed or
    is gone, no room in memory.
    """
    drawn = drawn_on(regions, clip)
    found = drawn.to_source(regions.bounds())
    windows = crop_windows(found, drawn.source, fitting, framing)
    placement = replace(windows.placement, cropped=(clip.width, clip.height))
    plain = Fit("stretch", drawn.source, placement.size, placement.size)
    Budget.of("The crops", free).require(plain, len(clip))
    images = clip.frames if clip.original is None else clip.original
    cropped = replace(
        clip,
        frames=_cropped(clip, placement, on_frame),
        fit=None,
        original=images if clip.footage is None else None,
        window=placement,
    )
    return Crop(cropped, _regions_in(regions, drawn, placement), windows)


def whole_crop(clip: Clip) -> Regions:
    """One region, all of every frame."""
    box = torch.tensor([0, 0, clip.width, clip.height], dtype=torch.float64)
    size = (clip.height, clip.width)
    region = BoxRegion("crop", "", box.repeat(len(clip), 1), size)
    return Regions((region,), len(clip), size, clip.window)


def _cropped(clip: Clip, placement: Placement, on_frame: OnFrame | None) -> Tensor:
    """(f, h, w, 3), one for each frame of the clip."""
    (wide, high), own = placement.size, clip.own_frames
    crops, done = torch.empty(len(clip), high, wide, 3), 0
    resampler = lru_cache(1)(lambda box: Resampler(placement.source, box, placement.size))
    for shot in islice(original(clip, whole=False).film.shots(), own):
        crops[done] = resampler(placement.box(done))(torch.from_numpy(shot.pixels))
        done += 1
        if on_frame is not None:
            on_frame(done)
    if done < own:
        raise EvenframeError(
            f"Only {done} of the clip's {own} frames could be read again from '{clip.source}': "
            "load the clip again."
        )
    for index in range(own, len(clip)):  # what is repeated stands still, in a moving window, too
        crops[index] = crops[own - 1]
    return crops


def _regions_in(regions: Regions, drawn: Placement, window: Placement) -> Regions:
    """The same regions on the frames of a window."""
    wide, high = window.size
    items = tuple(_region_in(region, drawn, window) for region in regions.items)
    return Regions(items, regions.frames, (high, wide), window)


def _region_in(region: Region, drawn: Placement, window: Placement) -> Region:
    soften = round(region.soften * drawn.scale() / window.scale())
    if isinstance(region, MaskRegion):
        return replace(region, masks=_masks_in(region.masks, drawn, window), soften=soften)
    limits = torch.tensor(window.size * 2, dtype=torch.float64)
    boxes = window.from_source(drawn.to_source(region.boxes))
    boxes = torch.minimum(boxes.clamp(min=0), limits)
    here = (boxes[:, 2:] > boxes[:, :2]).all(1)
    size = (window.size[1], window.size[0])
    moved = replace(region, boxes=boxes, frame_size=size, soften=soften)
    if here.all():
        return moved
    masks = torch.zeros(len(boxes), *size)  # a box is on every frame, a mask need not be
    masks[here] = replace(moved, boxes=boxes[here]).masked().masks
    return MaskRegion(region.name, region.words, masks, soften=soften)


def _masks_in(masks: Tensor, drawn: Placement, window: Placement) -> Tensor:
    """(f, h, w)"""
    wide, high = window.size
    out, resampler = torch.empty(len(masks), high, wide), MaskResampler(drawn.size, window.size)
    seen = drawn.from_source(torch.tensor(window.boxes, dtype=torch.float64)).tolist()
    for index, mask in enumerate(masks):
        left, top, right, bottom = seen[index if len(seen) > 1 else 0]
        out[index] = resampler.resampled(mask, (left, top, right, bottom))
    return out
