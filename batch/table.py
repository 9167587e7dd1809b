"""Tables of edits, CSV or JSON lines, read as untrusted: what is wrong names its line."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..pipelines.common import untrusted_json
from ..pipelines.common.errors import EvenframeError, short_repr
from ..pipelines.common.typed_text import half_character

MAX_BYTES = 2**29
MAX_ROWS, MAX_COLUMNS, MAX_CELL = 1_000_000, 100, 100_000
SEPARATORS = ",;\t|"
NOTE = "#"
"""How the name of a column begins that is for people: it changes no edit."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: the number of the line in its file, and the columns that it fills."""

    line: int
    cells: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """columns: in their order. rows: those that are not empty."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def read(path: Path) -> Table:
    """The table in a file, its separator found in its first line.

    A cell that is empty leaves the workflow's own value. Raises EvenframeError for a file that is
    no table, and for one without rows.
    """
    text = _text(path)
    lines = _objects(text) if path.suffix.lower() in (".jsonl", ".ndjson") else _cells(text)
    columns, rows = dict[str, None](), list[Row]()
    try:
        for line, cells in lines:
            columns |= dict.fromkeys(cells)
            if filled := {name: cell for name, cell in cells.items() if cell}:
                rows.append(Row(line, filled))
            if len(rows) > MAX_ROWS or len(columns) > MAX_COLUMNS:
                raise EvenframeError(f"more than {MAX_ROWS} rows or {MAX_COLUMNS} columns: cut it")
    except EvenframeError as error:
        raise EvenframeError(f"Table '{path}': {error}") from error
    if not rows:
        raise EvenframeError(
            f"Table '{path}' has no rows: write the names of columns in its first line, as in "
            "'file,source,target', and an edit in each of the next."
        )
    return Table(tuple(columns), tuple(rows))


def _text(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise EvenframeError(f"Table '{path}' has {size} bytes: give at most {MAX_BYTES}.")
        data = path.read_bytes()
    except OSError as error:
        raise EvenframeError(f"Cannot read table '{path}': {error.strerror}.") from error
    marked = data.startswith((b"\xff\xfe", b"\xfe\xff"))  # as some spreadsheets write text
    try:
        return data.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise EvenframeError(
            f"Table '{path}' is not text in UTF-8 (byte {error.start}): save it as CSV UTF-8."
        ) from error


def _cells(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV, each with its first line's number."""
    head = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(SEPARATORS, key=head.count)
    csv.field_size_limit(MAX_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    names: list[str] | None = None
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise EvenframeError(f"line {line} cannot be read ({error}): correct it.") from error
        if cells is None:
            return
        if not any(cell.strip() for cell in cells):
            continue
        if names is None:
            names = _names(cells)
            continue
        if len(cells) > len(names) and any(cells[len(names) :]):
            raise EvenframeError(
                f"line {line} has {len(cells)} cells, and there are {len(names)} columns: put a "
                f"text that holds '{separator}' into quotation marks."
            )
        values = (_cell(line, name, cell) for name, cell in zip(names, cells, strict=False))
        yield line, dict(zip(names, values, strict=False))


def _names(cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    if len(names) > MAX_COLUMNS:
        raise EvenframeError(f"more than {MAX_COLUMNS} columns: cut it")
    counted = Counter(names)
    for name in names:
        if not name or counted[name] > 1 or "=" in name:
            raise EvenframeError(
                f"the column {short_repr(name)} of the first line is empty, there twice or has "
                "a '=': give each column a name of its own."
            )
    return names


def _objects(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of JSON lines: an object each, of texts, numbers, true, false, null."""
    for line, part in enumerate(text.split("\n"), start=1):
        if not part.strip():
            continue
        try:
            value = untrusted_json.parse(part, strict=True)
        except ValueError as error:
            raise EvenframeError(f"line {line} is not JSON ({error}): correct it.") from error
        if not isinstance(value, dict):
            raise EvenframeError(f"line {line} is {short_repr(value)}: write it in braces.")
        _names([*value])
        yield line, {name.strip(): _value(line, name, cell) for name, cell in value.items()}


def _value(line: int, name: str, value: Any) -> str:
    """A JSON value as a cell has it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    numbers = isinstance(value, list) and all(
        isinstance(part, int | float) and not isinstance(part, bool) for part in value
    )
    if numbers:
        value = " ".join(map(str, value))
    if not isinstance(value, str | int | float):
        raise EvenframeError(
            f"line {line}: {name} is {short_repr(value)}: give a text, a number, true or false."
        )
    return _cell(line, name, str(value))


def _cell(line: int, name: str, cell: str) -> str:
    cell = cell.strip()
    if len(cell) > MAX_CELL:
        raise EvenframeError(
            f"line {line}: {name} has {len(cell)} characters: give at most {MAX_CELL}."
        )
    if half_character(cell) is not None or "\0" in cell:
        raise EvenframeError(f"line {line}: {name} has a character that is none: delete it.")
    return cell
