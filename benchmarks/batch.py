"""What a batch costs beside its edits, `batch.*`, and how its lists grow with its rows.

Overhead: short edits by one worker, over the same edits in a loop of one process; by two workers
of one thread each, which wants two idle cores; and by one worker on Ray, where it is installed,
over one without. All but the loop are timed from when their workers are ready. Records: 10,000 and
100,000 simulated ones, listed, resumed and reported, in a process each, so that its memory is its
own.
"""

import importlib.util
import json
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..batch import edits, results
from ..batch.driver import Driver
from ..batch.engines.engine import Engine
from ..batch.engines.local import LocalEngine
from ..batch.here import HereRules
from ..batch.job import Setup
from ..batch.key import FORMAT
from ..batch.plan import Plan, plan
from ..batch.store import Store, write_lines
from ..batch.table import Row, Table
from ..batch.table import read as read_table
from ..nodes import node_classes
from ..nodes.host.executor import Executor
from ..nodes.host.workflow import parse, read
from ..pipelines.common.errors import EvenframeError
from . import main

TARGETS = {
    "batch.overhead_ratio": 1.05,
    "batch.ray_over_local": 1.1,
    "batch.peak_mb_of_100000": 1000.0,
    "batch.seconds_100000_over_10000": 13.0,
}
FLOORS = {"batch.two_workers_speedup": 1.7}
BY_NAME = True
EDITS, ROUNDS, SIZES = 40, 3, (10_000, 100_000)
STEPS, FRAMES = 4, 2
RECIPE = Path(__file__).parents[1] / "examples_workflows" / "api" / "FateZero attribute edit.json"
TEXT = "a {} circle left of a blue square on a gray background"
COLORS = ("yellow", "green", "purple", "white")

Make = Callable[[Setup, int], Engine]
"""Of an engine of so many workers."""


def run(clips: int = EDITS) -> dict[str, float]:
    """clips: how many edits the overhead is measured on; 0 leaves that out."""
    figures = {} if clips == 0 else _overhead(clips)
    for size in SIZES:
        figures |= _apart(_records, size)
    small, large = (figures[f"batch.seconds_of_{size}"] for size in SIZES)
    figures[f"batch.seconds_{SIZES[1]}_over_{SIZES[0]}"] = large / small
    return figures


def _apart(work: Callable[..., dict[str, float]], *arguments: Any) -> dict[str, float]:
    """What a function gives in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(work, *arguments).result()


def _overhead(count: int) -> dict[str, float]:
    """Seconds of a loop, of one worker, of two and of one on Ray, from the first row to the last
    commit: the least of several rounds, since what else a machine does only adds to them."""
    ways: dict[str, tuple[int, Make]] = {"one": (1, LocalEngine), "two": (2, LocalEngine)}
    if importlib.util.find_spec("ray"):
        ways["ray"] = (1, _ray)
    rounds = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="bench-batch-") as folder:
            root = Path(folder)
            took = {"loop": _apart(_loop, root, count)["seconds"]}
            took |= {name: _batch(root / name, count, *way) for name, way in ways.items()}
            rounds.append(took)

    least = {way: min(took[way] for took in rounds) for way in rounds[0]}
    figures = {
        "batch.loop_seconds": least["loop"],
        "batch.overhead_ratio": least["one"] / least["loop"],
        "batch.two_workers_speedup": least["one"] / least["two"],
    }
    if "ray" in ways:
        figures["batch.ray_over_local"] = least["ray"] / least["one"]
    return figures


def _ray(setup: Setup, workers: int) -> Engine:
    from ..batch.engines.cluster import RayEngine

    return RayEngine(setup, workers, {})


def _planned(root: Path, name: str, count: int) -> tuple[Plan, Setup]:
    graph = {n: e for n, e in json.loads(RECIPE.read_text()).items() if n not in ("11", "12")}
    graph["6"]["inputs"] |= {"steps": STEPS, "check": False}
    graph["3"]["inputs"]["max_frames"] = FRAMES
    cells = [{"target": TEXT.format(COLORS[n % 4]), "seed": str(n)} for n in range(count)]
    rows = tuple(Row(line, cell) for line, cell in enumerate(cells, start=2))
    setup = Setup(root / name, edits.make, cache=root / f"{name} cache", threads=1)
    rules = HereRules(edits.session(setup))
    return plan(Table(("target", "seed"), rows), parse(graph), rules), setup


def _loop(root: Path, count: int) -> dict[str, float]:
    """The same edits in one loop, from the second on: the first makes model and inversion."""
    import torch

    torch.set_num_threads(1)
    work, setup = _planned(root, "loop", count + 1)
    host, start = edits.standalone(), 0.0
    session = replace(edits.session(setup), output=root / "loop output")
    with host.using(session):
        executor = Executor(host, node_classes())
        for number, key in enumerate(work.keys):
            start = time.perf_counter() if number == 1 else start
            executor.run(work.graph(work.table.rows[work.first[key]]))
    return {"seconds": time.perf_counter() - start}


def _batch(root: Path, count: int, workers: int, make: Make) -> float:
    """The same by a batch, from when each worker has done a row."""
    work, setup = _planned(root, "batch", count + workers)
    store, began = Store(setup.out), 0.0

    def watch(progress: Any) -> None:
        nonlocal began
        if not began and progress.done >= workers and len(progress.ended) == workers:
            began = time.perf_counter()
            done.append(progress.done)
        if not progress.left and not ended:
            ended.append(time.perf_counter())

    done, ended = list[int](), list[float]()
    store.open("w")
    with store.driving():
        driver = Driver(store, work, make(setup, workers), lambda _: None, watch)
        driver.run()
    rest = count + workers - (done or [count + workers])[0]
    if rest < count // 2:
        raise EvenframeError(
            "A worker got ready when most rows were done: measure on an idle machine, or with more "
            "--clips."
        )
    return (ended[0] - began) / rest * count


def _records(count: int) -> dict[str, float]:
    """A batch of so many rows that are all done: planned, resumed, reported."""
    with tempfile.TemporaryDirectory(prefix="bench-batch-") as folder:
        root = Path(folder)
        table, graph = root / "table.csv", root / "graph.json"
        graph.write_text(RECIPE.read_text())
        with table.open("w") as file:
            file.write("target,seed\n")
            file.writelines(f"{TEXT.format(COLORS[n % 4])},{n}\n" for n in range(count))
        store = Store(root / "out")
        store.open("w")
        rules = HereRules(edits.session(Setup(store.root, edits.make)))
        for key in plan(read_table(table), read(graph), rules).keys:
            _simulate(store, key)
        start = time.perf_counter()
        work = plan(read_table(table), read(graph), rules)
        progress = Driver(store, work, LocalEngine(Setup(store.root, edits.make), 1)).run()
        write_lines(store.table, work.lines())
        resumed = time.perf_counter() - start
        _, _, counts = results.rebuild(store)
        total = time.perf_counter() - start
    assert progress.before == counts["done"] == count
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        f"batch.resume_seconds_of_{count}": resumed,
        f"batch.seconds_of_{count}": total,
        f"batch.peak_mb_of_{count}": peak,
    }


def _simulate(store: Store, key: str) -> None:
    record = {"format": FORMAT, "key": key, "state": "done", "folder": f"{key[:16]}-{'0' * 12}"}
    record |= {"files": ["clip_00001_.mp4", "thumb.jpg"], "seconds": 1.5, "inversions": 0}
    record |= {"measures": {"psnr": 30.0}, "process": {"threads": os.cpu_count()}}
    store.record_path(key).write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main(__file__)
