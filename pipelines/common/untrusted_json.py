"""JSON that anybody may have written: its numbers are bounded before they are parsed."""

import json
import math
from functools import partial
from typing import Any

MAX_WHOLE = 18
"""Digits of a whole number, as many as always fit into 64 bits."""
MAX_OTHER = 40
"""Signs of any other number."""
MAX_STRICT = 100
"""Signs of any number that people wrote: whoever knows its place tells them its range."""


class Refused(ValueError):
    """JSON that is not read for what it holds.

    held: what that is, so that a message goes on with it: "it holds NaN, which is no number".
    remedy: what to do, for those who wrote it: "give a finite one".
    """

    def __init__(self, held: str, remedy: str) -> None:
        super().__init__(f"it holds {held}")
        self.held, self.remedy = held, remedy


def parse(text: str | bytes, *, strict: bool = False, whole: int = MAX_WHOLE) -> Any:
    """The value that a text stands for.

    strict: as people and browsers write it. Refused are `NaN` and `Infinity`, which model libraries
    write, numbers too large for a float, and names given twice in one object; whole numbers may be
    longer than what fits into 64 bits.
    Raises Refused, and other ValueErrors (json.JSONDecodeError) for what is no JSON.
    """
    try:
        return json.loads(
            text,
            parse_int=partial(_number, int, MAX_STRICT if strict else whole),
            parse_float=_finite if strict else partial(_number, float, MAX_OTHER),
            parse_constant=_no_constant if strict else None,
            object_pairs_hook=_unique if strict else None,
        )
    except RecursionError:
        raise Refused("too many brackets inside each other", "use fewer") from None


def _number(kind: type[int] | type[float], most: int, signs: str) -> int | float:
    if len(signs) > most:
        held = f"a number {len(signs)} characters long, and {most} are read"
        raise Refused(held, "give a shorter one")
    return kind(signs)


def _finite(signs: str) -> float:
    number = _number(float, MAX_STRICT, signs)
    if not math.isfinite(number):
        raise Refused(f"{signs}, which is too large for a number", "give a smaller one")
    return number


def _no_constant(name: str) -> float:
    raise Refused(f"{name}, which is no number", "give a finite one")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise Refused(f"{name[:80]!r} twice in one object", "leave one out")
        found[name] = value
    return found
