"""The machinery of batches: each row once, whatever dies; what edits do is made up."""

from __future__ import annotations

import csv
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import batch_edits
import pytest
from batch_fakes import (
    GRAPH,
    FakeRules,
    driver,
    driving,
    leftovers,
    opened,
    planned,
    table_of,
)

from evenframe.batch import results, status
from evenframe.batch import store as stores
from evenframe.batch.commit import perform
from evenframe.batch.engines.local import LocalEngine
from evenframe.batch.job import Job, Made, Outcome, Setup
from evenframe.batch.key import row_key
from evenframe.batch.plan import plan
from evenframe.batch.schedule import Schedule
from evenframe.batch.store import Store
from evenframe.batch.table import Row, Table
from evenframe.cli.batch import require_counts
from evenframe.nodes.host.workflow import parse
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.common.whole_file import try_lock

KEY = "a" * 64


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return opened(tmp_path / "out")


def job(key: str = KEY, **settings: Any) -> Job:
    return Job(key, 2, {}, **settings)


def saves(_: Job, folder: Path) -> Made:
    (folder / "clip.mp4").write_text("made")
    return Made(1, {"threads": 3})


def test_a_record_names_its_files_and_nothing_is_left_aside(store: Store):
    outcome = perform(store, job(record={"row": {"seed": "1"}}), saves, "worker 0")
    record = store.record(KEY)
    assert (outcome.state, outcome.inversions) == ("done", 1)
    assert store.committed() == {KEY}
    assert (store.clips / record["folder"] / record["files"][0]).read_text() == "made"
    assert record["row"] == {"seed": "1"} and record["threads"] == 3
    assert record["worker"] == "worker 0" and record["state"] == "done"
    assert leftovers(store) == []


def test_whoever_comes_second_commits_nothing(store: Store):
    def slow(work: Job, folder: Path) -> Made:
        perform(store, job(), saves, "the first")  # commits while this one still works
        return saves(work, folder)

    perform(store, job(), slow, "the second")
    assert store.record(KEY)["worker"] == "the first"
    assert leftovers(store) == []


def test_an_error_is_a_record_without_files(store: Store):
    def fails(_: Job, folder: Path) -> Made:
        (folder / "half.mp4").touch()
        raise EvenframeError("No: do something else.")

    outcome = perform(store, job(), fails, "worker 0")
    record = store.record(KEY)
    assert outcome.state == record["state"] == "error"
    assert record["error"] == "No: do something else."
    assert record["files"] == [] and leftovers(store) == []


@pytest.mark.parametrize("kind", [EvenframeError, RuntimeError])
def test_a_full_disk_is_no_error_of_the_row(store: Store, kind: type[Exception]):
    def full(_: Job, folder: Path) -> Made:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise kind("The disk is full.") from error

    assert perform(store, job(), full, "worker 0").state == "full"
    assert store.committed() == set() and leftovers(store) == []


def test_a_file_that_is_too_large_is_an_error_of_the_row(store: Store):
    def fails(*_: Any) -> Made:
        raise OSError(errno.EFBIG, "File too large")

    assert perform(store, job(), fails, "worker 0").state == "error", "it will not fit later"


def test_a_clip_that_changed_since_the_plan_is_not_passed_off(store: Store, tmp_path: Path):
    clip = tmp_path / "clip.mp4"
    clip.write_text("one")
    stamp = (str(clip), clip.stat().st_size, clip.stat().st_mtime_ns)
    clip.write_text("other")
    perform(store, job(files=(stamp,)), saves, "worker 0")
    assert "was changed after the batch had begun" in store.record(KEY)["error"]


def test_what_a_dead_worker_left_is_swept_and_what_a_living_one_makes_is_not(store: Store):
    inside, go = threading.Event(), threading.Event()

    def waits(work: Job, folder: Path) -> Made:
        inside.set()
        go.wait(20)
        return saves(work, folder)

    living = threading.Thread(target=perform, args=(store, job(), waits, "worker 0"))
    living.start()
    assert inside.wait(20)
    dead = store.aside / ("b" * 16 + "-" + "1" * 12)
    moved = store.clips / dead.name
    for folder in (dead, moved):
        folder.mkdir()
    (dead / "lock").write_text("b" * 64)
    store.sweep()
    assert not dead.exists() and not moved.exists()
    go.set()
    living.join(20)
    assert store.committed() == {KEY} and leftovers(store) == []


