"""What the command line shows while it works."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from io import TextIOWrapper
from typing import TextIO

from ..pipelines.common.errors import one_line

WIDTH = 24
MOST_LINES = 200


def prepare() -> None:
    """Have text that the terminal has no letters for shown by its codes, and end no run for it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def tell(text: str, stream: TextIO | None = None, end: str = "\n") -> None:
    """Say something beside the results; where nobody listens any more, that costs no run."""
    out = stream or sys.stderr
    if out is not None:
        with suppress(OSError, ValueError):  # a broken pipe, a closed file
            print(text, end=end, file=out, flush=True)


def tell_first(lines: Sequence[str]) -> str:
    """Say what is wrong with rows, a line each; what a message adds where not all are shown."""
    for line in lines[:MOST_LINES]:
        tell(one_line(line))
    return f" (the first {MOST_LINES} are shown)" if len(lines) > MOST_LINES else ""


def drop_output() -> None:
    """Let what is still to be printed go nowhere: whoever read it has gone.

    Python's documentation of SIGPIPE advises it, since Python may try once more at its end.
    """
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def bar(done: int, total: int) -> str:
    """`######------  12/24`."""
    filled = WIDTH * done // max(total, 1)
    return f"{'#' * filled}{'-' * (WIDTH - filled)} {done:>{len(str(total))}}/{total}"


def progress(stream: TextIO | None = None) -> Callable[[str, int, int], None]:
    """A function that shows (label, done, total).

    On a terminal one line that moves; in a log a line each tenth of the way.
    """
    out = stream or sys.stderr
    moving = out is not None and out.isatty()
    shown: dict[str, int] = {}

    def report(label: str, done: int, total: int) -> None:
        text = f"  {label:<24} {bar(done, total)}"
        ended = done >= total
        if moving:
            tell(f"\r{text}", out, end="\n" if ended else "")
            return
        tenth = 10 * done // max(total, 1)
        if tenth != shown.get(label, 0) or ended:
            tell(text, out)
        shown[label] = -1 if ended else tenth

    return report


def table(
    figures: Mapping[str, float | int | str],
    most: Mapping[str, float] | None = None,
    least: Mapping[str, float] | None = None,
) -> str:
    """Figures as columns, numbers short enough to read. most, least: what some may be."""
    width = max(map(len, figures), default=0)
    rows = []
    for key, value in figures.items():
        row = (
            f"{key:<{width}}  {value:.6g}"
            if isinstance(value, float)
            else f"{key:<{width}}  {value}"
        )
        high, low = (most or {}).get(key), (least or {}).get(key)
        if high is not None:
            row += f"  at most {high:g}" + ("" if float(value) <= high else "  MISSED")
        if low is not None:
            row += f"  at least {low:g}" + ("" if float(value) >= low else "  MISSED")
        rows.append(row)
    return "\n".join(rows)
