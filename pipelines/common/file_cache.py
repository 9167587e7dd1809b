"""Results found again: a folder of files by key, of which the ones used longest ago go."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from .errors import EvenframeError
from .tensor_file import SUFFIX, drop_oldest, touch

Value = TypeVar("Value")
log = logging.getLogger(__name__)


class FileCache(Generic[Value]):
    """A folder of values by key; the ones used longest ago go when it grows too large.

    limit_bytes: a single value that is larger is kept all the same; 0 keeps and finds none.
    load: reads the file of a key, or raises EvenframeError. save: writes it, gives its path.
    """

    def __init__(
        self,
        folder: Path,
        limit_bytes: int,
        load: Callable[[Path, str], Value],
        save: Callable[[Value, Path, str], Any],
    ):
        self._folder, self._limit = folder, limit_bytes
        self._load, self._save = load, save

    def get(self, key: str) -> Value | None:
        """The value of this key, or None; a damaged file counts as absent."""
        path = self._folder / f"{key}{SUFFIX}"
        if self._limit <= 0 or not path.is_file():
            return None
        try:
            value = self._load(path, key)
        except EvenframeError:
            return None
        touch(path)
        return value

    def put(self, key: str, value: Value) -> None:
        """Keep a value. Raises EvenframeError where it cannot be written."""
        if self._limit > 0:
            path = self._save(value, self._folder / f"{key}{SUFFIX}", key)
            drop_oldest(self._folder, self._limit, keep=path)

    def offer(self, key: str, value: Value) -> None:
        """Keep a value where that is possible: a full disk must not cost what was just made. It is
        used now, and made again another day."""
        try:
            self.put(key, value)
        except EvenframeError as error:
            log.warning("%s", error)
