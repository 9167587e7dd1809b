"""Checks of a node's values against its schema, in a plain process (ComfyUI has its own)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from inspect import getfullargspec
from typing import Any

from ...pipelines.common.errors import EvenframeError, short_repr
from . import schema as io
from .task import Task
from .workflow import Link

MAX_DIGITS = 100
"""Signs of a number that was typed; Python reads far longer ones, slowly."""


class InvalidValue(ValueError):
    """Why a value does not fit an input; the caller adds the node and the input."""


def checked_task(task: Task, tasks: Mapping[str, Task]) -> Task:
    """The node with converted values, checked by its schema, then by its class.

    tasks: all nodes, by id. Raises EvenframeError that names the node.
    """
    node, values = task.node, {}
    spec = getfullargspec(task.cls.validate_inputs) if task.overrides("validate_inputs") else None
    own = spec.args if spec else []
    if spec and spec.varkw:
        own = [socket.id for socket in task.schema.inputs]
    for socket in task.schema.inputs:
        if socket.id not in node.inputs:
            if not socket.optional:
                raise EvenframeError(f"{node.label}: {socket.id} is missing.")
            continue
        value = values[socket.id] = node.inputs[socket.id]
        if isinstance(value, Link):
            _check_link(task, socket, value, tasks)
            continue
        try:
            values[socket.id] = checked(socket, value, within_limits=socket.id not in own)
        except InvalidValue as error:
            raise EvenframeError(f"{node.label}: {socket.id} {error}.") from error
    task = replace(task, node=replace(node, inputs=values))
    if spec:
        _check_by_class(task, own)
    return task


def _check_link(task: Task, socket: io.Input, link: Link, tasks: Mapping[str, Task]) -> None:
    label, outputs = task.node.label, tasks[link.node].schema.outputs
    if not 0 <= link.output < len(outputs):
        raise EvenframeError(
            f"{label}: {socket.id} is linked to output {link.output} of node {link.node}, "
            f"which has {len(outputs)} (the first is 0)."
        )
    given = set(outputs[link.output].io_type.split(","))
    taken = set(socket.get_io_type().split(","))
    if "*" not in given | taken and not given & taken:
        raise EvenframeError(
            f"{label}: {socket.id} takes {socket.get_io_type()}, but output {link.output} of "
            f"node {link.node} gives {outputs[link.output].io_type}."
        )


def _check_by_class(task: Task, names: list[str]) -> None:
    label, asked = task.node.label, {k: v for k, v in task.known.items() if k in names}
    try:
        verdict = task.informed().validate_inputs(**asked)
    except EvenframeError as error:
        raise EvenframeError(f"{label}: {error}") from error
    if verdict is not True:
        reason = verdict if isinstance(verdict, str) else f"{', '.join(asked)} not valid."
        raise EvenframeError(f"{label}: {reason}")


def checked(socket: io.Input, value: Any, within_limits: bool = True) -> Any:
    """`value` as the type of `socket`, converted as ComfyUI converts it.

    within_limits: also check min, max and the options of a choice.
    Raises InvalidValue that says what was given and what is allowed.
    """
    if isinstance(value, dict) and "__value__" in value:
        value = value["__value__"]
    if isinstance(socket, io.Int.Input):
        value = _number(int, value, socket)
    elif isinstance(socket, io.Float.Input):
        value = _number(float, value, socket)
    elif isinstance(socket, io.Boolean.Input):
        if value not in (True, False):
            raise InvalidValue(f"is {value!r}, must be true or false")
        value = bool(value)
    elif isinstance(socket, io.String.Input):
        if not isinstance(value, str | int | float):
            raise InvalidValue(f"is {short_repr(value)}, must be text")
        value = str(value)
    elif not isinstance(socket, io.Combo.Input):
        raise InvalidValue(
            f"is {short_repr(value)}, must be linked to an output of type {socket.get_io_type()}"
        )
    if within_limits:
        _check_limits(socket, value)
    return value


def _number(kind: type[int] | type[float], value: Any, socket: io.Input) -> int | float:
    try:
        number = kind(_bounded(value)) if isinstance(value, str) else kind(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    cut = kind is int and not isinstance(value, str) and number != value
    finite = isinstance(number, int) or math.isfinite(number)
    if cut or not finite or isinstance(value, bool):
        what = "a whole number" if kind is int else "a number"
        raise InvalidValue(f"is {short_repr(value)}, must be {what}{_range(socket)}")
    return number


def _bounded(digits: str) -> str:
    if len(digits) > MAX_DIGITS:
        raise ValueError
    return digits


def _range(socket: Any) -> str:
    if socket.min is not None and socket.max is not None:
        return f" from {socket.min} to {socket.max}"
    if socket.min is not None:
        return f", at least {socket.min}"
    return "" if socket.max is None else f", at most {socket.max}"


def _check_limits(socket: io.Input, value: Any) -> None:
    if isinstance(socket, io.Int.Input | io.Float.Input):
        low = -math.inf if socket.min is None else socket.min
        high = math.inf if socket.max is None else socket.max
        if not low <= value <= high:
            raise InvalidValue(f"is {short_repr(value)}, must be a number{_range(socket)}")
    elif isinstance(socket, io.Combo.Input) and value not in (socket.options or []):
        raise InvalidValue(f"is {short_repr(value)}, {_choices(socket.options or [])}")


def _choices(options: list[Any]) -> str:
    if not options:
        return "but there is nothing to choose from"
    more = f" or one of {len(options) - 12} more" if len(options) > 12 else ""
    return f"must be one of {', '.join(map(repr, options[:12]))}{more}"
