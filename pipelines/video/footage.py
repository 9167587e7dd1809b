"""What a clip was chosen from: its frames can be had again, at full size and with all others."""

from dataclasses import dataclass
from pathlib import Path

from ..common.errors import EvenframeError
from .film import Film
from .timing import Choice


@dataclass(frozen=True, eq=False)
class Stock:
    """A film that a clip was chosen from: of images, or one whose frames are made as they are asked
    for.

    choice: which of its frames were taken.
    """

    film: Film
    choice: Choice


@dataclass(frozen=True)
class Footage:
    """A file as it was when the clip was loaded.

    path: absolute. nbytes: its size. changed: when it was last written to, in nanoseconds.
    choice: which of its frames were loaded.
    """

    path: Path
    nbytes: int
    changed: int
    choice: Choice

    @classmethod
    def of(cls, file: Path, choice: Choice) -> "Footage":
        path = file.resolve()
        status = path.stat()
        return cls(path, status.st_size, status.st_mtime_ns, choice)

    def require_unchanged(self) -> None:
        """Raise EvenframeError where the file is another now, or gone."""
        name = self.path.name
        try:
            status = self.path.stat()
        except OSError as error:
            raise EvenframeError(
                f"'{name}' is no longer there, and the frames outside of the regions are read from "
                "it: put it back, or load the clip again."
            ) from error
        if (status.st_size, status.st_mtime_ns) != (self.nbytes, self.changed):
            raise EvenframeError(
                f"'{name}' was changed since the clip was loaded: load it again, so that what lies "
                "outside of the regions belongs to the edit."
            )
