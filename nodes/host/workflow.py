"""Workflows in API format, read as untrusted: the same files that a ComfyUI server is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...pipelines.common import untrusted_json
from ...pipelines.common.errors import EvenframeError, short_repr

MAX_BYTES = 16 * 2**20
MAX_NODES = 1000


@dataclass(frozen=True)
class Link:
    """An input that takes output number `output` of node `node`."""

    node: str
    output: int


@dataclass(frozen=True)
class Node:
    """One node of a workflow; an input is a JSON value or a `Link`."""

    id: str
    class_type: str
    title: str
    inputs: Mapping[str, Any]

    @property
    def label(self) -> str:
        """How messages name the node."""
        title = f" {self.title!r}" if self.title not in ("", self.class_type) else ""
        return f"node {self.id} ({self.class_type}{title})"

    @property
    def links(self) -> Iterator[tuple[str, Link]]:
        return ((name, link) for name, link in self.inputs.items() if isinstance(link, Link))


@dataclass(frozen=True)
class Workflow:
    """Nodes by id."""

    nodes: Mapping[str, Node]

    def as_prompt(self) -> dict[str, Any]:
        """The workflow as JSON data in API format, as saved files carry it."""
        return {
            node.id: {
                "class_type": node.class_type,
                "inputs": {
                    name: [value.node, value.output] if isinstance(value, Link) else value
                    for name, value in node.inputs.items()
                },
                "_meta": {"title": node.title},
            }
            for node in self.nodes.values()
        }

    def find(self, name: str) -> Node:
        """The one node whose id, else title, else class is `name` (case does not matter).

        A class may be named without the pack's prefix. EvenframeError if none or several fit.
        """
        if name in self.nodes:
            return self.nodes[name]
        wanted = name.casefold()
        for names in (lambda n: {n.title}, lambda n: {n.class_type, _short(n.class_type)}):
            fits = [n for n in self.nodes.values() if wanted in {x.casefold() for x in names(n)}]
            if len(fits) == 1:
                return fits[0]
            if fits:
                ids = ", ".join(node.id for node in fits)
                raise EvenframeError(f"{name!r} fits several nodes: name one by its id, {ids}.")
        known = ", ".join(f"{node.id} ({_short(node.class_type)})" for node in self.nodes.values())
        raise EvenframeError(f"The workflow has no node {name!r}: it has {known}.")

    def with_value(self, node: Node, name: str, value: Any) -> Workflow:
        """A copy where input `name` of `node` is `value`."""
        changed = replace(node, inputs={**node.inputs, name: value})
        return Workflow({**self.nodes, node.id: changed})

    def in_order(self, targets: Iterable[str]) -> list[Node]:
        """`targets` and all they depend on, each after what it depends on.

        EvenframeError names the nodes of a cycle.
        """
        done: dict[str, Node] = {}
        for target in targets:
            path: dict[str, Iterator[tuple[str, Link]]] = {target: self.nodes[target].links}
            while path:
                current, links = next(reversed(path.items()))
                step = next((link.node for _, link in links if link.node not in done), None)
                if step is None:
                    done[current] = self.nodes[current]
                    path.popitem()
                elif step in path:
                    ring = [*list(path)[list(path).index(step) :], step]
                    raise EvenframeError(
                        "The workflow runs in a circle, nodes "
                        f"{' -> '.join(reversed(ring))}: remove one of these links."
                    )
                else:
                    path[step] = self.nodes[step].links
        return list(done.values())


def read(path: Path) -> Workflow:
    """The workflow in the file `path`; EvenframeError says why it is none."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise EvenframeError(
                f"{path} is not a workflow: it has {size} bytes, a workflow at most {MAX_BYTES}."
            )
        # Bytes: with or without a mark at the beginning, and in UTF-16, as some shells write files.
        return parse(untrusted_json.parse(path.read_bytes(), strict=True))
    except OSError as error:
        raise EvenframeError(f"Cannot read workflow {path}: {error.strerror}.") from error
    except EvenframeError as error:
        raise EvenframeError(f"{path}: {error}") from error
    except ValueError as error:
        raise EvenframeError(f"{path} is not a workflow in JSON: {error}.") from error


def parse(data: Any) -> Workflow:
    """The workflow that JSON data describes, every link checked to lead to a node.

    Also takes what is posted to a server's /prompt. EvenframeError says what is wrong.
    """
    if isinstance(data, dict) and isinstance(data.get("prompt"), dict):
        data = data["prompt"]
    if isinstance(data, dict) and isinstance(data.get("nodes"), list):
        raise EvenframeError(
            "This is a workflow in the editor's format; the command line runs the API format: "
            "in ComfyUI choose Workflow, Export (API)."
        )
    if not isinstance(data, dict) or not data:
        raise EvenframeError(
            f"Not a workflow: expected nodes by their ids, found {short_repr(data)}. "
            "In ComfyUI choose Workflow, Export (API)."
        )
    if len(data) > MAX_NODES:
        raise EvenframeError(f"The workflow has {len(data)} nodes, allowed are {MAX_NODES}.")
    nodes = {node_id: _node(node_id, value) for node_id, value in data.items()}
    for node in nodes.values():
        for name, link in node.links:
            if link.node not in nodes:
                raise EvenframeError(
                    f"{node.label}: {name} is linked to node {link.node!r}, which does not exist."
                )
    workflow = Workflow(nodes)
    workflow.in_order(nodes)
    return workflow


def _node(node_id: str, data: Any) -> Node:
    if not isinstance(data, dict) or not data.keys() & {"class_type", "inputs"}:
        raise EvenframeError(
            f"Not a workflow: {short_repr(node_id)} is {short_repr(data)}, not a node with a "
            "class_type. In ComfyUI choose Workflow, Export (API)."
        )
    meta = data.get("_meta")
    title = meta.get("title") if isinstance(meta, dict) else None
    title, class_type = title if isinstance(title, str) else "", data.get("class_type")
    if not isinstance(class_type, str):
        # Written by a ComfyUI that did not have the node: exporting it there again helps nothing.
        raise EvenframeError(
            f"Node {node_id}{f' {title!r}' if title else ''} has {short_repr(class_type)} as its "
            "class_type: the ComfyUI that exported the workflow did not have this node. Remove the "
            "node, or export the workflow where its pack is installed."
        )
    inputs = data.get("inputs", {})
    if not isinstance(inputs, dict):
        raise EvenframeError(f"Node {node_id}: inputs is {short_repr(inputs)}, must be an object.")
    values = {name: _value(node_id, name, value) for name, value in inputs.items()}
    return Node(node_id, class_type, title, values)


def _value(node_id: str, name: str, value: Any) -> Any:
    """JSON lists are links, as in ComfyUI; everything else stands for itself."""
    if not isinstance(value, list):
        return value
    match value:
        case [str() | int() as source, int() as output] if not isinstance(output, bool):
            return Link(str(source), output)
    raise EvenframeError(
        f"Node {node_id}: {name} is linked to {short_repr(value)}, "
        "must be [node id, output number]."
    )


def _short(class_type: str) -> str:
    return class_type.removeprefix("Evenframe")
