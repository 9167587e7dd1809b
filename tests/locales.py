"""`make locales`: the English of `locales/`, from the nodes' schemas and the widgets' scripts.

ComfyUI takes a pack's translations from there. English has all strings, so that a translator sees
in one place what there is; `test_locales.py` says when it is stale.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from comfyui_server import ROOT

from evenframe.nodes import node_classes

FOLDER = ROOT / "locales"
TEXT = r'"(?:[^"\\]|\\.)*"'
SAID = re.compile(rf"\bt\(\s*({TEXT}(?:\s*\+\s*{TEXT})*)")
"""A string of a widget, where it is said; of a long one, its parts."""


def nodes() -> dict[str, Any]:
    """What ComfyUI reads from nodeDefs.json: names and tooltips of nodes, inputs and outputs."""
    return {schema.node_id: _node(schema) for schema in (c.GET_SCHEMA() for c in node_classes())}


def _node(schema: Any) -> dict[str, Any]:
    sockets = {one.id: _socket(one, one.id) for one in schema.inputs}
    outputs = {str(at): _socket(one, "") for at, one in enumerate(schema.outputs)}
    told = {"display_name": schema.display_name, "description": schema.description}
    return {**told, "inputs": sockets, "outputs": outputs}


def _socket(socket: Any, name: str) -> dict[str, str]:
    told = {"name": socket.display_name or name, "tooltip": socket.tooltip or ""}
    return {key: value for key, value in told.items() if value}


def said() -> list[str]:
    """The widgets' strings, in the order of the files."""
    paths = sorted((ROOT / "web" / "js").rglob("*.js"))
    found = [parts for path in paths for parts in SAID.findall(path.read_text(encoding="utf-8"))]
    return list(dict.fromkeys("".join(map(json.loads, re.findall(TEXT, parts))) for parts in found))


def english() -> dict[str, Any]:
    """What each file of `locales/en` says."""
    return {"nodeDefs.json": nodes(), "main.json": {"evenframe": {text: text for text in said()}}}


def written(told: Any) -> str:
    """As it stands in a file."""
    return json.dumps(told, indent=1, ensure_ascii=False) + "\n"


def read(language: str, name: str) -> Any:
    return json.loads((FOLDER / language / name).read_text(encoding="utf-8"))


def main() -> None:
    for name, told in english().items():
        path = Path(FOLDER / "en" / name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(written(told), encoding="utf-8")


if __name__ == "__main__":
    main()
