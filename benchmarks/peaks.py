"""What something takes that runs in a process of its own."""

import ctypes
import gc
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from threading import Event, Thread
from typing import Any, TypeVar

Result = TypeVar("Result")


def alone(call: Callable[..., Result], *given: Any) -> Result:
    """In a process that has loaded nothing before."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(call, given)


def peak(call: Callable[[], Result]) -> tuple[int, Result]:
    """Bytes that the process takes at most while `call` runs, over those before, and its result.

    Modules that it needs are to be loaded before. What the process has freed is given back first,
    where the C library can: kept, it would be used and not be seen.
    """
    import psutil

    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    memory, done = psutil.Process(), Event()
    before = memory.memory_info().rss
    seen = [before]

    def watch() -> None:
        while not done.wait(0.001):
            seen.append(memory.memory_info().rss)

    watcher = Thread(target=watch)
    watcher.start()
    try:
        result = call()
    finally:
        done.set()
        watcher.join()
    return max(seen) - before, result


def most_bytes() -> int:
    """The most that this process has held since it began, on Linux.

    Not `ru_maxrss`, which a child begins with what its parent held.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise KeyError("VmHWM")
