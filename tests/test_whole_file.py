"""Saving, as others see it: whole files, each under a name of its own, whoever dies or races."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from evenframe.pipelines.common import whole_file
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.common.whole_file import Numbered, replace, sweep, write_new

ROOT = Path(__file__).resolve().parents[1]


def python(script: str, *arguments: object) -> subprocess.Popen[str]:
    """A process that runs a script of this package."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT.parent)},
        preexec_fn=as_from_a_terminal,
    )


def as_from_a_terminal() -> None:
    """Signals that whoever runs the tests in the background has set to be ignored end it again."""
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)


def visible(folder: Path) -> list[str]:
    """The files that someone who opens the folder sees."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def written(text: str):
    return lambda path: path.write_text(text)


def age(folder: Path, seconds: float) -> None:
    """Make what was written aside look as old as that."""
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - seconds, time.time() - seconds))


def test_nothing_is_to_be_seen_until_the_file_is_complete(tmp_path: Path):
    def write(path: Path) -> None:
        path.write_text("half")
        assert visible(tmp_path) == [] and path.suffix == ".txt"
        path.write_text("whole")

    assert write_new(Numbered(tmp_path, "a", ".txt"), write) == tmp_path / "a_00001_.txt"
    assert [path.name for path in tmp_path.iterdir()] == ["a_00001_.txt"]
    assert (tmp_path / "a_00001_.txt").read_text() == "whole"


def test_the_next_number_counts_files_of_every_ending(tmp_path: Path):
    for name in (
        "a_00003_.png",
        "a_00007_x.mp4",
        "b_00009_.txt",
        "a_1_",
        "a_x_.txt",
        "a_" + "9" * 99,
    ):
        (tmp_path / name).touch()
    assert write_new(Numbered(tmp_path, "a", ".txt"), written("")).name == "a_00008_.txt"


def test_a_name_is_never_taken_from_another(tmp_path: Path):
    taken = tmp_path / "a.txt"
    taken.write_text("another's")
    with pytest.raises(EvenframeError, match="exists and is never overwritten: give another name"):
        write_new(taken, lambda _: pytest.fail("written all the same"))
    taken.unlink()

    def slow(path: Path) -> None:
        path.write_text("mine")
        taken.write_text("another's")

    with pytest.raises(EvenframeError, match="exists and is never overwritten"):
        write_new(taken, slow)
    assert taken.read_text() == "another's" and visible(tmp_path) == ["a.txt"]


def test_what_takes_the_place_of_another_does_so_at_once(tmp_path: Path):
    path = tmp_path / "a.txt"
    for text in ("one", "two"):
        assert replace(path, written(text)) == path
        assert path.read_text() == text
    with pytest.raises(ZeroDivisionError):
        replace(path, lambda partial: partial.write_text(str(1 / 0)))
    assert path.read_text() == "two" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["absent/a.txt", "a\0.txt", "a" * 300, "file/a.txt"])
def test_a_name_that_cannot_be_is_said_before_anything_is_written(tmp_path: Path, name: str):
    (tmp_path / "file").touch()
    with pytest.raises(EvenframeError, match="cannot be written: .*Check the name and the folder"):
        write_new(tmp_path / name, lambda _: pytest.fail("written all the same"))
    assert visible(tmp_path) == ["file"]


def test_files_have_the_rights_that_the_user_chose(tmp_path: Path):
    def private(path: Path) -> None:  # as a library does that writes a temporary file first
        path.touch(mode=0o600)

    before = os.umask(0o027)
    try:
        made = write_new(tmp_path / "a.txt", private)
    finally:
        os.umask(before)
    assert made.stat().st_mode & 0o777 == 0o640


def test_without_links_names_are_taken_as_safely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    (tmp_path / "a_00002_.txt").write_text("another's")
    monkeypatch.setattr(Numbered, "following", lambda self: map(self.at, (1, 2, 3)))
    names = [write_new(Numbered(tmp_path, "a", ".txt"), written("mine")).name for _ in range(2)]
    assert names == ["a_00001_.txt", "a_00003_.txt"]
    assert (tmp_path / "a_00002_.txt").read_text() == "another's"
    assert len(list(tmp_path.iterdir())) == 3


def test_without_links_a_name_that_cannot_be_filled_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refused(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(os, "link", refused)
    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(EvenframeError, match="disk is full"):
        write_new(tmp_path / "a.txt", written("mine"))
    assert list(tmp_path.iterdir()) == []


def test_a_link_that_was_made_though_an_error_came_back_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    link = os.link

    def linked_twice(source: Path, target: Path) -> None:  # as a network repeats what it did
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", linked_twice)
    assert write_new(Numbered(tmp_path, "a", ".txt"), written("")).name == "a_00001_.txt"
    assert visible(tmp_path) == ["a_00001_.txt"]


SAVE_MANY = """
    import sys
    from pathlib import Path
    from evenframe.pipelines.common.whole_file import Numbered, write_new
    for turn in range(25):
        text = f"{sys.argv[2]} {turn}"
        print(write_new(Numbered(Path(sys.argv[1]), "a", ".txt"), lambda p: p.write_text(text)))
