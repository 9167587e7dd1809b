"""Checks of typed values against a node's schema, in a plain process (ComfyUI has its own)."""

from __future__ import annotations

import math
from typing import Any

from . import schema as io

MAX_DIGITS = 100
"""Signs of a number that was typed; Python reads far longer ones, slowly."""


class InvalidValue(ValueError):
    """Why a value does not fit an input; the caller adds the node and the input."""


def checked(socket: io.Input, value: Any, within_limits: bool = True) -> Any:
    """`value` as the type of `socket`, converted as ComfyUI converts it.

    within_limits: also check min, max and the options of a choice.
    Raises InvalidValue that says what was given and what is allowed.
    """
    if isinstance(value, dict) and "__value__" in value:
        value = value["__value__"]
    if isinstance(socket, io.Int.Input):
        value = _whole(value, _range(socket))
    elif isinstance(socket, io.Float.Input):
        value = _real(value, _range(socket))
    elif isinstance(socket, io.Boolean.Input):
        if value not in (True, False):
            raise InvalidValue(f"is {value!r}, must be true or false")
        value = bool(value)
    elif isinstance(socket, io.String.Input):
        if not isinstance(value, str | int | float):
            raise InvalidValue(f"is {shown(value)}, must be text")
        value = str(value)
    elif not isinstance(socket, io.Combo.Input):
        raise InvalidValue(
            f"is {shown(value)}, must be linked to an output of type {socket.get_io_type()}"
        )
    if within_limits:
        _check_limits(socket, value)
    return value


def shown(value: Any) -> str:
    """`value` as an error message shows it: one line, cut short."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _whole(value: Any, allowed: str) -> int:
    try:
        whole = int(_bounded(value)) if isinstance(value, str) else int(value)
    except (TypeError, ValueError, OverflowError):
        whole = None
    is_whole = whole is not None and (isinstance(value, str) or whole == value)
    if whole is None or not is_whole or isinstance(value, bool):
        raise InvalidValue(f"is {shown(value)}, must be a whole number{allowed}")
    return int(whole)


def _real(value: Any, allowed: str) -> float:
    try:
        real = float(_bounded(value)) if isinstance(value, str) else float(value)
    except (TypeError, ValueError, OverflowError):
        real = math.nan
    if isinstance(value, bool) or not math.isfinite(real):
        raise InvalidValue(f"is {shown(value)}, must be a number{allowed}")
    return real


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
            raise InvalidValue(f"is {shown(value)}, must be a number{_range(socket)}")
    elif isinstance(socket, io.Combo.Input) and value not in (socket.options or []):
        raise InvalidValue(f"is {shown(value)}, {_choices(socket.options or [])}")


def _choices(options: list[Any]) -> str:
    if not options:
        return "but there is nothing to choose from"
    more = f" or one of {len(options) - 12} more" if len(options) > 12 else ""
    return f"must be one of {', '.join(map(repr, options[:12]))}{more}"
