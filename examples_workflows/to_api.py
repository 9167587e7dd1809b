"""Write `api/NAME.json` for every `NAME - what Templates finds it by.json`: the same graph in API
format.

Edit a recipe in ComfyUI's editor, save it here under the name it shall have in Templates, whose
search reads nothing else, and run

    python examples_workflows/to_api.py

A test compares both, so that neither can be forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
NOTES = {"Note", "MarkdownNote"}
# Widgets of the editor itself, which no node takes. A seed's control may have its value as name.
EDITORS_OWN = {"control_after_generate", "fixed", "increment", "upload"}
FOUND_BY = " - "
# What stands for a subgraph's own inputs and outputs, as nodes inside of it.
INPUTS, OUTPUTS = -10, -20
Origin = list[Any]
"""[id, output], as API format has links."""


def to_api(graph: dict[str, Any]) -> dict[str, Any]:
    """A graph in the editor's format, in API format; notes are left out.

    Nodes of a subgraph have the ids that the editor gives them there: 4:9 is node 9 in node 4.
    Raises ValueError for what these recipes do without: nodes that are muted, and values of nodes
    in a subgraph that are set outside of it.
    """
    subgraphs = {each["id"]: each for each in graph.get("definitions", {}).get("subgraphs", [])}
    links = [_Link(*link[:5]) for link in graph["links"]]
    return dict(_Level("", graph["nodes"], links, subgraphs).nodes_in_api())


@dataclass(frozen=True)
class _Link:
    id: int
    origin: int
    output: int
    target: int
    input: int


@dataclass(frozen=True)
class _Level:
    """The graph itself, or one of its subgraphs where a node stands for it.

    prefix: of its nodes' ids. given: what that node's inputs are linked to.
    """

    prefix: str
    nodes: list[dict[str, Any]]
    links: list[_Link]
    subgraphs: dict[str, dict[str, Any]]
    given: tuple[Origin | None, ...] = ()

    def nodes_in_api(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for node in sorted(self.nodes, key=lambda node: node["id"]):
            if node.get("mode", 0) != 0:
                raise ValueError(f"{_label(node)} is muted or bypassed: remove it")
            if node["type"] in self.subgraphs:
                yield from self.inside(node).nodes_in_api()
            elif node["type"] not in NOTES:
                yield f"{self.prefix}{node['id']}", self.in_api(node)

    def in_api(self, node: dict[str, Any]) -> dict[str, Any]:
        values = node.get("widgets_values_named", {})
        if not values and node.get("widgets_values"):
            raise ValueError(f"{_label(node)} names no values: save it again")
        inputs = {name: value for name, value in values.items() if name not in EDITORS_OWN}
        for socket in node["inputs"]:
            origin = self.linked(socket)
            if origin is not None:
                inputs[socket["name"]] = origin
        title = node.get("title", node["type"])
        return {"inputs": inputs, "class_type": node["type"], "_meta": {"title": title}}

    def linked(self, socket: dict[str, Any]) -> Origin | None:
        if socket.get("link") is None:
            return None
        [link] = [link for link in self.links if link.id == socket["link"]]
        return self.origin(link)

    def origin(self, link: _Link) -> Origin | None:
        """Where a link begins: at a node that runs, however many subgraphs lie between."""
        if link.origin == INPUTS:
            return self.given[link.output]
        [node] = [node for node in self.nodes if node["id"] == link.origin]
        if node["type"] not in self.subgraphs:
            return [f"{self.prefix}{node['id']}", link.output]
        inside = self.inside(node)
        ends = [end for end in inside.links if (end.target, end.input) == (OUTPUTS, link.output)]
        return inside.origin(ends[0]) if ends else None

    def inside(self, node: dict[str, Any]) -> _Level:
        if node.get("widgets_values") or node.get("properties", {}).get("proxyWidgets"):
            raise ValueError(f"{_label(node)} sets values of nodes inside: set them there")
        subgraph = self.subgraphs[node["type"]]
        names = ("id", "origin_id", "origin_slot", "target_id", "target_slot")
        links = [_Link(*(link[name] for name in names)) for link in subgraph["links"]]
        given = tuple(map(self.linked, node["inputs"]))
        prefix = f"{self.prefix}{node['id']}:"
        return _Level(prefix, subgraph["nodes"], links, self.subgraphs, given)


def _label(node: dict[str, Any]) -> str:
    return f"node {node['id']} ({node.get('title', node['type'])})"


def name_of(path: Path) -> str:
    """A recipe's own name, without what Templates finds it by."""
    return path.stem.split(FOUND_BY)[0]


def main() -> None:
    """Rewrite the folder `api`."""
    (FOLDER / "api").mkdir(exist_ok=True)
    for path in sorted(FOLDER.glob("*.json")):
        graph = json.loads(path.read_text(encoding="utf-8"))
        text = json.dumps(to_api(graph), indent=1, ensure_ascii=False)
        (FOLDER / "api" / f"{name_of(path)}.json").write_text(text + "\n", encoding="utf-8")
        print(name_of(path))


if __name__ == "__main__":
    main()
