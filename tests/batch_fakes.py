"""Batches of made-up edits: their workflow, their rows, what is left of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from batch_edits import make

from evenframe.batch.columns import Column
from evenframe.batch.driver import Driver
from evenframe.batch.engines.engine import Engine
from evenframe.batch.engines.local import LocalEngine
from evenframe.batch.job import Setup
from evenframe.batch.key import digest
from evenframe.batch.plan import Plan, plan
from evenframe.batch.store import Store
from evenframe.batch.table import Row, Table
from evenframe.nodes.host.workflow import Workflow, parse
from evenframe.pipelines.common.errors import EvenframeError

GRAPH = {
    "clip": {"class_type": "EvenframeLoadVideo", "inputs": {"file": "a.mp4"}},
    "source": {"class_type": "EvenframePrompt", "inputs": {"text": "a"}},
    "target": {"class_type": "EvenframePrompt", "inputs": {"text": "b"}},
    "invert": {
        "class_type": "EvenframeInvert",
        "inputs": {"frames": ["clip", 0], "source_prompt": ["source", 0]},
    },
    "edit": {
        "class_type": "EvenframeEdit",
        "inputs": {"inversion": ["invert", 0], "target_prompt": ["target", 0], "seed": 0},
    },
}


class FakeRules:
    """`Rules` of a program that takes everything."""

    made_by = {"code": "c"}

    def assign(self, workflow: Workflow, column: Column, text: str) -> Workflow:
        return workflow.with_value(workflow.nodes[column.node], column.socket, text)

    def check(self, workflow: Workflow) -> None:
        if workflow.nodes["target"].inputs["text"] == "wrong":
            raise EvenframeError("target is wrong: choose another.")

    def content(self, name: str) -> str | None:
        return digest(name) if name.endswith(".mp4") else None

    def require(self, workflow: Workflow, column: Column) -> None:
        pass

    def upload(self, name: str) -> None:
        return None

    def files(self, name: str) -> tuple[Any, ...]:
        return ()


def table_of(targets: list[str], clips: int = 2) -> Table:
    """A row for each target; clips take turns in blocks."""
    each = -(-len(targets) // clips)
    cells = (
        {"file": f"{number // each}.mp4", "target": target, "seed": str(number)}
        for number, target in enumerate(targets)
    )
    rows = tuple(Row(line, row) for line, row in enumerate(cells, start=2))
    return Table(("file", "target", "seed"), rows)


def planned(table: Table) -> Plan:
    return plan(table, parse(GRAPH), FakeRules())


def opened(folder: Path) -> Store:
    store = Store(folder)
    store.open("w")
    return store


def driver(store: Store, work: Plan, workers: int = 1, **settings: Any) -> Driver:
    said: list[str] = []
    engine: Engine = LocalEngine(Setup(store.root, make), workers)
    return Driver(store, work, engine, **({"tell": said.append, "pause": 0.2} | settings))


@contextmanager
def driving(store: Store) -> Iterator[None]:
    with store.driving():
        store.sweep(everything=True)
        yield


def leftovers(store: Store) -> list[str]:
    """What is in a batch's folder and belongs to no record."""
    named = {store.record(key).get("folder") for key in store.committed()}
    left = [path.name for path in store.clips.iterdir() if path.name not in named]
    left += [path.name for path in store.aside.iterdir()]
    left += [path.name for path in store.results.iterdir() if path.suffix != ".json"]
    known = {"batch.json", "lock", "status.json", "table.jsonl", "results.csv", "index.html"}
    known |= {"results", "clips", "aside", "retried", "cache"}
    return left + [path.name for path in store.root.iterdir() if path.name not in known]
