"""One name of an input, one range, whichever node has it."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from evenframe.nodes import node_classes
from evenframe.nodes.host import io

SEVERAL = {
    "clip": "a clip of this pack's; ComfyUI's text encoder",
    "file": "a video, or a clip that is built in; a saved inversion",
    "frames": "images; for the saver a video, too",
    "frame_rate": "0 leaves it to the video; images have none to leave it to",
    "mask": "a picture's; how words are masked",
    "max_frames": "0 is all of a file; a demo clip has an end",
    "model": "the pack's own; a name to load; ComfyUI's own",
    "noise": "where the source is kept; what it has at every level",
    "noise_seed": "-1 inverts a clip; where noise is all that there is, a seed",
    "preset": "of fusion; of fairness",
    "seed": "of noise; of a batch's order",
    "smooth": "a mask or not; a window's path in frames",
    "source_prompt": "encoded; text that is to be encoded with ComfyUI's CLIP",
    "stride": "of a file's frames; of windows",
    "target_prompt": "encoded; text that is to be encoded with ComfyUI's CLIP",
    "weights": "of words; of a window's frames",
}
"""Names that mean several things."""


def limits(entry: io.Input) -> tuple[Any, ...]:
    found = [getattr(entry, name, None) for name in ("min", "max", "step")]
    return (entry.get_io_type(), *found, tuple(getattr(entry, "options", None) or ()))


def test_inputs_of_one_name_have_one_range():
    seen: dict[str, set[tuple[Any, ...]]] = defaultdict(set)
    for node in node_classes():
        for entry in node.GET_SCHEMA().inputs:
            seen[entry.id].add(limits(entry))
    assert {name for name, ranges in seen.items() if len(ranges) > 1} == set(SEVERAL)


def test_no_seed_changes_by_itself_after_a_run():
    """ComfyUI's editor adds that to whole numbers of these names where nothing else is said."""
    inputs = [entry for node in node_classes() for entry in node.GET_SCHEMA().inputs]
    seeds = [entry for entry in inputs if entry.id in ("seed", "noise_seed")]
    assert {entry.id for entry in seeds} == {"seed", "noise_seed"}
    controls = {getattr(entry, "control_after_generate", None) for entry in seeds}
    assert {getattr(control, "value", control) for control in controls} == {False, "fixed"}
