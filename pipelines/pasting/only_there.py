"""Any editor's result, back into the clip that it was made from: only in the regions, at the
source's own size, rate and length."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import torch
from torch import Tensor

from ..common.progress import OnFrame
from ..regions.regions import Regions
from ..video.clip import Clip, rgb_frames
from ..video.film import Film, Shot, unrounded
from ..video.original import Original, original
from ..video.placement import Placement
from .edge import Edge
from .paster import Paster
from .source_masks import Places, drawn_on

ASPECT = 0.01
"""Proportions of an edit that differ from its clip's by more are said."""


def only_there(
    clip: Clip,
    edited: Tensor | Film,
    regions: Regions,
    edge: Edge | None = None,
    *,
    whole: bool = True,
) -> Film:
    """The source of a clip, with the edit in the regions.

    clip: what was edited. Where it was loaded from a file, that is read again, frame by frame.
    edited: (f, h, w, 3) in 0..1 at any size, other images as in `clip_from_images`, or a film: it
        shows what the clip's frames show, from the first one on. Frames without an edit, and those
        that the regions do not reach, are the source's; edited frames without a source are left
        out.
    regions: drawn on the clip's frames, on the edited ones, or on the source's.
    edge: see `Edge`; its pixels are the source's.
    whole: all of the file, in which only the loaded frames are edited; else these alone.

    Outside of the regions every frame is equal to the file's, in 8 bits. Raises EvenframeError: the
    file is gone or was changed, pixels that are no numbers, regions of another clip.
    """
    edit, source = _film(edited), original(clip, whole)
    places = Places(regions, drawn_on(regions, clip, (edit.expected, edit.size)))
    count = min(clip.own_frames, regions.frames)

    def shots() -> Iterator[Shot]:
        paster = Paster(clip.placement.at(edit.size), places, edge or Edge())
        images = _images(edit)
        for index, (pixels, time) in enumerate(source.film.shots()):
            place = index - source.first
            image = next(images, None) if 0 <= place < count else None
            yield Shot(paster.in_bytes(pixels, image, place), time)

    notes = _notes(clip, edit, source, regions)
    return replace(source.film, shots=shots, said=(*edit.said, *notes))


def pasted_images(
    clip: Clip,
    edited: Tensor,
    regions: Regions,
    edge: Edge | None = None,
    *,
    on_frame: OnFrame | None = None,
) -> Tensor:
    """As `only_there`, all at once: (f, h, w, 3) floats at the size of the clip's frames.

    edge: its pixels are the source's here, too, scaled to the clip's.
    """
    edit = _film(edited)
    placement = drawn_on(regions, clip, (edit.expected, edit.size)).within(clip.placement)
    itself = Placement.whole(placement.source, edit.size)
    edge = (edge or Edge()).scaled(1 / clip.placement.scale())
    paster = Paster(itself, Places(regions, placement), edge)
    images, whole = _images(edit), torch.empty_like(clip.frames)
    for index, (image, out) in enumerate(zip(clip.frames, whole, strict=True)):
        out[:] = paster.in_floats(image, next(images, None), index)
        if on_frame is not None:
            on_frame(index + 1)
    return whole


def _film(edited: Tensor | Film) -> Film:
    if isinstance(edited, Film):
        return edited
    frames, notes = rgb_frames(edited)
    return unrounded(frames, Fraction(1), said=notes)  # nobody asks for its rate


def _images(film: Film) -> Iterator[Tensor]:
    return (torch.from_numpy(shot.pixels) for shot in film.shots())


def _notes(clip: Clip, edit: Film, source: Original, regions: Regions) -> Iterator[str]:
    """What the user should know, a line each."""
    count = edit.expected or len(clip)
    own, expected = clip.own_frames, source.film.expected
    edited = sum(regions.anywhere()[: min(count, own)].tolist())
    (wide, high), of = source.film.size, f" of {expected}" if expected > edited else ""
    yield f"{edited}{of} frames of {wide}x{high} are edited in the regions; all else is as it was."
    choice = clip.footage and clip.footage.choice
    if choice and (choice.stride > 1 or choice.rate is not None):
        yield "Of the file there are the frames that its loader's stride and frame_rate leave."
    if count < own:
        yield f"The edit has {count} frames, the clip {own}: the last are the source's."
    elif count > len(clip):
        yield f"The edit has {count - len(clip)} frames more than the clip: they were left out."
    (across, down), (width, height) = clip.placement.size, edit.size
    change = width * down / (height * across)
    if abs(change - 1) > ASPECT:
        yield (
            f"The edit is {width}x{height}, the frames that were edited {across}x{down}: it was "
            "stretched to their proportions."
        )
    if source.deep:
        yield "The source has more than 8 bits a channel: the result has 8."
    if missing := source.missing():
        yield missing
