"""Batches on Ray, where the extra `cluster` is installed: its workers are made up."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import batch_edits
import pytest
from batch_fakes import driving, leftovers, opened, planned, table_of

from evenframe.batch.driver import Driver
from evenframe.batch.engines.cluster import RayEngine
from evenframe.batch.job import Setup
from evenframe.batch.store import Store
from evenframe.pipelines.common.errors import EvenframeError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return opened(tmp_path / "out")


@pytest.fixture
def engines(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """What makes engines of a cluster that is started for the batch."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'evenframe[cluster]'")
    # Its workers import what this process can import.
    paths = os.pathsep.join([str(Path(batch_edits.__file__).parent), *sys.path])
    monkeypatch.setenv("PYTHONPATH", paths)
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    yield lambda workers=2: RayEngine(Setup(store.root, batch_edits.make), workers, {})


def test_without_ray_the_extra_is_named(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EvenframeError, match=r"pip install 'evenframe\[cluster\]'"):
        RayEngine(Setup(store.root, batch_edits.make), 1, {}).start()


def test_rows_on_a_cluster_survive_their_workers(store: Store, engines: Any):
    said: list[str] = []
    engine = engines()
    targets = ["a", "error", "crash once", "crash", *["sleep 0.2"] * 6]
    killed: list[int] = []

    def kill() -> None:
        while not killed and not stop.wait(0.02):
            # It may have crashed by itself a moment ago: then the one made after it.
            with contextlib.suppress(ProcessLookupError):
                if len(store.committed()) >= 3:
                    os.kill(engine.pids["worker 0"], signal.SIGKILL)
                    killed.append(engine.pids["worker 0"])

    stop, thread = threading.Event(), threading.Thread(target=kill)
    thread.start()
    try:
        with driving(store):
            progress = Driver(store, planned(table_of(targets)), engine, tell=said.append).run()
    finally:
        stop.set()
        thread.join()
    assert killed and (progress.done, progress.failed) == (8, 2)
    assert progress.lost >= 4
    failed = [r for r in map(store.record, store.committed()) if r["state"] == "error"]
    assert any("ended its worker 3 times" in record["error"] for record in failed)
    assert leftovers(store) == []


def test_a_batch_is_told_to_end_as_without_ray(engines: Any):
    heard, engine = signal.getsignal(signal.SIGTERM), engines(0)
    try:
        engine.start()
        assert signal.getsignal(signal.SIGTERM) is heard
    finally:
        engine.stop()


def test_a_worker_that_computes_otherwise_is_refused(store: Store, engines: Any):
    engine = engines(1)
    engine._made_by = {"code": "other"}
    with driving(store), pytest.raises(EvenframeError, match="differs from the driver in code"):
        Driver(store, planned(table_of(["a"])), engine).run()
