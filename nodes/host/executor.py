"""Runs workflows in a plain process: checks everything first, then node after node."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from inspect import getfullargspec
from typing import Any

from ...pipelines.common.errors import EvenframeError
from . import schema as io
from .results import ResultCache
from .standalone import StandaloneHost
from .validate import InvalidValue, checked
from .workflow import Link, Node, Workflow

log = logging.getLogger(__name__)
OnNode = Callable[[Node, int, int, bool], None]
OnDone = Callable[["Done"], None]


class NodeError(EvenframeError):
    """A node failed; the message names it, `__cause__` is what it raised."""


@dataclass(frozen=True)
class Done:
    """One node's results: a value an output, and what it showed to the user."""

    values: tuple[Any, ...]
    ui: Mapping[str, Any]


@dataclass(frozen=True)
class RunResult:
    """results: by node id; executed and cached: node ids in the order of the run."""

    results: Mapping[str, Done]
    executed: tuple[str, ...]
    cached: tuple[str, ...]


def _ignore(*_: Any) -> None:
    pass


class Executor:
    """Runs workflows of the given node classes and keeps the last run's results.

    A node runs again only when its inputs, or anything that these come from, have changed; a node
    whose results nobody needs does not run.
    """

    def __init__(
        self,
        host: StandaloneHost,
        classes: Iterable[type[io.ComfyNode]],
        saved: ResultCache | None = None,
    ) -> None:
        """saved: where costly results outlive the process; None keeps nothing on disk."""
        self._host = host
        self._saved = saved
        self._classes = {cls.GET_SCHEMA().node_id: cls for cls in classes}
        self._kept: dict[str, Done] = {}

    def schema(self, node: Node) -> io.Schema:
        """The schema of a node's class; EvenframeError if this pack has no such class."""
        if node.class_type in self._classes:
            return self._classes[node.class_type].GET_SCHEMA()
        if not node.class_type.startswith("Evenframe"):
            raise EvenframeError(
                f"{node.label} is not a node of Evenframe: "
                "this workflow runs only in ComfyUI; replace the node or run it there."
            )
        raise EvenframeError(
            f"{node.label}: this version of Evenframe has no such node; "
            f"it has {', '.join(sorted(self._classes))}."
        )

    def assign(self, workflow: Workflow, assignment: str) -> Workflow:
        """`workflow` changed as `Node.input=value` says; Node is an id, a title or a class."""
        target, equals, text = assignment.partition("=")
        name, dot, socket_id = target.rpartition(".")
        if not (equals and dot and name and socket_id):
            raise EvenframeError(f"{assignment!r} is not of the form Node.input=value.")
        node = workflow.find(name)
        sockets = {socket.id: socket for socket in self.schema(node).inputs}
        if socket_id not in sockets:
            known = ", ".join(sockets)
            raise EvenframeError(f"{node.label} has no input {socket_id!r}: it has {known}.")
        return workflow.with_value(node, socket_id, _typed(sockets[socket_id], text))

    def check(self, workflow: Workflow) -> list[Node]:
        """The nodes to run, in order, with converted values; EvenframeError if any is wrong."""
        schemas = {node.id: self.schema(node) for node in workflow.nodes.values()}
        targets = [node_id for node_id, schema in schemas.items() if schema.is_output_node]
        if not targets:
            raise EvenframeError(
                "The workflow saves nothing: add a node that saves or shows, such as "
                f"{', '.join(self._output_classes())}."
            )
        prompt = workflow.as_prompt()
        return [self._checked(node, schemas, prompt) for node in workflow.in_order(targets)]

    def run(
        self, workflow: Workflow, on_node: OnNode = _ignore, on_done: OnDone = _ignore
    ) -> RunResult:
        """Run all that the workflow's output nodes need.

        on_node: called before each node with (node, position from 1, total, whether its results
            were kept from the run before); on_done: after each with its results.
        Raises EvenframeError before anything ran if the workflow is wrong, NodeError if a node
        fails, and the host's interrupt if the user cancels; finished results are kept.
        """
        import torch

        nodes = self.check(workflow)
        prompt = workflow.as_prompt()
        keys: dict[str, str] = {}
        for node in nodes:
            keys[node.id] = self._key(node, keys)
        found = self._found(nodes, keys)
        needed = [node for node in nodes if node.id in found]
        results: dict[str, Done] = {}
        for position, node in enumerate(needed, start=1):
            done = found[node.id]
            on_node(node, position, len(needed), done is not None)
            if done is None:
                self._host.check_interrupt()
                with torch.inference_mode():
                    done = self._execute(node, results, prompt)
                self._keep(node, keys[node.id], done)
            results[node.id] = done
            on_done(done)
        self._kept |= {keys[node.id]: results[node.id] for node in needed}
        self._kept = {key: self._kept[key] for key in keys.values() if key in self._kept}
        executed = tuple(node.id for node in needed if found[node.id] is None)
        cached = tuple(node.id for node in needed if found[node.id] is not None)
        return RunResult(results, executed, cached)

    def _found(self, nodes: list[Node], keys: Mapping[str, str]) -> dict[str, Done | None]:
        """The nodes that this run needs, with the results that are there already.

        Walks from the outputs back; what only feeds a result that is there is not needed.
        """
        found: dict[str, Done | None] = {}
        needed = {node.id for node in nodes if self.schema(node).is_output_node}
        for node in reversed(nodes):
            if node.id not in needed:
                continue
            found[node.id] = self._kept.get(keys[node.id]) or self._read(node, keys[node.id])
            if found[node.id] is None:
                needed.update(link.node for _, link in node.links)
        return found

    def _read(self, node: Node, key: str) -> Done | None:
        if self._saved is None or not self._saved.keeps(self.schema(node)):
            return None
        value = self._saved.get(key)
        return None if value is None else Done((value,), {})

    def _keep(self, node: Node, key: str, done: Done) -> None:
        self._kept[key] = done
        if self._saved is not None and self._saved.keeps(self.schema(node)):
            try:
                self._saved.put(key, done.values[0])
            except EvenframeError as error:  # a full disk costs the next run time, not this one
                log.warning("%s", error)

    def _output_classes(self) -> list[str]:
        schemas = (cls.GET_SCHEMA() for cls in self._classes.values())
        return sorted(schema.node_id for schema in schemas if schema.is_output_node)

    def _checked(
        self, node: Node, schemas: Mapping[str, io.Schema], prompt: dict[str, Any]
    ) -> Node:
        cls = self._classes[node.class_type]
        own_checks = getfullargspec(cls.validate_inputs) if _overrides(cls) else None
        values: dict[str, Any] = {}
        for socket in schemas[node.id].inputs:
            if socket.id not in node.inputs:
                if not socket.optional:
                    raise EvenframeError(f"{node.label}: {socket.id} is missing.")
                continue
            value = node.inputs[socket.id]
            if isinstance(value, Link):
                _check_types(node, socket, value, schemas)
                values[socket.id] = value
                continue
            in_own = own_checks and (own_checks.varkw or socket.id in own_checks.args)
            try:
                values[socket.id] = checked(socket, value, within_limits=not in_own)
            except InvalidValue as error:
                raise EvenframeError(f"{node.label}: {socket.id} {error}.") from error
        node = Node(node.id, node.class_type, node.title, values)
        if own_checks:
            _check_own(_told(cls, node, prompt), node, own_checks.args, bool(own_checks.varkw))
        return node

    def _key(self, node: Node, keys: Mapping[str, str]) -> str:
        """A name for what the node computes: its class, its values, and where links come from."""
        cls = self._classes[node.class_type]
        schema = cls.GET_SCHEMA()
        inputs = {
            name: ["link", keys[value.node], value.output]
            if isinstance(value, Link)
            else ["value", value]
            for name, value in sorted(node.inputs.items())
        }
        own = node.id if schema.not_idempotent or io.Hidden.unique_id in schema.hidden else ""
        parts = [node.class_type, own, inputs, _fingerprint(cls, node)]
        return hashlib.sha256(json.dumps(parts, default=repr).encode()).hexdigest()

    def _execute(self, node: Node, results: Mapping[str, Done], prompt: dict[str, Any]) -> Done:
        cls = self._classes[node.class_type]
        schema, running = cls.GET_SCHEMA(), _told(cls, node, prompt)
        values = {
            name: results[value.node].values[value.output] if isinstance(value, Link) else value
            for name, value in node.inputs.items()
        }
        try:
            return _done(running.execute(**values), schema)
        except EvenframeError as error:
            raise NodeError(f"{node.label}: {error}") from error
        except Exception as error:
            text = next(iter(str(error).splitlines()), "")  # others' may be pages long
            raise NodeError(f"{node.label} failed: {type(error).__name__}: {text}") from error