def test_the_files_of_a_record_stay_whatever_became_of_the_lock(store: Store):
    perform(store, job(), saves, "worker 0")
    folder = store.record(KEY)["folder"]
    (store.aside / folder).mkdir()
    (store.aside / folder / "lock").touch()  # as after the power was cut
    store.sweep()
    assert (store.clips / folder / "clip.mp4").exists() and leftovers(store) == []


def test_a_file_that_is_being_written_is_not_swept(store: Store):
    with stores.fresh(store.root / "rows") as name:
        name.write_text("a row")
        store.sweep(everything=True)
        assert name.exists()
        (store.root / "rows-00000000.new").touch()
        store.sweep(everything=True)
    assert leftovers(store) == []


def test_a_lock_that_is_about_to_be_taken_is_not_looked_at(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    """Looking takes it for a moment, in which its maker would go on without."""
    looked: list[str] = []
    monkeypatch.setattr(stores, "is_held", lambda path: looked.append(path.parent.name))
    fresh = store.aside / "new-111111111111"
    fresh.mkdir()
    (fresh / "lock").touch()
    store.sweep()
    assert looked == [] and fresh.exists()
    store.sweep(everything=True)
    assert not fresh.exists()


def test_a_key_changes_with_all_that_a_result_is_made_of():
    base: list[Any] = [{"1.text": "a"}, {"a.mp4": "1"}, "w", {"code": "c"}]
    others: list[Any] = [{"1.text": "b"}, {"a.mp4": "2"}, "v", {"code": "d"}]
    keys = {row_key(*base)}
    for place, other in enumerate(others):
        changed = [*base]
        changed[place] = other
        keys.add(row_key(*changed))
    assert len(keys) == 5
    assert row_key({"1": "a", "2": "b"}, {}, "w", {}) == row_key({"2": "b", "1": "a"}, {}, "w", {})


def test_equal_rows_are_one_work_and_notes_change_nothing():
    cells = [{"seed": "1", "#who": "a"}, {"seed": "1", "#who": "b"}, {"seed": "2"}]
    rows = tuple(Row(line, each) for line, each in enumerate(cells, start=2))
    work = planned(Table(("seed", "#who"), rows))
    assert work.keys[0] == work.keys[1] != work.keys[2]
    assert list(work.first.values()) == [0, 2]


def test_all_that_is_wrong_with_rows_is_told_at_once():
    work = planned(table_of(["b", "wrong", "c", "wrong"]))
    assert work.wrong(work.keys) == [
        "line 3: target is wrong: choose another.",
        "line 5: target is wrong: choose another.",
    ]


# Which row goes where


def test_rows_of_one_clip_go_to_one_worker():
    schedule = Schedule([("a1", "a"), ("b1", "b"), ("a2", "a"), ("b2", "b")], shared=False)
    assert [schedule.take("x"), schedule.take("y")] == ["a1", "b1"]
    schedule.committed("a1")
    assert [schedule.take("x"), schedule.take("x")] == ["a2", None], "b is y's"
    assert schedule.take("y") == "b2" and not schedule


def test_others_help_once_the_inversion_is_there():
    schedule = Schedule([(f"a{n}", "a") for n in range(4)], shared=True)
    assert [schedule.take("x"), schedule.take("y")] == ["a0", None]
    schedule.committed("a0")
    assert schedule.take("y") == "a1"


def test_rows_that_share_no_inversion_go_to_whoever_is_free():
    graph = {name: each for name, each in GRAPH.items() if name in ("clip", "target")}
    rows = [Row(line, {"file": "a.mp4", "target.text": text}) for line, text in enumerate("abc")]
    work = plan(Table(("file", "target.text"), tuple(rows)), parse(graph), FakeRules())
    assert len({*work.groups}) == 3 and work.inversions(work.keys) == 0
    schedule = Schedule(zip(work.keys, work.groups, strict=True), shared=False)
    assert {schedule.take(worker) for worker in "abc"} == {*work.keys}


def test_a_schedule_of_many_clips_is_quick():
    def seconds(count: int) -> float:
        schedule = Schedule([(str(n), str(n)) for n in range(count)], shared=False)
        start = time.perf_counter()
        while key := schedule.take("w"):
            schedule.committed(key)
        return time.perf_counter() - start

    # milliseconds each: what else the machine does only adds, so the least of several counts
    took = [min(seconds(count) for _ in range(7)) for count in (2000, 8000)]
    assert took[1] < 10 * took[0], "linear, not squared, in the clips"


def test_rows_of_a_lost_worker_go_to_another():
    schedule = Schedule([("a1", "a"), ("a2", "a")], shared=False)
    assert schedule.take("x") == "a1"
    schedule.lost("x")
    schedule.again("a1")
    assert [schedule.take("y"), schedule.take("y")] == ["a1", "a2"]


def test_a_group_of_a_lost_worker_has_one_owner():
    schedule = Schedule([("a1", "a")], shared=False)
    assert schedule.take("x") == "a1"
    schedule.lost("x")
    schedule.again("a1")
    assert schedule.take("y") == "a1"
    schedule.again("a1")
    assert [schedule.take("z"), schedule.take("y")] == [None, "a1"]


# Whole batches, with workers that are processes


def test_a_batch_is_done_once_and_goes_on_where_it_stopped(store: Store):
    work = planned(table_of(["a", "b", "error", "c"]))
    with driving(store):
        first = driver(store, work, workers=2).run()
        assert (first.done, first.failed, first.inversions) == (3, 1, 2)
        before = {key: store.record_path(key).stat().st_ino for key in store.committed()}
        again = driver(store, planned(table_of(["a", "b", "error", "c"]))).run()
    assert (again.before, again.done) == (4, 0)
    assert before == {key: store.record_path(key).stat().st_ino for key in store.committed()}
    assert leftovers(store) == []


def test_failed_rows_are_done_again_when_that_is_asked_for(store: Store):
    work = planned(table_of(["a", "error"]))
    with driving(store):
        driver(store, work).run()
        store.forget(store.failed(store.committed()))
        assert len(store.committed()) == 1
        assert driver(store, work).run().failed == 1
    assert len(store.committed()) == 2


def test_rows_that_failed_before_are_still_told(store: Store):
    work = planned(table_of(["a", "error"]))
    with driving(store):
        driver(store, work).run()
        again = driver(store, work).run()
    assert (again.done, again.failed, again.left) == (0, 0, 0)
    assert again.line() == "2 of 2 rows, 1 failed"
    assert status.read(store)[0] == "2 of 2 rows, 1 failed: ended"


def test_only_failed_rows_of_the_table_are_done_again_and_not_before_it_is_checked(store: Store):
    from evenframe.cli.batch import _drive

    def fails(*_: Any) -> Made:
        raise EvenframeError("No.")

    def connect() -> LocalEngine:
        return LocalEngine(Setup(store.root, batch_edits.make), 1)

    work, options = planned(table_of(["a", "wrong"])), Namespace(retry_errors=True)
    for each in (job(), *map(work.job, work.keys)):
        perform(store, each, fails, "worker 0")
    with store.driving(), pytest.raises(EvenframeError, match="1 of 2 rows cannot be done"):
        _drive(options, store, work, connect)
    assert len(store.committed()) == 3
    work = planned(table_of(["a"]))
    key = work.keys[0]
    perform(store, work.job(key), fails, "worker 0")
    with store.driving():
        assert _drive(options, store, work, connect).done == 1
    assert store.record(key)["state"] == "done" and store.record(KEY)["state"] == "error"


def test_a_row_that_kills_its_worker_three_times_is_an_error(store: Store):
    said: list[str] = []
    work = planned(table_of(["a", "crash", "crash once", "b"]))
    with driving(store):
        progress = driver(store, work, tell=said.append).run()
    assert (progress.done, progress.failed, progress.lost) == (3, 1, 4)
    (failed,) = [r for r in map(store.record, store.committed()) if r["state"] == "error"]
    assert "ended its worker 3 times, at last: worker 0 died (signal 9)" in failed["error"]
    assert failed["row"]["target"] == "crash"
    assert leftovers(store) == []


def test_a_worker_that_cannot_write_says_why(store: Store):
    said: list[str] = []
    store.clips.rmdir()
    store.clips.touch()
    with store.driving():
        assert driver(store, planned(table_of(["a"])), tell=said.append).run().failed == 1
    assert "worker 0 cannot write: [Errno" in said[0]


def test_a_row_whose_worker_died_after_its_commit_is_not_done_again(store: Store):
    def fails(*_: Any) -> Made:
        raise EvenframeError("No: do something else.")

    said: list[str] = []
    work = planned(table_of(["a"]))
    perform(store, work.job(work.keys[0]), fails, "worker 0")
    one = driver(store, work, tell=said.append)
    one.run()
    one._flight, one._schedule = {"w": work.keys[0]}, Schedule([], True)
    outcome = one._lost("w", work.keys[0], Outcome(work.keys[0], "lost", "w died"))
    assert (outcome.state, outcome.message) == ("error", "No: do something else.")


def test_a_full_disk_pauses_the_batch(store: Store):
    said: list[str] = []
    with driving(store):
        progress = driver(store, planned(table_of(["a", "full once", "b"])), tell=said.append).run()
    assert (progress.done, progress.failed) == (3, 0)
    assert any("worker 0 pauses until there is room" in line for line in said)
    assert "There is room again: worker 0 goes on." in said


def test_rows_of_a_worker_whose_disk_is_full_are_done_by_others(store: Store):
    one = driver(store, planned(table_of(["a", "b"])), pause=60.0)
    one._schedule = Schedule([("k", "g"), ("l", "g")], shared=False)
    one._rests, one._pauses, one.progress = {}, {}, status.Progress(2)
    key = one._schedule.take("full")
    assert key == "k"
    one._flight, one.progress.doing = {"full": key}, {"full": (2, 0.0)}
    one._ended("full", Outcome(key, "full", "No space left on device"))
    assert not one._has_room("full") and one._has_room("other")
    assert "paused: the disk is full (full)" in one._note()
    assert [one._schedule.take("other"), one._schedule.take("other")] == ["k", "l"]


@pytest.mark.parametrize("share", [-1, 65, 1.5, 0.00001, float("nan")])
def test_no_worker_takes_such_a_part_of_a_gpu(share: float):
    names = ("workers", "threads", "address", "server", "models", "cache")
    asked = Namespace(engine="ray", gpus_per_worker=share, **dict.fromkeys(names))
    with pytest.raises(EvenframeError, match="--gpus-per-worker is"):
        require_counts(asked)


def test_a_worker_that_cannot_start_ends_the_batch(store: Store):
    broken = driver(store, planned(table_of(["a"])))
    broken.engine._setup = broken.engine._setup.__class__(store.root, batch_edits.refuses)  # pyright: ignore
    with driving(store), pytest.raises(EvenframeError, match="worker 0 cannot work: no model"):
        broken.run()


SCRIPT = """
if __name__ == "__main__":
    import sys
    from pathlib import Path
    from batch_fakes import driver, driving, opened, planned, table_of

    store = opened(Path(sys.argv[1]))
    with driving(store):
        progress = driver(store, planned(table_of(sys.argv[2:])), workers=2, tell=print).run()
    print("left", progress.left)
"""


def started(folder: Path, *targets: str) -> subprocess.Popen[str]:
    """A driver in a process of its own."""
    script = folder / "drive.py"
    script.write_text(SCRIPT)
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, str(script), str(folder / "out"), *targets],
        env=os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )


