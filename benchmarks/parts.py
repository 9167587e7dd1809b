"""A benchmark in parts that may run short of time, of memory, or of something to measure."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from time import perf_counter

import torch

from ..cli import console
from ..pipelines.common.errors import EvenframeError

Figures = dict[str, float | int | str]


class Parts:
    """Figures that are printed as they come, so that a run that is cut has told what it found.

    bench: their keys begin with it. targets: the most that some may be. seconds: no part is begun
    that would end later if it took as long as the longest before. found: all of them.
    """

    def __init__(self, bench: str, targets: Mapping[str, float], seconds: float):
        self.found: Figures = {}
        self._bench, self._targets, self._seconds = bench, targets, seconds
        self._start, self._longest, self._over = perf_counter(), 0.0, ""

    def part(self, name: str, work: Callable[[], Mapping[str, float]]) -> None:
        """Do a part, and note its figures, or as its `skipped` why there are none."""
        begun = perf_counter() - self._start
        if begun + self._longest > self._seconds and not self._over:
            self._over = f"out of time: it was to end after {self._seconds:g} s"
        figures = {"skipped": self._over} if self._over else self._tried(work)
        self._longest = max(self._longest, perf_counter() - self._start - begun)
        told = {f"{self._bench}.{name}.{figure}": value for figure, value in figures.items()}
        print(console.table(told, self._targets), flush=True)
        self.found |= told

    def _tried(self, work: Callable[[], Mapping[str, float]]) -> Figures:
        try:
            return dict(work())
        except KeyboardInterrupt:
            self._over = reason = "interrupted"
        except torch.cuda.OutOfMemoryError:
            reason = "out of memory"
        except EvenframeError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001, a fault of one part must not cost the others
            traceback.print_exc(limit=-3)
            reason = f"failed: {type(error).__name__}: {error}"
        return {"skipped": reason}
