"""Inputs that several nodes have, one function for each name."""

from __future__ import annotations

from ...pipelines.video.sizes import MAX_SIDE
from ...pipelines.video.targets import OWN, targets
from ..host import io


def frame_rate(tooltip: str, default: float = 0.0, least: float = 0.0) -> io.Input:
    """Frames a second."""
    return io.Float.Input(
        "frame_rate", default=default, min=least, max=1000.0, step=0.01, tooltip=tooltip
    )


def filename_prefix(default: str, tooltip: str) -> io.Input:
    """The name of a new file in the output folder."""
    return io.String.Input("filename_prefix", default=default, tooltip=tooltip)


def pixels(name: str, tooltip: str, default: int = 0, optional: bool = False) -> io.Input:
    """A width at the edge of regions."""
    return io.Int.Input(name, default=default, min=0, max=1024, optional=optional, tooltip=tooltip)


def max_side(default: int, tooltip: str, optional: bool = False) -> io.Input:
    """The longest side that frames may have; 0 for any."""
    return io.Int.Input(
        "max_side",
        default=default,
        min=0,
        max=MAX_SIDE,
        step=8,
        optional=optional,
        tooltip=f"{tooltip}, so that their longer side is at most this; 0 sets no limit.",
    )


def sides(what: str = "", source: str = "the video", optional: bool = False) -> list[io.Input]:
    """An exact width and height; 0 follows from `source`."""
    return [
        io.Int.Input(
            side,
            default=0,
            min=0,
            max=MAX_SIDE,
            step=8,
            optional=optional,
            advanced=True,
            tooltip=f"An exact {side}{what}, a multiple of `multiple`; 0 follows from {source}.",
        )
        for side in ("width", "height")
    ]


def multiple(tooltip: str) -> io.Input:
    """What both sides become multiples of: workflows saved without it have the default."""
    return io.Combo.Input(
        "multiple",
        options=["8", "16", "32", "64"],
        default="16",
        optional=True,
        advanced=True,
        tooltip=tooltip,
    )


def target(tooltip: str, optional: bool = False) -> io.Input:
    """The video editor that frames are for."""
    names = [target.name for target in targets()]
    return io.Combo.Input("target", options=names, default=OWN, optional=optional, tooltip=tooltip)
