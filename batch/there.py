"""The rules of ComfyUI servers: their nodes, their weights, and the clips of this machine."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..nodes import node_classes
from ..nodes.clip_load import EXTENSIONS as VIDEOS
from ..nodes.common.made_by import LONGEST_NAME
from ..nodes.host.folders import WEIGHTS
from ..nodes.host.standalone import Session
from ..nodes.host.submitted import Submitted
from ..nodes.host.workflow import Link, Workflow
from ..pipelines.common.errors import EvenframeError, short_repr
from ..pipelines.common.typed_text import read_decimal
from .columns import Column
from .edits import standalone
from .engines.server import MAX_DIGITS, Gone, Refused, Server
from .here import Contents
from .plan import File

PATIENCE = 60.0
"""Seconds in which one of the servers must answer when a batch begins."""
WHOLE = re.compile(f"[+-]?[0-9]{{1,{MAX_DIGITS}}}")
WORDY = (
    "EvenframeAttentionFusion",
    "EvenframeFusionPreset",
    "EvenframeStreamEditPreset",
    "EvenframeSelfModulator",
    "EvenframeCrossReweighter",
)
"""Nodes that find words in prompts, which needs no weights."""


class ThereRules:
    """`Rules` of servers that all compute alike; the first that answers says how."""

    def __init__(self, servers: list[Server], session: Session, workflow: Workflow) -> None:
        self._host = standalone()
        self._contents = Contents(session)
        values = (value for node in workflow.nodes.values() for value in node.inputs.values())
        self._names = dict.fromkeys(value for value in values if _may_name(value))
        self._first, facts = _first(servers, list(self._names))
        self._files = dict(facts["files"])
        self.made_by: dict[str, Any] = {name: facts[name] for name in ("code", "versions")}
        self._nodes: Mapping[str, Any] = self._first.get("/object_info")
        own = {cls.GET_SCHEMA().node_id: cls for cls in node_classes()}
        self._wordy = {name: own[name] for name in WORDY if name in own}

    def fits(self, server: Server) -> dict[str, Any]:
        """What a server is, for records; EvenframeError where its code or weights are others than
        the first one's."""
        facts = server.made_by(list(self._names))
        differ = [name for name, value in self.made_by.items() if facts.get(name) != value]
        theirs = facts.get("files", {})
        differ += [repr(n) for n, found in self._files.items() if theirs.get(n) != found]
        if differ:
            raise EvenframeError(
                f"{server.url} gets no rows, because it differs from {self._first.url} in "
                f"{', '.join(differ)}: install the same there."
            )
        return {name: facts.get(name) for name in ("versions", "device", "threads")}

    def require(self, workflow: Workflow, column: Column) -> None:
        self._input(workflow, column)

    def assign(self, workflow: Workflow, column: Column, text: str) -> Workflow:
        kind, settings = self._input(workflow, column)
        label = workflow.nodes[column.node].label
        value = text if self._local(text) else _typed(kind, settings, text, label, column.socket)
        return workflow.with_value(workflow.nodes[column.node], column.socket, value)

    def check(self, workflow: Workflow) -> None:
        prompt = workflow.as_prompt()
        for node in workflow.nodes.values():
            if node.class_type not in self._nodes:
                raise EvenframeError(f"{node.label} is no node of {self._first.url}.")
            cls = self._wordy.get(node.class_type)
            if cls is None:
                continue
            known = {k: None if isinstance(v, Link) else v for k, v in node.inputs.items()}
            code = cls.validate_inputs.__code__
            named = code.co_varnames[: code.co_argcount]
            with self._host.checking(Submitted(prompt, node.id)):
                said = cls.validate_inputs(**{k: v for k, v in known.items() if k in named})
            if said is not True:
                raise EvenframeError(f"{node.label}: {said}")

    def content(self, name: str) -> str | None:
        if self._local(name):
            return self._contents.of(name)[0]
        if name not in self._files and _may_name(name) and name not in self._names:
            self._names[name] = None
            self._files |= self._first.made_by([name])["files"]
        return self._files.get(name)

    def files(self, name: str) -> tuple[File, ...]:
        return self._contents.of(name)[1] if self._local(name) else ()

    def upload(self, name: str) -> Path | None:
        """The file of this machine that a cell names: servers are sent it."""
        files = self.files(name)
        return Path(files[0][0]) if files else None

    def _local(self, name: str) -> bool:
        return Path(name).suffix.lower() in VIDEOS and bool(self._contents.of(name)[0])

    def _input(self, workflow: Workflow, column: Column) -> tuple[Any, Mapping[str, Any]]:
        """Type and settings of an input, as the server tells them."""
        node = workflow.nodes[column.node]
        told = self._nodes.get(node.class_type)
        if told is None:
            raise EvenframeError(f"{node.label} is no node of {self._first.url}.")
        groups = told.get("input", {})
        inputs = {**groups.get("required", {}), **groups.get("optional", {})}
        if column.socket not in inputs:
            known = ", ".join(inputs)
            raise EvenframeError(f"{node.label} has no input {column.socket!r}: it has {known}.")
        kind, *settings = inputs[column.socket]
        return kind, settings[0] if settings else {}


def _may_name(value: Any) -> bool:
    """Whether a text may name weights or a clip on a server."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= LONGEST_NAME
        and value == value.strip()
        and Path(value).suffix.lower() in (*WEIGHTS, *VIDEOS)
    )


def _first(servers: Iterable[Server], names: list[str]) -> tuple[Server, dict[str, Any]]:
    """The first server that answers, and what it is made of."""
    servers, end = list(servers), time.monotonic() + PATIENCE
    while True:
        refused, said = 0, ""
        for server in servers:
            try:
                return server, server.made_by(names)
            except Gone as error:
                said = str(error)
            except Refused as error:
                refused += 1
                said = (
                    f"{server.url} does not tell what it computes with ({error}): install this "
                    "version of Evenframe there"
                )
        if refused == len(servers) or time.monotonic() > end:
            raise EvenframeError(f"No server can be used: {said}.")
        time.sleep(1)


def _typed(kind: Any, settings: Mapping[str, Any], text: str, label: str, socket: str) -> Any:
    """A cell as an input of this type takes it."""
    options = kind if isinstance(kind, list) else settings.get("options")
    if isinstance(options, list):
        found = [option for option in options if str(option) == text]
        if not found:
            shown = ", ".join(map(short_repr, options[:12]))
            said = f"{label}: {socket} is {short_repr(text)}, must be one of {shown}."
            raise EvenframeError(said)
        return found[0]
    value = _value(kind, text)
    if value is None:
        raise EvenframeError(f"{label}: {socket} is {short_repr(text)}, not {kind}.")
    low, high = settings.get("min"), settings.get("max")
    bounded = kind in ("INT", "FLOAT") and low is not None and high is not None
    if bounded and not low <= value <= high:
        raise EvenframeError(f"{label}: {socket} is {text}, must be from {low} to {high}.")
    return value


def _value(kind: Any, text: str) -> Any:
    """What a text stands for; None where an input of this type has no such value."""
    if kind == "INT":
        return int(text) if WHOLE.fullmatch(text) else None
    if kind == "FLOAT":
        return read_decimal(text)
    return {"true": True, "false": False}.get(text.casefold()) if kind == "BOOLEAN" else text
