"""What the columns of a table change in a workflow: `Node.input`, or a plain name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ..nodes.host.workflow import Link, Node, Workflow
from ..pipelines.common.errors import EvenframeError, short_repr
from ..pipelines.common.typed_text import read_decimal

Where = tuple[str, str]
"""A node's class, and an input of it."""
FILE: tuple[Where, ...] = (
    ("EvenframeLoadVideo", "file"),
    ("LoadVideo", "file"),
    ("VHS_LoadVideo", "video"),
)
MODEL: tuple[Where, ...] = (
    ("EvenframeLoadModel", "model"),
    ("CheckpointLoaderSimple", "ckpt_name"),
)
SEED: tuple[Where, ...] = (("EvenframeEdit", "seed"), ("KSampler", "seed"))
WORDS: tuple[Where, ...] = (
    ("EvenframeAttentionFusion", "blend_words"),
    ("EvenframeFusionPreset", "blend_words"),
    ("EvenframeMaskRegion", "words"),
    ("EvenframeTrackRegion", "words"),
)
BOX: tuple[Where, ...] = (("EvenframeTrackRegion", "text"), ("EvenframeDrawRegions", "text"))
PROMPTS: dict[str, tuple[Where, ...]] = {
    "source": (
        ("EvenframeInvert", "source_prompt"),
        ("EvenframeSourceForControls", "source_prompt"),
    ),
    "target": (
        ("EvenframeEdit", "target_prompt"),
        ("EvenframeSourceForControls", "target_prompt"),
    ),
}
TEXTS = {
    "EvenframePrompt": "text",
    "CLIPTextEncode": "text",
    "EvenframeFairnessPrompt": "target_prompt",
    "PrimitiveString": "value",
    "PrimitiveStringMultiline": "value",
}
"""Nodes on the way from a prompt's socket to its text, and the input to go on with."""
PLAIN: dict[str, tuple[Where, ...]] = {
    "file": FILE,
    "source": PROMPTS["source"],
    "target": PROMPTS["target"],
    "words": WORDS,
    "box": BOX,
    "seed": SEED,
    "model": MODEL,
}
BOX_SAID = "four shares of the frame, left top right bottom, as in 0.2 0.3 0.6 0.9"


@dataclass(frozen=True)
class Column:
    """name: in the table. node, socket: what it sets. written: a cell as that input takes it."""

    name: str
    node: str
    socket: str
    written: Callable[[str], str] = str

    @property
    def target(self) -> str:
        return f"{self.node}.{self.socket}"


def find(workflow: Workflow, names: Iterable[str]) -> tuple[Column, ...]:
    """The columns of these names. EvenframeError for all that fit nothing, or several inputs."""
    found, wrong = dict[str, Column](), list[str]()
    for name in names:
        try:
            column = _plain(workflow, name) if name in PLAIN else _named(workflow, name)
        except EvenframeError as error:
            wrong.append(f"{name}: {str(error).rstrip('.')}")
            continue
        if column.target in found:
            wrong.append(f"{name}: sets {column.target}, as {found[column.target].name} does")
        found[column.target] = column
    if wrong:
        raise EvenframeError(
            f"The table's columns do not fit the workflow. {'; '.join(wrong)}. Name a column "
            f"Node.input, by one of {', '.join(PLAIN)}, or #anything for a note."
        )
    return tuple(found.values())


def _named(workflow: Workflow, name: str) -> Column:
    node_name, _, socket = name.rpartition(".")
    if not (node_name and socket):
        raise EvenframeError("is an unknown column")
    node = workflow.find(node_name)
    if isinstance(node.inputs.get(socket), Link):
        raise EvenframeError(f"comes to {node.label} by a link")
    return Column(name, node.id, socket)


def _plain(workflow: Workflow, name: str) -> Column:
    inputs = [
        (node, socket)
        for kind, socket in PLAIN[name]
        for node in workflow.nodes.values()
        if node.class_type == kind
    ]
    if name in PROMPTS:
        inputs = [end for node, socket in inputs for end in _behind(workflow, node, socket)]
    places = {(n.id, s): n for n, s in inputs if not isinstance(n.inputs.get(s), Link)}
    if not places:
        raise EvenframeError("the workflow has no such input")
    if len(places) > 1:
        which = ", ".join(f"{node}.{socket}" for node, socket in places)
        raise EvenframeError(f"fits several inputs, {which}: name one of these")
    ((node, socket),) = places
    written = str
    if name == "box":
        tracks = places[node, socket].class_type == "EvenframeTrackRegion"
        written = _tracked_box if tracks else _drawn_box
    return Column(name, node, socket, written)


def _behind(workflow: Workflow, node: Node, socket: str) -> Iterator[tuple[Node, str]]:
    """The input that holds the text of a prompt's socket."""
    while isinstance(link := node.inputs.get(socket), Link):
        node = workflow.nodes[link.node]
        if node.class_type not in TEXTS:
            return
        socket = TEXTS[node.class_type]
    yield node, socket


def box_of(cell: str) -> list[float]:
    """The numbers of a box, with blanks or commas between them."""
    parts = cell.strip("[] ").replace(",", " ").split()
    numbers = [read_decimal(part) for part in parts[:5]]
    box = [number for number in numbers if number is not None]
    fits = len(numbers) == len(box) == 4 and 0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1
    if not fits:
        raise EvenframeError(f"box is {short_repr(cell)}: give {BOX_SAID}.")
    return box


def _tracked_box(cell: str) -> str:
    return json.dumps({"version": 1, "frame": 0, "box": box_of(cell)})


def _drawn_box(cell: str) -> str:
    region = {"name": "object", "words": "", "box": box_of(cell)}
    return json.dumps({"version": 1, "unit": "fraction", "regions": [region]})
