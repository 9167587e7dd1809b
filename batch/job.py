"""What is handed to a worker, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

State = Literal["done", "error"]


@dataclass(frozen=True)
class Job:
    """One work.

    key: see `key.py`. line: the first of the table's that asks for it. prompt: the workflow, in API
    format. group: rows of equal ones share their inversion. files: path, size and time of change of
    what the key counts the content of. uploads: by `node.input`, files that a server is sent.
    record: what the record tells beside what is made.
    """

    key: str
    line: int
    prompt: Mapping[str, Any]
    group: str = ""
    files: tuple[tuple[str, int, int], ...] = ()
    uploads: Mapping[str, str] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Made:
    """What an edit tells beside the files that it wrote. inversions: how many it computed."""

    inversions: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How a row ended: `done` or `error` are committed; `full` is to be done again, since the disk
    had no room; `lost` too, since its worker died. message: of what went wrong."""

    key: str
    state: Literal["done", "error", "full", "lost"]
    message: str = ""
    inversions: int = 0


@dataclass(frozen=True)
class Setup:
    """What a worker needs to know, of any engine. number: which worker, from 0.

    out: the batch's folder. models, inputs, cache: as of a `Session`; None is the usual one.
    threads: of each worker, 0 for as many as torch takes. make: gives the function that edits.
    """

    out: Path
    make: Callable[[Setup], Edit]
    models: tuple[Path, ...] = ()
    inputs: tuple[Path, ...] = ()
    cache: Path | None = None
    threads: int = 0
    number: int = 0
    evaluate: bool = False


Edit = Callable[[Job, Path], Made]
"""Makes what a job asks for, in a folder. EvenframeError for what the user can put right."""


class Lost(Exception):
    """Who does a row cannot end it, such as a server that is gone: another does it."""
