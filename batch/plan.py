"""From a table and a workflow to works: what each row sets, its key, and what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from ..nodes.host.workflow import Link, Workflow
from ..pipelines.common.errors import EvenframeError
from .columns import Column, find
from .job import Job
from .key import digest, row_key
from .table import NOTE, Row, Table

INVERTERS = ("EvenframeInvert", "EvenframeSourceForControls")
File = tuple[str, int, int]
Check = Callable[[int, int], None]


class Rules(Protocol):
    """What a program that runs workflows knows of them: this process, or a ComfyUI server."""

    @property
    def made_by(self) -> Mapping[str, Any]:
        """The code and the libraries' versions, for keys."""
        ...

    def require(self, workflow: Workflow, column: Column) -> None:
        """EvenframeError for an input that there is not."""
        ...

    def assign(self, workflow: Workflow, column: Column, text: str) -> Workflow:
        """The workflow with a typed value; EvenframeError for one that the input cannot have."""
        ...

    def check(self, workflow: Workflow) -> None:
        """EvenframeError for what a run would stop at, as far as that can be known."""
        ...

    def content(self, name: str) -> str | None:
        """SHA-256 of the file, or the weights, that a text names; None where it names none."""
        ...

    def files(self, name: str) -> tuple[File, ...]:
        """Path, size and time of change of what a text names on this machine."""
        ...

    def upload(self, name: str) -> Path | None:
        """The file that a text names, where it must be sent to who runs the workflow."""
        ...


@dataclass(frozen=True)
class Plan:
    """A table's rows as works. keys, groups: of each row; see `Job`."""

    table: Table
    workflow: Workflow
    columns: Mapping[str, Column]
    rules: Rules
    keys: tuple[str, ...]
    groups: tuple[str, ...]

    @cached_property
    def first(self) -> dict[str, int]:
        """By key, the first row that asks for it: rows that are equal are one work."""
        found: dict[str, int] = {}
        for index, key in enumerate(self.keys):
            found.setdefault(key, index)
        return found

    def graph(self, row: Row) -> Workflow:
        """The workflow of a row."""
        workflow = self.workflow
        for name, cell in row.cells.items():
            if column := self.columns.get(name):
                workflow = self.rules.assign(workflow, column, column.written(cell))
        return workflow

    def job(self, key: str) -> Job:
        index = self.first[key]
        row = self.table.rows[index]
        cells = {self.columns[n].target: c for n, c in row.cells.items() if n in self.columns}
        kept = (name for target, name, _ in self.fixed if target not in cells)
        files = tuple(file for name in (*cells.values(), *kept) for file in self.rules.files(name))
        content = {c: found for c in cells.values() if (found := self.rules.content(c))}
        uploads = {t: str(path) for t, cell in cells.items() if (path := self.rules.upload(cell))}
        record = {
            "row": dict(row.cells),
            "content": content | {name: found for _, name, found in self.fixed},
            "workflow": digest(self.workflow.as_prompt()),
            "made_by": dict(self.rules.made_by),
        }
        prompt = self.graph(row).as_prompt()
        return Job(key, row.line, prompt, self.groups[index], files, uploads, record)

    @cached_property
    def fixed(self) -> tuple[tuple[str, str, str], ...]:
        """(target, text, content) of the files that the workflow itself names."""
        return tuple(_fixed(self.workflow, self.rules))

    def inversions(self, keys: Iterable[str]) -> int:
        """How many the rows of these keys need."""
        groups = {self.groups[self.first[key]] for key in keys}
        return len(groups) if _inverts(self.workflow) else 0

    def wrong(self, keys: Iterable[str], on_row: Check = lambda *_: None) -> list[str]:
        """What is wrong with the rows of these keys, a line each."""
        said, keys = list[str](), list(keys)
        for number, key in enumerate(keys, start=1):
            row = self.table.rows[self.first[key]]
            try:
                self.rules.check(self.graph(row))
            except EvenframeError as error:
                said.append(f"line {row.line}: {error}")
            on_row(number, len(keys))
        return said

    def lines(self) -> Iterator[str]:
        """The rows and their keys, as `table.jsonl` has them."""
        for row, key in zip(self.table.rows, self.keys, strict=True):
            yield json.dumps({"line": row.line, "key": key, "cells": dict(row.cells)}) + "\n"


def plan(table: Table, workflow: Workflow, rules: Rules) -> Plan:
    """Find a table's columns in a workflow, and the key of each row.

    EvenframeError for columns that fit nothing. What is wrong with rows, `Plan.wrong` tells.
    """
    found = find(workflow, [name for name in table.columns if not name.startswith(NOTE)])
    columns = {column.name: column for column in found}
    for column in found:
        rules.require(workflow, column)
    fixed, base = list(_fixed(workflow, rules)), digest(workflow.as_prompt())
    inverts, grouping = _inverts(workflow), _before_inversion(workflow, found)
    keys, groups = list[str](), list[str]()
    for row in table.rows:
        cells = {columns[name].target: c for name, c in row.cells.items() if name in columns}
        files = {name: content for target, name, content in fixed if target not in cells}
        files |= {c: content for c in cells.values() if (content := rules.content(c))}
        keys.append(row_key(cells, files, base, rules.made_by))
        shared = digest([row.cells.get(column.name, "") for column in grouping])
        groups.append((shared if inverts else keys[-1])[:16])
    return Plan(table, workflow, columns, rules, tuple(keys), tuple(groups))


def _inverts(workflow: Workflow) -> bool:
    return any(node.class_type in INVERTERS for node in workflow.nodes.values())


def _fixed(workflow: Workflow, rules: Rules) -> Iterator[tuple[str, str, str]]:
    for node in workflow.nodes.values():
        for name, value in node.inputs.items():
            content = rules.content(value) if isinstance(value, str) else None
            if isinstance(value, str) and content:
                yield f"{node.id}.{name}", value, content


def _before_inversion(workflow: Workflow, columns: Iterable[Column]) -> list[Column]:
    """The columns that an inversion depends on."""
    waiting = [node for node in workflow.nodes.values() if node.class_type in INVERTERS]
    before = dict[str, None]()
    while waiting:
        node = waiting.pop()
        if node.id not in before:
            before[node.id] = None
            links = (value for value in node.inputs.values() if isinstance(value, Link))
            waiting += [workflow.nodes[link.node] for link in links]
    return [column for column in columns if column.node in before]
