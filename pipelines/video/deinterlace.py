"""Interlaced frames, two half pictures woven into one, made whole."""

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import chain, groupby
from typing import TYPE_CHECKING

from .findings import Findings
from .source import Timed

if TYPE_CHECKING:
    from av import VideoFrame

NOTE = "The video is interlaced: it was deinterlaced (bwdif)."


def progressive(frames: Iterator[Timed], findings: Findings) -> Iterator[Timed]:
    """The same frames at the same times, deinterlaced from the first interlaced one on."""
    for _, alike in groupby(frames, _shape):  # a filter takes frames of one shape
        yield from _from_the_first(alike, findings)


def _from_the_first(frames: Iterator[Timed], findings: Findings) -> Iterator[Timed]:
    for timed in frames:
        if timed.frame.interlaced_frame:
            findings.note(NOTE)
            yield from _filtered(timed, frames)
            return
        yield timed


def _shape(timed: Timed) -> tuple[int, int, str]:
    return timed.frame.width, timed.frame.height, timed.frame.format.name


def _filtered(first: Timed, frames: Iterator[Timed]) -> Iterator[Timed]:
    """One frame out for each frame in; the filter looks one frame ahead, so times are queued."""
    from av.error import BlockingIOError, EOFError
    from av.filter import Graph

    def pulled() -> Iterator["VideoFrame"]:
        with suppress(BlockingIOError, EOFError):  # until there is none yet, or any more
            while True:
                yield graph.vpull()

    graph = Graph()
    source = graph.add_buffer(
        width=first.frame.width,
        height=first.frame.height,
        format=first.frame.format,
        time_base=first.frame.time_base or Fraction(1, 1000),
    )
    graph.link_nodes(source, graph.add("bwdif", "send_frame:auto:all"), graph.add("buffersink"))
    graph.configure()
    waiting: list[Timed] = []
    for entering in chain([first], frames, [None]):
        if entering is not None:
            waiting.append(entering)
        graph.vpush(None if entering is None else entering.frame)
        for frame in pulled():
            if waiting:
                _, time, duration = waiting.pop(0)
                yield Timed(frame, time, duration)
