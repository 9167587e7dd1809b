"""JSON out of files of anybody's: its size and its numbers are bounded before they are parsed."""

import json
from typing import Any

MAX_DIGITS = 18
"""Digits of a whole number, as many as always fit into 64 bits."""
MAX_FLOAT = 40
"""Signs of any other number."""


def parse(text: str | bytes) -> Any:
    """The value that a text stands for. Raises ValueError for anything but JSON within bounds.

    Python's `NaN` and `Infinity` are read: model libraries write them.
    """
    try:
        return json.loads(text, parse_int=_whole, parse_float=_fraction)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"it holds a number of {len(digits)} digits")
    return int(digits)


def _fraction(signs: str) -> float:
    if len(signs) > MAX_FLOAT:
        raise ValueError(f"it holds a number of {len(signs)} signs")
    return float(signs)