def _told(cls: type[io.ComfyNode], node: Node, prompt: dict[str, Any]) -> Any:
    """The class with what it asked to be told beside its inputs."""
    told = {io.Hidden.unique_id: node.id, io.Hidden.prompt: prompt}
    hidden = io.HiddenHolder(**{k.name: told[k] for k in cls.GET_SCHEMA().hidden if k in told})
    return type(cls.__name__, (cls,), {"hidden": hidden})


def _overrides(cls: type[io.ComfyNode]) -> bool:
    return cls.validate_inputs.__func__ is not io.ComfyNode.validate_inputs.__func__


def _check_types(
    node: Node, socket: io.Input, link: Link, schemas: Mapping[str, io.Schema]
) -> None:
    outputs = schemas[link.node].outputs
    if not 0 <= link.output < len(outputs):
        raise EvenframeError(
            f"{node.label}: {socket.id} is linked to output {link.output} of node {link.node}, "
            f"which has {len(outputs)} (the first is 0)."
        )
    given = set(outputs[link.output].io_type.split(","))
    taken = set(socket.get_io_type().split(","))
    if "*" not in given | taken and not given & taken:
        raise EvenframeError(
            f"{node.label}: {socket.id} takes {socket.get_io_type()}, but output {link.output} of "
            f"node {link.node} gives {outputs[link.output].io_type}."
        )


