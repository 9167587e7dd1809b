"""What becomes of a loader's clip, in words, before anything has run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...pipelines.video.filmstrip import size_of_file
from ...pipelines.video.targets import OWN
from ..host import host
from ..model import MINIATURE
from .demo_files import demo_clip, is_demo
from .filmstrips import asked_of


def loaders_plan(node: str, inputs: Mapping[str, Any]) -> dict[str, str]:
    """{"said": a loader's size at work and that of what is saved}; one frame is decoded.

    node, inputs, and what is raised: as of `loaders_strip`.
    """
    file, wanted = asked_of(node, inputs)
    if is_demo(file):
        clip = demo_clip(file, wanted.choice)
        source = (clip.width, clip.height)
    else:
        source = size_of_file(host.input_path(file))
    wide, high = source
    given = inputs.get("width") or inputs.get("height") or inputs.get("target", OWN) != OWN
    if inputs.get("model", MINIATURE) != MINIATURE and not given:
        line = f"The model says at which size the {wide}x{high} are edited: info, after a run."
    else:
        line = f"Edited at {wanted.fitting.plan(source)}."
    return {"said": f"{line}\nSaved at {wide}x{high}, unless undo_fit of Save Video is off."}
