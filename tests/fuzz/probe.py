"""Runs cases in a process of their own: there a hang or a swollen memory is a finding, not the end.

`serve` is what that process does: it reads (name of a target, case) from its input, lets the target
have the case, and answers what became of it.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import resource
import select
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

MOST_SECONDS = 10.0
"""Of processor time that a case may take."""
MOST_BYTES = 2 * 2**30
"""That a case may take above the loaded process."""
WAIT_SECONDS = 300.0
"""After which a case that takes no processor time, either, is called stuck."""
TESTS = Path(__file__).parents[1]
SERVE = "import sys; sys.path.insert(0, sys.argv[1]); import fuzz.probe as p; p.serve(sys.argv[2])"


@dataclass(frozen=True)
class Answer:
    """What became of a case.

    kind: "taken", "refused" (an EvenframeError), "raised" (any other), "hang" or "memory".
    text: the first line of the error, or a traceback. seconds: of processor time. bytes: peak
    above what the process had before.
    """

    kind: str
    text: str = ""
    seconds: float = 0.0
    bytes: int = 0


@dataclass
class Tally:
    """What became of the cases of one target."""

    kinds: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    bytes: int = 0

    def add(self, answer: Answer) -> None:
        self.kinds[answer.kind] = self.kinds.get(answer.kind, 0) + 1
        self.seconds = max(self.seconds, answer.seconds)
        self.bytes = max(self.bytes, answer.bytes)


class Probe:
    """The process, from outside; started when it is needed, and again when it had to be ended."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._process = folder, None
        self.tallies: dict[str, Tally] = {}

    def __call__(self, target: str, case: Any) -> None:
        """Let a target have a case; AssertionError unless it was taken or refused."""
        answer = self._answer(target, case)
        self.tallies.setdefault(target, Tally()).add(answer)
        assert answer.kind in ("taken", "refused"), f"{answer.kind}\n{answer.text}"
        if answer.kind == "refused":
            _require_readable(answer.text)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answer(self, target: str, case: Any) -> Answer:
        process = self._started()
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            _send(process.stdin, (target, case))
        began, before = time.monotonic(), _processor_seconds(process.pid)
        while not select.select([process.stdout], [], [], 0.2)[0]:
            used = _processor_seconds(process.pid) - before
            if used > 2 * MOST_SECONDS or time.monotonic() - began > WAIT_SECONDS:
                self.close()
                return Answer("hang", f"{used:.0f} s of processor time, and no end", used)
        try:
            answer: Answer = _receive(process.stdout)
        except EOFError:
            code = process.wait()
            self._process = None
            return Answer("raised", f"the process ended with {code}")
        if answer.seconds > MOST_SECONDS:
            return Answer("hang", f"{answer.seconds:.0f} s of processor time", answer.seconds)
        if answer.bytes > MOST_BYTES:
            self.close()
            return Answer("memory", f"{answer.bytes / 1e9:.1f} GB", answer.seconds, answer.bytes)
        return answer

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", SERVE, str(TESTS), str(self._folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
            assert self._process.stdout is not None
            assert _receive(self._process.stdout) == "ready"
        return self._process


def _require_readable(text: str) -> None:
    """An error's first line says what is wrong; it is a line, and not a library's."""
    first = text.split("\n")[0]
    assert 10 < len(first) < 1000, f"no sentence: {text[:2000]!r}"


def _processor_seconds(pid: int) -> float:
    import psutil

    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return times.user + times.system


def _send(stream: BinaryIO | Any, value: Any) -> None:
    data = pickle.dumps(value)
    stream.write(len(data).to_bytes(8, "little") + data)
    stream.flush()


def _receive(stream: BinaryIO | Any) -> Any:
    length = stream.read(8)
    if len(length) < 8:
        raise EOFError
    return pickle.loads(stream.read(int.from_bytes(length, "little")))


# Inside the process


def serve(folder: str) -> None:
    """Answer cases until the input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print goes elsewhere
    from fuzz import targets

    ready = targets.Targets(Path(folder))
    _limit()
    _send(answers, "ready")
    while True:
        try:
            name, case = _receive(sys.stdin.buffer)
        except EOFError:
            return
        _send(answers, _tried(getattr(ready, name), case))


def _tried(target: Any, case: Any) -> Answer:
    from evenframe.pipelines.common.errors import EvenframeError

    base, began, kind, text = _forget_peak(), time.process_time(), "taken", ""
    try:
        target(case)
    except EvenframeError as error:
        kind, text = "refused", str(error)
    except BaseException:  # noqa: BLE001  (an exit is a finding, too)
        kind, text = "raised", traceback.format_exc()[-4000:]
    return Answer(kind, text, time.process_time() - began, max(0, _peak() - base))


def _limit() -> None:
    """What nobody writes to counts, too: a length from a file may not ask for all of the memory."""
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    most = pages * resource.getpagesize() + 4 * MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _forget_peak() -> int:
    """Begin the peak anew; the bytes that are held now."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _status(key: str) -> int:
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(key):
                return int(line.split()[1]) * 1024
    raise KeyError(key)