def _check_own(cls: type[io.ComfyNode], node: Node, names: list[str], everything: bool) -> None:
    asked = {
        name: None if isinstance(value, Link) else value
        for name, value in node.inputs.items()
        if everything or name in names
    }
    try:
        verdict = cls.validate_inputs(**asked)
    except EvenframeError as error:
        raise EvenframeError(f"{node.label}: {error}") from error
    if verdict is not True:
        reason = verdict if isinstance(verdict, str) else f"{', '.join(asked)} not valid."
        raise EvenframeError(f"{node.label}: {reason}")


def _fingerprint(cls: type[io.ComfyNode], node: Node) -> Any:
    if cls.fingerprint_inputs.__func__ is io.ComfyNode.fingerprint_inputs.__func__:
        return None
    constants = {k: None if isinstance(v, Link) else v for k, v in node.inputs.items()}
    return repr(cls.fingerprint_inputs(**constants))


def _done(returned: Any, schema: io.Schema) -> Done:
    """What `execute` may return, brought to one shape; its number of values is checked."""
    if isinstance(returned, dict):
        returned = io.NodeOutput(*returned.get("result", ()), ui=returned.get("ui"))
    elif isinstance(returned, tuple):
        returned = io.NodeOutput(*returned)
    elif returned is None:
        returned = io.NodeOutput()
    if len(returned.args) != len(schema.outputs):
        raise TypeError(f"{len(returned.args)} values returned for {len(schema.outputs)} outputs")
    ui = returned.ui if isinstance(returned.ui, dict | None) else returned.ui.as_dict()
    return Done(tuple(returned.args), ui or {})


def _typed(socket: io.Input, text: str) -> Any:
    """What someone typed, where text cannot stand for it; `checked` converts numbers."""
    if isinstance(socket, io.Combo.Input) and text in map(str, socket.options or []):
        return next(option for option in socket.options if str(option) == text)
    if isinstance(socket, io.Boolean.Input) and text.casefold() in ("true", "false"):
        return text.casefold() == "true"
    return text
