"""Reading JSON that people wrote: whatever is wrong is an EvenframeError that names the place."""

import json
import math
import reprlib
from functools import partial
from typing import Any

from .errors import EvenframeError

MAX_TEXT = 1_000_000


def read_json(text: str, what: str, example: str) -> Any:
    """The value that a text stands for. what: a plural for messages; example: what to write."""
    if len(text) > MAX_TEXT:
        raise EvenframeError(
            f"The {what} are {len(text)} characters long: at most {MAX_TEXT} are read."
        )
    try:
        return json.loads(
            text, object_pairs_hook=_unique, parse_constant=partial(_no_constant, what)
        )
    except EvenframeError:
        raise
    except (ValueError, RecursionError) as error:
        raise EvenframeError(f"The {what} are not JSON ({error}): write {example}.") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise EvenframeError(f"{shown(name)} is given twice in one object: leave one out.")
        found[name] = value
    return found


def _no_constant(what: str, name: str) -> float:
    raise EvenframeError(f"The {what} hold {name}, which is no number: give a finite one.")


def read_object(
    value: Any, where: str, needed: set[str], allowed: set[str], example: str = ""
) -> dict[str, Any]:
    """An object with all of the `needed` names, some of the `allowed`, and no others.

    example: what to write, for messages.
    """
    if not isinstance(value, dict):
        raise EvenframeError(f"{where} is {shown(value)}: give an object, {{...}}.")
    for name in value:
        if name not in needed | allowed:
            raise EvenframeError(
                f"{where} has {shown(name)}, which is unknown: "
                f"use {', '.join(sorted(needed | allowed))}."
            )
    for name in sorted(needed):
        if name not in value:
            shape = f", as in {example}" if example else ""
            raise EvenframeError(f"{where} has no {name}: add it{shape}.")
    return value


def read_list(value: Any, where: str, least: int, most: int) -> list[Any]:
    """A list of `least` to `most` entries."""
    if not isinstance(value, list) or not least <= len(value) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        have = f"a list of {len(value)}" if isinstance(value, list) else shown(value)
        raise EvenframeError(f"{where} is {have}: give a list of {wanted} entries.")
    return value


def read_text(value: Any, where: str) -> str:
    """A text of at most 1000 characters, without spaces around it."""
    if not isinstance(value, str) or len(value) > 1000:
        raise EvenframeError(f"{where} is {shown(value)}: give a short text.")
    return value.strip()


def read_number(value: Any, where: str) -> float:
    """A finite number from -1e6 to 1e6."""
    valid = isinstance(value, int | float) and not isinstance(value, bool)
    if not valid or abs(value) > 1e6 or not math.isfinite(value):
        raise EvenframeError(f"{where} has {shown(value)}: give a number from -1e6 to 1e6.")
    return float(value)


def read_whole(value: Any, where: str) -> int:
    """A whole number, 0 or more."""
    number = read_number(value, where)
    if number != int(number) or number < 0:
        raise EvenframeError(f"{where} is {shown(value)}: give a whole number, 0 or more.")
    return int(number)


def shown(value: Any) -> str:
    """A value for a message, not too long."""
    return reprlib.repr(value)