def until(condition: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def interrupted(times: int, when: Any) -> threading.Thread:
    """Ctrl-C, so many times, once something is so."""

    def send() -> None:
        until(when)
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.3)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def test_an_interrupt_ends_after_the_rows_in_flight(store: Store):
    said: list[str] = []
    sends = interrupted(1, store.committed)
    with driving(store):
        work = planned(table_of(["sleep 0.5"] * 12))
        progress = driver(store, work, workers=2, tell=said.append).run()
    sends.join()
    assert "ends after the rows in flight" in said[0]
    assert 0 < progress.left < 12 and len(store.committed()) == 12 - progress.left
    assert leftovers(store) == []
    told = status.read(store)
    assert told[0].endswith("stopped") and not any("left" in line for line in told)
    assert "left" not in progress.line() and "at work" not in progress.line()


def test_a_second_interrupt_ends_at_once(store: Store):
    sends = interrupted(2, lambda: len(list(store.aside.iterdir())) == 2)
    with driving(store), pytest.raises(KeyboardInterrupt):
        driver(store, planned(table_of(["sleep 60"] * 2)), workers=2).run()
    sends.join()
    assert store.committed() == set() and leftovers(store) == []


def test_two_drivers_never_both_work(store: Store):
    with driving(store):
        said = f"Another batch works in .*process {os.getpid()} on"
        with pytest.raises(EvenframeError, match=said), driving(store):
            pass
    with driving(store):
        pass


