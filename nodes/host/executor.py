"""Runs workflows in a plain process: checks everything first, then node after node."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch

from ...pipelines.common.errors import EvenframeError
from . import schema as io
from .results import ResultCache
from .standalone import StandaloneHost
from .submitted import Submitted
from .task import Done, Task
from .validate import InvalidValue, checked, checked_task
from .workflow import Node, Workflow

log = logging.getLogger(__name__)
OnNode = Callable[[Node, int, int, bool], None]
OnDone = Callable[[Done], None]


@dataclass(frozen=True)
class RunResult:
    """results: by node id, in the order of the run. executed: the ids of what was not kept."""

    results: Mapping[str, Done]
    executed: tuple[str, ...]


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

    def _class(self, node: Node) -> type[io.ComfyNode]:
        if node.class_type in self._classes:
            return self._classes[node.class_type]
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
        sockets = {socket.id: socket for socket in self._class(node).GET_SCHEMA().inputs}
        if socket_id not in sockets:
            known = ", ".join(sockets)
            raise EvenframeError(f"{node.label} has no input {socket_id!r}: it has {known}.")
        return workflow.with_value(node, socket_id, _typed(sockets[socket_id], text))

    def check(self, workflow: Workflow) -> list[Task]:
        """The nodes to run, in order, with converted values; EvenframeError if any is wrong."""
        prompt = workflow.as_prompt()
        tasks: dict[str, Task] = {}
        for node in workflow.nodes.values():
            cls = self._class(node)
            tasks[node.id] = Task(node, cls, cls.GET_SCHEMA(), prompt)
        targets = [node_id for node_id, task in tasks.items() if task.schema.is_output_node]
        if not _unread(tasks.values()):  # else an edit behind a prompt would be left out unsaid
            schemas = (cls.GET_SCHEMA() for cls in self._classes.values())
            there = {task.node.class_type for task in tasks.values()}
            ends = {schema.node_id for schema in schemas if schema.is_output_node}
            saving = sorted(ends - there or ends)
            raise EvenframeError(
                "The workflow saves nothing: add a node that saves or shows, such as "
                f"{', '.join(saving)}."
            )
        ready = []
        for node in workflow.in_order(targets):
            with self._host.checking(Submitted(prompt, node.id)):
                ready.append(checked_task(tasks[node.id], tasks))
        return ready

    def run(
        self, workflow: Workflow, on_node: OnNode = _ignore, on_done: OnDone = _ignore
    ) -> RunResult:
        """Run all that the workflow's output nodes need.

        on_node: called before each node with (node, position from 1, total, whether its results
            were kept from the run before); on_done: after each with its results.
        Raises EvenframeError before anything ran if the workflow is wrong, NodeError if a node
        fails, and the host's interrupt if the user cancels; finished results are kept.
        """
        tasks = self.check(workflow)
        keys: dict[str, str] = {}
        for task in tasks:
            keys[task.node.id] = task.key(keys)
        found = self._found(tasks, keys)
        needed = [task for task in tasks if task.node.id in found]
        results: dict[str, Done] = {}
        for position, task in enumerate(needed, start=1):
            node, done = task.node, found[task.node.id]
            on_node(node, position, len(needed), done is not None)
            if done is None:
                self._host.check_interrupt()
                with torch.inference_mode():
                    done = task.run(results)
                self._keep(task, keys[node.id], done)
            results[node.id] = done
            on_done(done)
        self._kept |= {keys[node_id]: done for node_id, done in results.items()}
        self._kept = {key: self._kept[key] for key in keys.values() if key in self._kept}
        return RunResult(results, tuple(node_id for node_id in results if found[node_id] is None))

    def forget_files(self) -> None:
        """Let what has saved files save them again: whoever took them away has them no more."""
        self._kept = {key: done for key, done in self._kept.items() if not _saved_files(done)}

    def _found(self, tasks: list[Task], keys: Mapping[str, str]) -> dict[str, Done | None]:
        """The nodes that this run needs, with the results that are there already.

        Walks from the outputs back; what only feeds a result that is there is not needed.
        """
        found: dict[str, Done | None] = {}
        needed = _unread(tasks)
        for task in reversed(tasks):
            node_id, key = task.node.id, keys[task.node.id]
            if node_id not in needed:
                continue
            found[node_id] = self._kept.get(key) or self._read(task, key)
            if found[node_id] is None:
                needed.update(link.node for _, link in task.node.links)
        return found

    def _read(self, task: Task, key: str) -> Done | None:
        if self._saved is None or not self._saved.keeps(task.schema):
            return None
        value = self._saved.get(key)
        return None if value is None else Done((value,), {})

    def _keep(self, task: Task, key: str, done: Done) -> None:
        self._kept[key] = done
        if self._saved is not None and self._saved.keeps(task.schema):
            try:
                self._saved.put(key, done.values[0])
            except EvenframeError as error:  # a full disk costs the next run time, not this one
                log.warning("%s", error)


def _unread(tasks: Iterable[Task]) -> set[str]:
    """The output nodes that nothing goes on from; others run where that needs them."""
    tasks = tuple(tasks)
    read = {link.node for task in tasks for _, link in task.node.links}
    return {task.node.id for task in tasks if task.schema.is_output_node} - read


def _saved_files(done: Done) -> bool:
    shown = (entry for entries in done.ui.values() for entry in entries)
    return any(isinstance(entry, dict) and entry.get("type") == "output" for entry in shown)


def _typed(socket: io.Input, text: str) -> Any:
    """What someone typed, as the workflow would have it: a saved one keeps its numbers. What is no
    value of the input stays a text, which is refused with all others."""
    if isinstance(socket, io.Combo.Input) and text in map(str, socket.options or []):
        return next(option for option in socket.options if str(option) == text)
    if isinstance(socket, io.Boolean.Input) and text.casefold() in ("true", "false"):
        return text.casefold() == "true"
    if isinstance(socket, io.Int.Input | io.Float.Input):
        with suppress(InvalidValue):
            return checked(socket, text, within_limits=False)
    return text
