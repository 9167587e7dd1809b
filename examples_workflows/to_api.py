"""Write `api/NAME.json` for every `NAME.json` here: the same graph in API format.

Edit a recipe in ComfyUI's editor, save it here under the name it shall have in Templates, and run

    python examples_workflows/to_api.py

A test compares both, so that neither can be forgotten.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
NOTES = {"Note", "MarkdownNote"}
# Widgets of the editor itself, which no node takes.
EDITORS_OWN = {"control_after_generate", "upload"}


def to_api(graph: dict[str, Any]) -> dict[str, Any]:
    """A graph in the editor's format, in API format; notes are left out.

    Raises ValueError for what these recipes do without: subgraphs, and nodes that are muted.
    """
    origins = {link[0]: [str(link[1]), link[2]] for link in graph["links"]}
    nodes = sorted(graph["nodes"], key=lambda node: node["id"])
    return {str(node["id"]): _node(node, origins) for node in nodes if node["type"] not in NOTES}


def _node(node: dict[str, Any], origins: dict[int, list[Any]]) -> dict[str, Any]:
    if node.get("mode", 0) != 0:
        raise ValueError(f"node {node['id']} ({node['type']}) is muted or bypassed: remove it")
    values = node.get("widgets_values_named", {})
    if not values and node.get("widgets_values"):
        raise ValueError(f"node {node['id']} ({node['type']}) names no values: save it again")
    inputs = {name: value for name, value in values.items() if name not in EDITORS_OWN}
    for socket in node["inputs"]:
        if socket.get("link") is not None:
            inputs[socket["name"]] = origins[socket["link"]]
    title = node.get("title", node["type"])
    return {"inputs": inputs, "class_type": node["type"], "_meta": {"title": title}}


def main() -> None:
    """Rewrite the folder `api`."""
    (FOLDER / "api").mkdir(exist_ok=True)
    for path in sorted(FOLDER.glob("*.json")):
        graph = json.loads(path.read_text(encoding="utf-8"))
        text = json.dumps(to_api(graph), indent=1, ensure_ascii=False)
        (FOLDER / "api" / path.name).write_text(text + "\n", encoding="utf-8")
        print(path.name)


if __name__ == "__main__":
    main()
