"""Training data on the disk: a pool is a folder of shards, each a folder of equally long arrays.

They are read as they are needed, so a pool may be larger than the memory, shared by several
processes, and still be filled while the training already reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..pipelines.common import whole_file
from ..pipelines.common.errors import EvenframeError
from .scenes import BACKGROUND_SLOT
from .tokenizer import LENGTH, WordEncoder

SLOTS = 3
"""Two items (or one group) and the background."""
REFRESH = 200
"""Steps of a training after which it looks for new shards."""

Shard = Mapping[str, NDArray]
"""Arrays by name, whose first axis counts the samples."""


class Pool:
    """The samples of some shards, one after the other."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self._shards = shards
        self._ends = np.cumsum([len(shard["ids"]) for shard in shards])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def take(self, index: NDArray[np.int64]) -> dict[str, NDArray]:
        """Each array's rows of these samples."""
        chosen = np.searchsorted(self._ends, index, side="right")
        where = [
            (self._shards[shard], place - (self._ends[shard - 1] if shard else 0))
            for shard, place in zip(chosen, index, strict=True)
        ]
        return {name: np.stack([shard[name][i] for shard, i in where]) for name in self._shards[0]}


def token_slots(
    encoder: WordEncoder, words: Sequence[tuple[str, int]]
) -> tuple[list[int], NDArray[np.int8]]:
    """(ids, slots) of a prompt's (word, slot) pairs, 77 of each: the slot that each token stands
    for, -1 for none; the background's is the last."""
    slots = np.full(LENGTH, -1, np.int8)
    for position, (_, slot) in enumerate(words):
        slots[position + 1] = SLOTS - 1 if slot == BACKGROUND_SLOT else slot
    return encoder([word for word, _ in words]), slots


def fill(
    folder: Path, indices: Iterable[int], draw: Callable[[int], Shard], kind: str = ""
) -> None:
    """Draw and write those of the shards that are missing, each at once. kind: part of the name."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in indices:
        target = folder / (f"{kind}-" * bool(kind) + f"{index:04d}")
        if not target.exists():
            try:
                whole_file.replace(target, partial(_write, draw(index)))
            except OSError:
                if not target.exists():
                    raise
                continue  # another worker was quicker, and its shard is the same
            print(f"shard {target.name}", flush=True)


def _write(shard: Shard, folder: Path) -> None:
    folder.mkdir()
    for name, array in shard.items():
        np.save(folder / f"{name}.npy", array)


def shards_of(folder: Path) -> list[Path]:
    """The shards that are whole.

    Raises EvenframeError for a pool that holds only those of earlier versions.
    """
    found = sorted(path for path in folder.glob("*" + "[0-9]" * 4) if path.is_dir())
    if not found and any(folder.glob("shard-*.npz")):
        raise EvenframeError(
            f"The pool '{folder}' was drawn by an earlier version, whose shards are not read any "
            "more: draw a new one in another folder."
        )
    return found


def load(shards: Sequence[Path]) -> Pool:
    """Shards as one pool, which stays on the disk."""

    def arrays(shard: Path) -> Shard:
        return {file.stem: np.load(file, mmap_mode="r") for file in shard.glob("*.npy")}

    return Pool([arrays(shard) for shard in shards])


class GrowingPool:
    """A pool that may still be filled: new shards are taken in as they appear.

    look: gives the shards that there are. Raises FileNotFoundError where there are none.
    """

    def __init__(self, look: Callable[[], list[Path]]) -> None:
        self._look = look
        self._pool: Pool | None = None
        self.shards: list[Path] = []

    def is_due(self, step: int) -> bool:
        """Whether it looks for new shards before this step of the training."""
        return step % REFRESH == 0 or self._pool is None

    def at(self, step: int) -> Pool:
        """The pool as it is at a step."""
        if self.is_due(step) and (found := self._look()) != self.shards:
            self.shards, self._pool = found, load(found)
        if self._pool is None:
            raise FileNotFoundError("the pool is empty: draw its shards first")
        return self._pool