def test_who_asks_for_the_status_is_not_taken_for_a_driver(store: Store):
    with (store.root / "lock").open("a+") as lock:
        assert try_lock(lock.fileno())  # as `is_held` does, for a moment
        threading.Timer(0.15, lock.close).start()
        with driving(store):
            pass


def test_a_killed_driver_leaves_no_worker_behind(tmp_path: Path):
    import psutil

    store = Store(tmp_path / "out")
    process = started(tmp_path, *["sleep 60"] * 2)
    until(lambda: store.aside.is_dir() and len(list(store.aside.iterdir())) == 2)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    assert psutil.wait_procs(children, timeout=20)[1] == []
    told = status.read(store)
    assert "its driver is gone" in told[0] and not any("left" in line for line in told[1:])
    with driving(store):
        assert leftovers(store) == []


# The folder


def test_another_workflow_is_refused_unless_it_is_meant(store: Store):
    perform(store, job(), saves, "worker 0")
    with pytest.raises(EvenframeError, match="a batch of another workflow: .*--new-workflow"):
        store.open("v")
    store.open("v", new_workflow=True)
    store.open("v")


def test_a_folder_without_records_is_bound_to_no_workflow(store: Store):
    before = store.id
    store.open("v")
    assert store.id == before != opened(store.root.parent / "another").id


