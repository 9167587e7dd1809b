"""What measures a batch in turns: it gives so many rows a turn, and tells what went wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import batch_edits
import pytest
from batch_fakes import driving, opened, planned, table_of

from evenframe.batch.driver import Driver
from evenframe.batch.engines.local import LocalEngine
from evenframe.batch.job import Setup
from evenframe.benchmarks.turns import Batch, EngineInTurns
from evenframe.pipelines.common.errors import EvenframeError


@pytest.fixture
def batch(tmp_path: Path) -> Iterator[Callable[..., Batch]]:
    """Makes a running batch of these rows, of two workers."""
    store = opened(tmp_path / "out")
    drivers = list[Driver]()

    def running(targets: list[str], make: Any = batch_edits.make) -> Batch:
        engine = EngineInTurns(LocalEngine(Setup(store.root, make), 2))
        drivers.append(Driver(store, planned(table_of(targets)), engine, lambda _: None))

        def drive() -> None:
            with driving(store):
                drivers[0].run()

        return Batch(store, engine, 2, pool.submit(drive))

    with ThreadPoolExecutor(1) as pool:
        yield running
        drivers[0].stopping.set()


def test_a_turn_is_so_many_rows_of_each_worker(batch: Callable[..., Batch], tmp_path: Path):
    running = batch(["sleep 0.1"] * 40)
    running.warm_up()
    before = len(list((tmp_path / "out" / "results").iterdir()))
    took = [running.turn(rows) for rows in (3, 1)]
    assert len(list((tmp_path / "out" / "results").iterdir())) == before + 8
    assert len(running.told("seconds")) == 2 and all(each >= 0.1 for each in took)
    assert took[0] >= 0.3, "three rows of each, one after the other"


def test_a_row_that_fails_is_told(batch: Callable[..., Batch]):
    with pytest.raises(EvenframeError, match="An edit of the bench failed: It cannot be done"):
        batch(["error"] * 4).turn(1)


def test_workers_that_cannot_start_are_told(batch: Callable[..., Batch]):
    with pytest.raises(EvenframeError, match="cannot work: no model"):
        batch(["a"] * 4, batch_edits.refuses).turn(1)


def test_a_batch_without_rows_left_is_told(batch: Callable[..., Batch]):
    with pytest.raises(EvenframeError, match="no rows left"):
        batch(["a"]).turn(1)
