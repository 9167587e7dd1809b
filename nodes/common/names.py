"""What stands between % signs in the name of a new file, filled in as for ComfyUI's own savers.

There the editor fills in `%date:yyyy-MM-dd%` and `%Node.widget%`, for nodes of a list of its own,
and the server `%year%` and the like. Here all of it is filled in where the file is saved, so that
it also works for workflows that no editor sends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..host import io

VALUE_SIGNS = 64
"""Of a widget's value so many characters are used: a prompt would be too long for a name."""
MAX_NODES, MAX_DEPTH = 10_000, 16
"""Of an editor's workflow: subgraphs may hold each other."""
DATE = re.compile("dd?|MM?|hh?|mm?|ss?|yyyy|yy")
NO_NAME = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')


@dataclass(frozen=True)
class Named:
    """A node as names refer to it: by either of two names, the first before the second."""

    names: tuple[Any, Any]
    values: Mapping[str, Any]


def filled(
    prefix: str,
    prompt: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
    size: tuple[int, int] = (0, 0),
    now: datetime | None = None,
) -> str:
    """A file name with what stands between % signs in the place of it.

    `%date:FORMAT%`, with d, dd, M, MM, h, hh, m, mm, s, ss, yy and yyyy in FORMAT; `%Node.widget%`,
    with the node's "Node name for S&R", which is its class unless someone changed it, or its
    title; `%year%`, `%month%`, `%day%`, `%hour%`, `%minute%`, `%second%`; `%width%` and `%height%`.
    What names nothing stays as it is.

    prompt: the workflow in API format. extra: ComfyUI's `extra_pnginfo`, with the editor's own.
    size: width and height of the frames in pixels, 0 where there are none.
    """
    now = now or datetime.now()
    nodes = list(_nodes(prompt or {}, extra or {})) if "%" in prefix else []

    def replaced(match: re.Match[str]) -> str:
        kind, _, form = match.group(1).partition(":")
        if kind == "date" and form:
            return _date(form, now)
        name, _, widget = match.group(1).rpartition(".")
        found = _value(nodes, name, widget) if name else None
        return match.group() if found is None else NO_NAME.sub("_", found[:VALUE_SIGNS])

    prefix = re.sub("%([^%]+)%", replaced, prefix)
    texts = {
        "width": size[0],
        "height": size[1],
        "year": now.year,
        "month": f"{now.month:02}",
        "day": f"{now.day:02}",
        "hour": f"{now.hour:02}",
        "minute": f"{now.minute:02}",
        "second": f"{now.second:02}",
    }
    for name, text in texts.items():
        prefix = prefix.replace(f"%{name}%", str(text))
    return prefix


def filled_for(node: type[io.ComfyNode], prefix: str, size: tuple[int, int] = (0, 0)) -> str:
    """`filled` for a node that asked for the hidden prompt and `extra_pnginfo`."""
    return filled(prefix, node.hidden.prompt, node.hidden.extra_pnginfo, size)


def _date(form: str, now: datetime) -> str:
    parts = {"d": now.day, "M": now.month, "h": now.hour, "m": now.minute, "s": now.second}

    def part(match: re.Match[str]) -> str:
        sign, width = match.group()[0], len(match.group())
        return str(now.year)[-width:] if sign == "y" else f"{parts[sign]:0{width}}"

    return DATE.sub(part, form)


def _value(nodes: list[Named], name: str, widget: str) -> str | None:
    """The value of a widget of the first node of a name, as text."""
    for place in (0, 1):
        for node in nodes:
            if node.names[place] == name:
                value = node.values.get(widget)
                return None if value is None or isinstance(value, list | dict) else _text(value)
    return None


def _text(value: Any) -> str:
    """As the editor writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    return str(int(value)) if whole else str(value)


def _nodes(prompt: Mapping[str, Any], extra: Mapping[str, Any]) -> Iterator[Named]:
    """The nodes of a workflow, both formats put together.

    A value that is sent goes before the editor's, which knows those of nodes that are not sent.
    """
    graph = _mapping(extra.get("workflow"))
    inner = {
        part["id"]: part
        for part in _mappings(_mapping(graph.get("definitions")).get("subgraphs"))
        if isinstance(part.get("id"), str)
    }
    edited = dict(islice(_edited(graph, inner), MAX_NODES))
    for key in edited | dict(prompt):
        node, sent = edited.get(key, {}), _mapping(prompt.get(key))
        kind = node.get("type", sent.get("class_type"))
        name = _mapping(node.get("properties")).get("Node name for S&R", kind)
        title = node.get("title", _mapping(sent.get("_meta")).get("title"))
        given = _mapping(sent.get("inputs")).items()
        values = {widget: value for widget, value in given if not isinstance(value, list)}
        yield Named((name, title), {**_mapping(node.get("widgets_values_named")), **values})


def _edited(
    graph: Mapping[str, Any], inner: Mapping[str, Any], above: str = "", depth: int = 0
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The editor's nodes by the ids that they have in API format, those in subgraphs too."""
    for node in _mappings(graph.get("nodes")):
        key, kind = f"{above}{node.get('id')}", node.get("type")
        yield key, node
        if isinstance(kind, str) and kind in inner and depth < MAX_DEPTH:
            yield from _edited(inner[kind], inner, f"{key}:", depth + 1)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _mappings(values: Any) -> Iterator[Mapping[str, Any]]:
    return filter(None, map(_mapping, values if isinstance(values, list) else []))