def test_a_batch_whose_first_file_is_lost_goes_on(store: Store):
    perform(store, job(), saves, "worker 0")
    (store.root / "batch.json").unlink()
    store.open("w")
    assert store.committed() == {KEY}


def test_a_driver_that_is_refused_has_changed_nothing(store: Store):
    before = (store.root / "batch.json").read_bytes()
    with driving(store), pytest.raises(EvenframeError, match="Another batch works in"):
        store.open("v", new_workflow=True)
    assert (store.root / "batch.json").read_bytes() == before
    store.open("w")


def test_a_batch_that_a_full_disk_ended_before_it_began_can_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(EvenframeError, match="No space"):
        patched.setattr(stores, "write_lines", full)
        Store(tmp_path / "out").open("w")
    (tmp_path / "out" / "batch.json-00000000.new").touch()  # of one that was killed
    Store(tmp_path / "out").open("w")


def test_a_folder_of_another_version_is_refused(store: Store):
    (store.root / "batch.json").write_text('{"format": "evenframe-batch-0", "workflow": "w"}')
    with pytest.raises(EvenframeError, match="a batch of format 'evenframe-batch-0'"):
        store.open("w", new_workflow=True)


@pytest.mark.parametrize("name", ["thesis.txt", "thesis.new"])
def test_a_folder_with_other_things_is_refused(tmp_path: Path, name: str):
    (tmp_path / name).touch()
    with pytest.raises(EvenframeError, match="holds other files and is no batch's folder"):
        Store(tmp_path).open("w")
    with pytest.raises(EvenframeError, match="holds other files and is no batch's folder"):
        Store(tmp_path).require_open("w")
    with pytest.raises(EvenframeError, match="is a file: name a folder with --out"):
        Store(tmp_path / name).open("w")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"state": 1' + "0" * 99 + "}"])