"""


def test_saves_of_one_name_at_once_lose_none(tmp_path: Path):
    processes = [python(SAVE_MANY, tmp_path, number) for number in range(5)]
    told = [line for process in processes for line in process.communicate()[0].splitlines()]
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == [f"a_{n:05}_.txt" for n in range(1, 126)]
    assert sorted(told) == list(map(str, files))
    texts = {path.read_text() for path in files}
    assert texts == {f"{number} {turn}" for number in range(5) for turn in range(25)}


SAVE_SLOWLY = """
    import sys, time
    from pathlib import Path
    from evenframe import __main__ as cli
    from evenframe.pipelines.common.whole_file import Numbered, write_new

    def write(path):
        path.write_text("half")
        print("writing", flush=True)
        time.sleep(60)

    def command(options):
        write_new(Numbered(Path(sys.argv[1]), "a", ".txt"), write)
        return 0

    cli.demo.run = command
    sys.exit(cli.main(["demo"]))
"""


def half_way(folder: Path) -> subprocess.Popen[str]:
    """A process of the command line in the middle of a save."""
    process = python(SAVE_SLOWLY, folder)
    assert process.stdout is not None and process.stdout.readline() == "writing\n"
    return process


def test_a_save_that_is_killed_shows_nothing_and_the_next_one_sweeps(tmp_path: Path):
    dead, living = half_way(tmp_path), half_way(tmp_path)
    try:
        dead.kill()
        dead.wait()
        assert visible(tmp_path) == [] and len(list(tmp_path.iterdir())) == 2
        sweep(tmp_path)
        assert len(list(tmp_path.iterdir())) == 2, "what has just begun may not be locked yet"
        age(tmp_path, 10 * whole_file.ABANDONED_SECONDS)
        write_new(Numbered(tmp_path, "a", ".txt"), written("whole"))
        assert visible(tmp_path) == ["a_00001_.txt"]
        [left] = (path for path in tmp_path.iterdir() if path.is_dir())
        assert (left / "partial.txt").read_text() == "half", "the living one's"
    finally:
        living.kill()
        living.wait()
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a_00001_.txt"]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_save_that_is_ended_leaves_nothing(tmp_path: Path, name: str):
    process = half_way(tmp_path)
    process.send_signal(getattr(signal, name))
    assert process.wait(60) == 128 + getattr(signal, name)
    assert list(tmp_path.iterdir()) == []


def test_what_another_machine_writes_is_kept_for_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Its lock may not be seen from here."""

    def left() -> int:
        sweep(tmp_path)
        return len(list(tmp_path.iterdir()))

    own = tmp_path / ".evenframe-00000000-1234.partial"
    own.mkdir()
    (own / "lock").touch()
    for seconds, kept in ((60, 1), (3500, 1), (3700, 0)):
        age(tmp_path, seconds)
        assert left() == kept


KILLED_VIDEO = """
    import os, signal, sys
    from pathlib import Path
    import torch
    from evenframe.pipelines.video import save
    from evenframe.pipelines.common.whole_file import Numbered

    def on_frame(done):
        if done == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    save(Numbered(Path(sys.argv[1]), "a", ".mp4"), torch.rand(6, 64, 64, 3), 8, on_frame=on_frame)
"""


def test_a_video_killed_in_the_middle_is_no_file(tmp_path: Path):
    assert python(KILLED_VIDEO, tmp_path).wait() == -signal.SIGKILL
    assert visible(tmp_path) == []
