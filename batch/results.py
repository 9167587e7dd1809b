"""`results.csv` and `index.html`, made anew from the records at any time."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from ..pipelines.common import untrusted_json
from .edits import THUMB
from .store import Store, fresh, write_lines

PAGE = Path(__file__).parent / "page.html"
MARK = "/*ROWS*/"
FIXED = ("line", "state", "error", "seconds", "inversions", "worker", "threads", "files", "key")


class Line(NamedTuple):
    """A row of the table and what its record tells; {} where it has none yet."""

    line: int
    key: str
    cells: dict[str, str]
    record: dict[str, Any]

    @property
    def state(self) -> str:
        return str(self.record.get("state", "waiting"))

    @property
    def measures(self) -> dict[str, Any]:
        found = self.record.get("measures")
        return found if isinstance(found, dict) else {}

    @property
    def files(self) -> list[str]:
        """Below the batch's folder."""
        names, folder = self.record.get("files"), self.record.get("folder")
        names = names if isinstance(names, list) else []
        return [f"clips/{folder}/{name}" for name in names]


def lines(store: Store) -> Iterator[Line]:
    """The rows of the last table, in its order; rows of equal keys have one record."""
    if not store.table.exists():
        return
    there = store.committed()
    with store.table.open(encoding="utf-8") as table:
        for text in table:
            row = untrusted_json.parse(text)
            key = row["key"]
            yield Line(row["line"], key, row["cells"], store.record(key) if key in there else {})


def rebuild(store: Store) -> tuple[Path, Path, dict[str, int]]:
    """Write both from the records; their paths, and how many rows are in which state.

    Rows go through a file, so that memory does not grow with them.
    """
    counts, columns, measures = dict[str, int](), dict[str, None](), dict[str, None]()
    table, page = store.root / "results.csv", store.root / "index.html"
    with fresh(store.root / "rows") as spool:
        with spool.open("w", encoding="utf-8") as file:
            for line in lines(store):
                counts[line.state] = counts.get(line.state, 0) + 1
                columns |= dict.fromkeys(line.cells)
                measures |= dict.fromkeys(line.measures)
                file.write(json.dumps(_told(line)) + "\n")
        write_lines(table, _csv(spool, list(columns), list(measures)))
        write_lines(page, _page(spool))
    return table, page, counts


def _told(line: Line) -> dict[str, Any]:
    record, process = line.record, line.record.get("process")
    threads = process.get("threads", "") if isinstance(process, dict) else ""
    thumb = next((path for path in line.files if path.endswith(f"/{THUMB}")), "")
    return {
        "cells": line.cells,
        # A browser reads no Infinity, which equal pictures measure.
        "measures": {n: v if _is_json(v) else str(v) for n, v in line.measures.items()},
        "thumb": thumb,
        "line": line.line,
        "state": line.state,
        "error": record.get("error", ""),
        "seconds": record.get("seconds", ""),
        "inversions": record.get("inversions", ""),
        "worker": record.get("worker", ""),
        "threads": threads,
        "files": [path for path in line.files if path != thumb],
        "key": line.key,
    }


def _is_json(value: Any) -> bool:
    return not isinstance(value, float) or isfinite(value)


def _csv(spool: Path, columns: list[str], measures: list[str]) -> Iterator[str]:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*FIXED[:3], *columns, *measures, *FIXED[3:]])
    with spool.open(encoding="utf-8") as rows:
        for row in map(json.loads, rows):
            row["files"] = " ".join(row["files"])
            cells = [row["cells"].get(name, "") for name in columns]
            found = [row["measures"].get(name, "") for name in measures]
            fixed = [row[name] for name in FIXED]
            writer.writerow([*fixed[:3], *cells, *found, *fixed[3:]])
            yield text.getvalue()
            text.seek(0)
            text.truncate()
        yield text.getvalue()


def _page(spool: Path) -> Iterator[str]:
    """The page with the rows as data: what they hold is shown as text, whatever it is."""
    before, _, behind = PAGE.read_text(encoding="utf-8").partition(MARK)
    yield before
    with spool.open(encoding="utf-8") as rows:
        for number, row in enumerate(rows):
            yield ("," if number else "") + row.rstrip("\n").replace("<", "\\u003c")
    yield behind
