"""Reading JSON that people wrote: whatever is wrong is an EvenframeError that names the place."""

import json
import reprlib
from typing import Any

from . import untrusted_json
from .errors import EvenframeError
from .typed_text import require_typed

MAX_TEXT = 1_000_000
MAX_NUMBER = 1e6
MAX_SHORT = 1000
RANGE = f"a number from -{MAX_NUMBER:g} to {MAX_NUMBER:g}".replace("e+06", "e6")


def read_json(text: str, what: str, example: str) -> Any:
    """The value that a text stands for. what: a plural for messages; example: what to write."""
    if len(text) > MAX_TEXT:
        raise EvenframeError(
            f"The {what} are {len(text)} characters long: shorten them to at most {MAX_TEXT}."
        )
    text = text.removeprefix("\ufeff")  # some editors begin a file with a mark
    if not text.strip():
        raise EvenframeError(f"There are no {what}, the text is empty: write {example}.")
    try:
        return untrusted_json.parse(text, strict=True)
    except untrusted_json.Refused as error:
        raise EvenframeError(f"The {what} hold {error.held}: {error.remedy}.") from error
    except json.JSONDecodeError as error:
        raise EvenframeError(
            f"The {what} are not JSON: line {error.lineno}, column {error.colno} has a mistake "
            f"({error.msg}). Correct that place; what is meant looks like {example}."
        ) from error


def read_object(
    value: Any, where: str, needed: set[str], allowed: set[str], example: str
) -> dict[str, Any]:
    """An object with all of the `needed` names, some of the `allowed`, and no others.

    example: what to write, for messages.
    """
    if not isinstance(value, dict):
        raise EvenframeError(f"{where} is {shown(value)}: write it in braces, as in {example}.")
    for name in value:
        if name not in needed | allowed:
            raise EvenframeError(
                f"{where} has {shown(name)}, which is unknown: "
                f"use {', '.join(sorted(needed | allowed))}."
            )
    for name in sorted(needed):
        if name not in value:
            raise EvenframeError(f"{where} has no {name}: add it, as in {example}.")
    return value


def read_list(value: Any, where: str, entries: str, least: int, most: int) -> list[Any]:
    """A list of `least` to `most` entries, whose plural is for messages."""
    if not isinstance(value, list):
        raise EvenframeError(
            f"{where} is {shown(value)}: give {least} to {most} {entries} in square brackets."
        )
    if not value:
        raise EvenframeError(f"{where} is empty: give {least} to {most} {entries}.")
    if not least <= len(value) <= most:
        raise EvenframeError(f"{where} has {len(value)} {entries}: give {least} to {most}.")
    return value


def read_numbers(value: Any, where: str, names: str) -> list[float]:
    """As many numbers as there are names, "left, top, right, bottom", in square brackets."""
    count = len(names.split(", "))
    if not isinstance(value, list) or len(value) != count:
        raise EvenframeError(
            f"{where} is {shown(value)}: give {count} numbers, [{names}], in square brackets."
        )
    return [read_number(number, where) for number in value]


def read_text(value: Any, where: str) -> str:
    """A text of at most 1000 whole characters, without spaces around it."""
    if not isinstance(value, str):
        raise EvenframeError(f"{where} is {shown(value)}: give a text in quotation marks.")
    return require_typed(value, where, MAX_SHORT).strip()


def read_number(value: Any, where: str) -> float:
    """A finite number from -1e6 to 1e6."""
    if isinstance(value, str):
        raise EvenframeError(
            f"{where} has the text {shown(value)}: give {RANGE}, without quotation marks."
        )
    valid = isinstance(value, int | float) and not isinstance(value, bool)
    if not valid or not abs(value) <= MAX_NUMBER:
        raise EvenframeError(f"{where} has {shown(value)}: give {RANGE}.")
    return float(value)


def read_whole(value: Any, where: str) -> int:
    """A whole number, 0 or more."""
    number = read_number(value, where)
    if number != int(number) or number < 0:
        raise EvenframeError(f"{where} is {shown(value)}: give a whole number, 0 or more.")
    return int(number)


class _Shown(reprlib.Repr):
    """Values as Python writes them, but for the three words that JSON spells differently."""

    def repr_bool(self, value: bool, _: int) -> str:
        return json.dumps(value)

    def repr_NoneType(self, value: None, _: int) -> str:
        return json.dumps(value)


def shown(value: Any) -> str:
    """A value of JSON for a message, not too long."""
    return _Shown().repr(value)
