"""Inputs that several nodes have, one function for each name."""

from __future__ import annotations

from typing import Any

from ...pipelines.video.sizes import Fitting
from ...pipelines.video.targets import OWN, targets
from ..host import io
from .inputs import input_of


def filename_prefix(default: str, tooltip: str) -> io.Input:
    """The name of a new file in the output folder."""
    return io.String.Input("filename_prefix", default=default, tooltip=tooltip)


def multiple(**given: Any) -> io.Input:
    """What both sides become multiples of: workflows saved without it have the default."""
    given |= {"options": ["8", "16", "32", "64"], "default": str(Fitting.multiple)}
    return input_of(Fitting, "multiple", optional=True, advanced=True, **given)


def target(tooltip: str, optional: bool = False) -> io.Input:
    """The video editor that frames are for."""
    names = [target.name for target in targets()]
    return io.Combo.Input("target", options=names, default=OWN, optional=optional, tooltip=tooltip)
