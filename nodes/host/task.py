"""One node of a run in a plain process: its class, its values, and what it makes of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...pipelines.common.errors import EvenframeError
from . import schema as io
from .workflow import Link, Node


class NodeError(EvenframeError):
    """A node failed; the message names it, `__cause__` is what it raised."""


@dataclass(frozen=True)
class Done:
    """One node's results: a value an output, and what it showed to the user."""

    values: tuple[Any, ...]
    ui: Mapping[str, Any]


@dataclass(frozen=True)
class Task:
    """A node of a workflow, its class and that class's schema. prompt: the whole workflow."""

    node: Node
    cls: type[io.ComfyNode]
    schema: io.Schema
    prompt: Mapping[str, Any]

    @property
    def known(self) -> dict[str, Any]:
        """The values before the run; None for those that come by a link."""
        values = self.node.inputs.items()
        return {name: None if isinstance(value, Link) else value for name, value in values}

    def overrides(self, method: str) -> bool:
        """Whether the class has such a method of its own."""
        own, base = getattr(self.cls, method), getattr(io.ComfyNode, method)
        return own.__func__ is not base.__func__

    def informed(self) -> Any:
        """The class with what it asked to know beside its inputs."""
        there = {io.Hidden.unique_id: self.node.id, io.Hidden.prompt: self.prompt}
        asked = {hidden.name: there[hidden] for hidden in self.schema.hidden if hidden in there}
        return type(self.cls.__name__, (self.cls,), {"hidden": io.HiddenHolder(**asked)})

    def key(self, keys: Mapping[str, str]) -> str:
        """A name for what the node computes: its class, its values, and where links come from.

        keys: those of the nodes before it, by id.
        """
        node, schema = self.node, self.schema
        inputs = {
            name: ["link", keys[value.node], value.output]
            if isinstance(value, Link)
            else ["value", value]
            for name, value in sorted(node.inputs.items())
        }
        alone = schema.not_idempotent or io.Hidden.unique_id in schema.hidden
        own = self.overrides("fingerprint_inputs")
        fingerprint = repr(self.cls.fingerprint_inputs(**self.known)) if own else None
        parts = [node.class_type, node.id if alone else "", inputs, fingerprint]
        return hashlib.sha256(json.dumps(parts, default=repr).encode()).hexdigest()

    def run(self, results: Mapping[str, Done]) -> Done:
        """Execute the node on the results of those before it. Raises NodeError."""
        label = self.node.label
        values = {
            name: results[value.node].values[value.output] if isinstance(value, Link) else value
            for name, value in self.node.inputs.items()
        }
        try:
            return self._done(self.informed().execute(**values))
        except EvenframeError as error:
            raise NodeError(f"{label}: {error}") from error
        except Exception as error:
            text = next(iter(str(error).splitlines()), "")  # others' may be pages long
            raise NodeError(f"{label} failed: {type(error).__name__}: {text}") from error

    def _done(self, returned: Any) -> Done:
        """What `execute` may return, brought to one shape; its number of values is checked."""
        if isinstance(returned, dict):
            returned = io.NodeOutput(*returned.get("result", ()), ui=returned.get("ui"))
        elif isinstance(returned, tuple):
            returned = io.NodeOutput(*returned)
        elif returned is None:
            returned = io.NodeOutput()
        given, wanted = len(returned.args), len(self.schema.outputs)
        if given != wanted:
            raise TypeError(f"{given} values returned for {wanted} outputs")
        ui = returned.ui if isinstance(returned.ui, dict | None) else returned.ui.as_dict()
        return Done(tuple(returned.args), ui or {})
