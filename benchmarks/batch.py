"""What a batch costs beside its edits, `batch.*`, and how its lists grow with its rows.

Overhead: short edits by one worker, over the same edits in a loop; by two workers of one thread
each, which wants two idle cores, over one, beside two loops over one; and by one worker on Ray,
where it is installed, over one without. All of them are timed when they are ready. Records: 10,000
and 100,000 simulated ones, listed, resumed and reported, in a process each, so that its memory is
its own.
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
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ..batch import edits, results
from ..batch.driver import Driver
from ..batch.engines.engine import Engine
from ..batch.engines.local import LocalEngine
from ..batch.here import HereRules
from ..batch.job import Setup
from ..batch.key import FORMAT
from ..batch.plan import plan
from ..batch.store import Store, write_lines
from ..batch.table import read as read_table
from ..nodes.host.workflow import read
from . import main
from .turns import (
    COLORS,
    LOOP_SECONDS,
    MOST_WARM,
    RECIPE,
    TEXT,
    Batch,
    Beside,
    Loop,
    Loops,
    Make,
    Way,
)

TARGETS = {
    "batch.overhead_ratio": 1.05,
    "batch.ray_over_local": 1.1,
    "batch.peak_mb_of_100000": 1000.0,
    "batch.seconds_100000_over_10000": 13.0,
}
FLOORS = {"batch.two_workers_speedup": 1.7}
BY_NAME = True
EDITS, TURN, SIZES = 60, 20, (10_000, 100_000)


def run(clips: int = EDITS) -> dict[str, float]:
    """clips: how many edits each way is measured on; 0 leaves that out."""
    figures = {} if clips == 0 else _overhead(clips) | _side_by_side(clips)
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
    """What one worker takes over a loop of the same edits, row by row in the same process."""
    with tempfile.TemporaryDirectory(prefix="bench-batch-") as folder:
        rows = count + MOST_WARM
        with Batch(Path(folder) / "beside", rows, 1, LocalEngine, Beside) as batch:
            both = batch.turn(count)
            loop = sum(batch.told(LOOP_SECONDS))
    return {"batch.loop_seconds": loop, "batch.overhead_ratio": (both - loop) / loop}


def _side_by_side(count: int) -> dict[str, float]:
    """What two workers take over one, and one on Ray; and what two plain loops take over one.

    All take turns, since a machine that others use changes its pace by a third within a minute:
    what each takes in all is of the same minutes.
    """
    turns = max(1, count // TURN)
    with tempfile.TemporaryDirectory(prefix="bench-batch-") as folder, ExitStack() as ends:
        ways = _ways(Path(folder), turns, ends)
        took = dict.fromkeys(ways, 0.0)
        for _ in range(turns):
            for name, way in ways.items():
                took[name] += way.turn(TURN)
    figures = {
        "batch.two_workers_speedup": 2 * took["one"] / took["two"],
        "batch.two_loops_speedup": 2 * took["loop"] / took["two loops"],
    }
    if "ray" in ways:
        figures["batch.ray_over_local"] = took["ray"] / took["one"]
    return figures


def _ways(root: Path, turns: int, ends: ExitStack) -> dict[str, Way]:
    """Each with its workers ready, and ended by `ends`."""
    engines: dict[str, tuple[Make, int]] = {"one": (LocalEngine, 1), "two": (LocalEngine, 2)}
    if importlib.util.find_spec("ray"):
        engines["ray"] = (_ray, 1)
    rows = turns * TURN + MOST_WARM
    loops = [ends.enter_context(Loop(root / f"loop {n}", 2 * rows)) for n in range(2)]
    ways: dict[str, Way] = {"loop": Loops(loops[:1]), "two loops": Loops(loops)}
    for name, (make, workers) in engines.items():
        ways[name] = ends.enter_context(Batch(root / name, workers * rows, workers, make))
    return ways


def _ray(setup: Setup, workers: int) -> Engine:
    from ..batch.engines.cluster import RayEngine

    return RayEngine(setup, workers, {})


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