def test_a_damaged_record_is_a_failed_row_that_can_be_done_again(store: Store, damage: str):
    perform(store, job(), saves, "worker 0")
    store.record_path(KEY).write_text(damage)
    assert "cannot be read" in store.record(KEY)["error"]
    assert store.failed([KEY]) == {KEY}
    store.forget([KEY])
    assert store.committed() == set()


# What is told


def reported(store: Store, work: Any) -> tuple[list[dict[str, str]], str]:
    stores.write_lines(store.table, work.lines())
    table, page, _ = results.rebuild(store)
    with table.open(newline="") as file:
        return list(csv.DictReader(file)), page.read_text()


def test_a_report_can_be_made_while_another_is(store: Store, monkeypatch: pytest.MonkeyPatch):
    work = planned(table_of(["a", "b"]))
    csv_of = results._csv

    def second(*given: Any) -> Any:
        monkeypatch.setattr(results, "_csv", csv_of)
        results.rebuild(store)
        return csv_of(*given)

    monkeypatch.setattr(results, "_csv", second)
    rows, _ = reported(store, work)
    assert len(rows) == 2 and leftovers(store) == []


def test_equal_rows_are_two_lines_of_the_report(store: Store):
    cells = [{"target": "a", "#who": "x"}, {"target": "a", "#who": "y"}, {"target": "</script>"}]
    work = planned(Table(("target", "#who"), tuple(Row(n + 2, c) for n, c in enumerate(cells))))
    perform(store, work.job(work.keys[0]), saves, "worker 0")
    rows, page = reported(store, work)
    assert [(row["line"], row["state"], row["#who"]) for row in rows] == [
        ("2", "done", "x"),
        ("3", "done", "y"),
        ("4", "waiting", ""),
    ]
    assert rows[0]["files"] == rows[1]["files"] != ""
    data = page.partition('id="rows">')[2].partition("</script>")[0]
    assert json.loads(data)[2]["cells"]["target"] == "</script>", "text, and not the page's end"


def test_clocks_that_differ_change_nothing(store: Store):
    """Another machine's clock is a day ahead: nothing that is decided depends on it."""
    work = planned(table_of(["a", "b"]))
    perform(store, work.job(work.keys[0]), saves, "worker 0")
    ahead = time.time() + 86400
    for path in (store.root, *store.root.rglob("*")):
        os.utime(path, (ahead, ahead))
    with driving(store):
        progress = driver(store, work).run()
    assert (progress.before, progress.done) == (1, 1)
    assert status.read(store)[0] == "2 of 2 rows, 0 failed: ended"


def test_the_time_left_is_told_while_it_runs(store: Store):
    progress = status.Progress(10, before=2, done=3, failed=1)
    progress.began -= 40
    progress.doing["worker 0"] = (7, progress.began)
    progress.state = "running"
    assert progress.line() == "6 of 10 rows, 1 failed, 1 at work, about 40 s left"
    with driving(store):
        status.write(store, progress, "local")
        told = status.read(store)
    assert told[0] == "6 of 10 rows, 1 failed: running"
    assert told[1] == "about 40 s left"
    assert told[-1] == "worker 0: 0 rows, line 7, 40 s"


def test_a_status_of_no_numbers_is_read(store: Store):
    store.status.write_text('{"total": Infinity, "done": NaN, "failed": "x", "workers": []}')
    assert status.read(store)[0].startswith("0 of 0 rows, 0 failed")


def test_times_are_told_in_words():
    assert [status.duration(s) for s in (1, 119, 600, 9000, 250000, None)] == [
        "1 s",
        "119 s",
        "10 min",
        "2.5 h",
        "2.9 days",
        "?",
    ]
