"""What the nodes around a paste have in common."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...pipelines.common.errors import EvenframeError
from ...pipelines.video import Clip, Film, clip_from_images
from ..host import host, io

if TYPE_CHECKING:
    from torch import Tensor

RATE = 8
"""Frames a second of images, which have none."""


def whole_video(every: str = "All") -> io.Input:
    """An input for the frames that were not loaded."""
    return io.Boolean.Input(
        "whole_video",
        default=True,
        optional=True,
        tooltip=f"{every} frames of the file, in which only the loaded ones are edited; off, "
        "these alone.",
    )


def outputs() -> list[io.Output]:
    """What every node that pastes gives."""
    return [
        io.Video.Output(
            display_name="video",
            tooltip="At the source's own size, with rate and sound, made frame by frame while it "
            "is saved: link it to Save Video.",
        ),
        io.String.Output(display_name="info", tooltip="What was kept, in words."),
    ]


def result(film: Film, *before: Any) -> io.NodeOutput:
    """The values of `outputs`, after others, and what the node shows."""
    info = "\n".join(film.said)
    return io.NodeOutput(*before, host.film_video(film), info, ui={"text": (info,)})


def given_clip(clip: Clip | None, images: Tensor | None, name: str) -> Clip:
    """The clip, or else images as one, which says so; name: of these, for the message."""
    if clip is not None:
        return clip
    if images is None:
        raise EvenframeError(
            f"There is neither a clip nor {name}: link the clip of the loader, or images."
        )
    made = clip_from_images(images, RATE)
    told = (
        f"Images have no rate: the video plays at {RATE} frames a second. For another, give the "
        "clip of Clip from Images."
    )
    return replace(made, warnings=(*made.warnings, told))


def saying(film: Film, *lines: str) -> Film:
    """A film that says more."""
    return replace(film, said=(*film.said, *lines))
