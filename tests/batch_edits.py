"""Edits that cost nothing, for the machinery of batches: what they do, a cell says.

Workers import it: it loads no library.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from evenframe.batch.job import Job, Made, Setup
from evenframe.pipelines.common.errors import EvenframeError


def make(setup: Setup) -> Callable[[Job, Path], Made]:
    """An edit that writes its target; an inversion is a file beside the batch, as a cache has it.

    `error`, `crash` and `full` do so; `crash once` and `full once` do so the first time in a batch;
    `sleep S` takes its time.
    """

    def edit(job: Job, folder: Path) -> Made:
        target = job.prompt["target"]["inputs"]["text"]
        do, _, how = target.partition(" ")
        first = how != "once" or _first(setup.out, job.key)
        if do == "error":
            raise EvenframeError("It cannot be done: leave it.")
        if do == "crash" and first:
            os.kill(os.getpid(), signal.SIGKILL)
        (folder / "clip.mp4").write_text(f"{target} {job.line}")
        if do == "full" and first:
            raise OSError(errno.ENOSPC, "No space left on device")
        if do == "sleep":
            time.sleep(float(how))
        cached = setup.out.parent / "cache"
        cached.mkdir(exist_ok=True)
        made = not (cached / job.group).exists()
        time.sleep(0.02 if made else 0)
        (cached / job.group).touch()
        return Made(int(made))

    return edit


def _first(out: Path, key: str) -> bool:
    mark = out.parent / f"mark-{key}"
    there = mark.exists()
    mark.touch()
    return not there


def refuses(_: Setup) -> Callable[[Job, Path], Made]:
    """A worker that cannot get ready."""
    raise EvenframeError("no model")
