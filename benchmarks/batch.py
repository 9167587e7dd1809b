"""What a batch costs beside its edits, `batch.*`, and how its lists grow with its rows.

Overhead: short edits by one worker, over the same edits in a loop; by two workers of one thread
each, which wants two idle cores, over one, beside two loops over one; and by one worker on Ray,
where it is installed, over one without. All of them are timed from when each worker has done a row,
and start, plan and report are left out. Two workers have a clip each, or one for both: then one of
them takes the inversion from disk, which holds no attention, and each of its edits computes that
again. Records: 10,000 and 100,000 simulated ones, listed, resumed and reported, in a process each.
"""

import importlib.util
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

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
from .peaks import alone, most_bytes
from .turns import (
    COLORS,
    LOOP_SECONDS,
    RECIPE,
    TEXT,
    EditBesideLoop,
    Loop,
    Loops,
    Way,
    running_batch,
)

TARGETS = {
    "batch.overhead_ratio": 1.05,
    "batch.ray_over_local": 1.1,
    "batch.peak_mb_of_100000": 1000.0,
    "batch.seconds_100000_over_10000": 13.0,
}
FLOORS = {"batch.two_workers_speedup": 1.7}
BY_NAME = True
EDITS, TURN, SIZES = 80, 20, (10_000, 100_000)


def run(clips: int = EDITS) -> dict[str, float]:
    """clips: how many edits each way is measured on; 0 leaves that out."""
    figures = {} if clips == 0 else _overhead(clips) | _side_by_side(clips) | _on_ray(clips)
    for size in SIZES:
        figures |= alone(_records, size)
    small, large = (figures[f"batch.seconds_of_{size}"] for size in SIZES)
    figures[f"batch.seconds_{SIZES[1]}_over_{SIZES[0]}"] = large / small
    return figures


def _overhead(count: int) -> dict[str, float]:
    """What one worker takes over a loop of the same edits, row by row in the same process."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-batch-") as folder,
        running_batch(Path(folder), count, 1, LocalEngine, edit=EditBesideLoop) as batch,
    ):
        both, loop = batch.turn(count), sum(batch.told(LOOP_SECONDS))
    return {"batch.loop_seconds_a_row": loop / count, "batch.overhead_ratio": both / loop - 1}


def _side_by_side(count: int) -> dict[str, float]:
    """What two workers do over one, on a clip each and on one for both; and two loops over one."""
    with tempfile.TemporaryDirectory(prefix="bench-batch-") as folder, ExitStack() as ends:

        def batch(name: str, workers: int, clips: tuple[int, ...]) -> Way:
            way = running_batch(Path(folder) / name, count, workers, LocalEngine, clips)
            return ends.enter_context(way)

        # Each loop has one turn alone and one beside the other, and a row before.
        made = [Loop(Path(folder) / f"loop {clip}", 2 * count + 1, clip) for clip in (0, 1)]
        loops = [ends.enter_context(each) for each in made]
        took = _in_turns(
            count,
            {
                "one": batch("one", 1, (0,)),
                "two": batch("two", 2, (0, 1)),
                "one clip": batch("one clip", 2, (0,)),
                "loop": Loops(loops[:1]),
                "other loop": Loops(loops[1:]),
                "two loops": Loops(loops),
            },
        )
    a_loop = [(a + b) / 2 for a, b in zip(took["loop"], took["other loop"], strict=True)]
    return {
        **_ratios("batch.two_workers_speedup", took["one"], took["two"], 2),
        **_ratios("batch.two_workers_one_clip_speedup", took["one"], took["one clip"], 2),
        **_ratios("batch.two_loops_speedup", a_loop, took["two loops"], 2),
    }


def _on_ray(count: int) -> dict[str, float]:
    """What one worker on Ray takes over one without; nothing where Ray is not installed."""
    if not importlib.util.find_spec("ray"):
        return {}
    from ..batch.engines.cluster import RayEngine

    def on_ray(setup: Setup, workers: int) -> Engine:
        return RayEngine(setup, workers, {})

    with (
        tempfile.TemporaryDirectory(prefix="bench-batch-") as folder,
        running_batch(Path(folder) / "local", count, 1, LocalEngine) as local,
        running_batch(Path(folder) / "ray", count, 1, on_ray) as ray,
    ):
        took = _in_turns(count, {"local": local, "ray": ray})
    return _ratios("batch.ray_over_local", took["ray"], took["local"])


def _in_turns(count: int, ways: Mapping[str, Way]) -> dict[str, list[float]]:
    """Seconds a row of each round, in which each way has a turn.

    A machine that others use changes its pace by a third within a minute: what is compared is of
    the same minute, and comes first as often as last.
    """
    took: dict[str, list[float]] = {name: [] for name in ways}
    for number, start in enumerate(range(0, count, TURN)):
        rows, names = min(TURN, count - start), list(ways)
        for name in names if number % 2 == 0 else reversed(names):
            took[name].append(ways[name].turn(rows) / rows)
    return took


def _ratios(
    key: str, above: Sequence[float], below: Sequence[float], times: int = 1
) -> dict[str, float]:
    """The median of the rounds' ratios, the least and the largest."""
    found = [times * one / other for one, other in zip(above, below, strict=True)]
    return {key: median(found), f"{key}.low": min(found), f"{key}.high": max(found)}


def _records(count: int) -> dict[str, float]:
    """A batch of so many rows that are all done: planned, resumed, reported.

    The most memory that it has taken is that of the process, with all that it has imported.
    """
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
    return {
        f"batch.resume_seconds_of_{count}": resumed,
        f"batch.seconds_of_{count}": total,
        f"batch.peak_mb_of_{count}": most_bytes() / 2**20,
    }


def _simulate(store: Store, key: str) -> None:
    record = {"format": FORMAT, "key": key, "state": "done", "folder": f"{key[:16]}-{'0' * 12}"}
    record |= {"files": ["clip_00001_.mp4", "thumb.jpg"], "seconds": 1.5, "inversions": 0}
    record |= {"measures": {"psnr": 30.0}, "process": {"threads": os.cpu_count()}}
    store.record_path(key).write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main(__file__)
