"""One edit of a comparison, as its table has it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..common.file_hash import content_hash


@dataclass(frozen=True)
class Row:
    """An edit of a clip. number: of its line. more: values for the inputs of a recipe."""

    number: int
    clip: Path
    source: str
    target: str
    video: str
    edit: str
    words: tuple[str, ...] = ()
    new_words: tuple[str, ...] = ()
    mask: Path | None = None
    attribute: str = ""
    kind: str = "attribute"
    group: str = ""
    type: str = "1"
    questions: Mapping[str, str] | None = None
    more: Mapping[str, str] | None = None

    @property
    def key(self) -> str:
        """Where its results lie in a method's folder."""
        return "/".join(filter(None, (self.group, self.video, self.edit)))

    def made_of(self, recipe: object = None) -> str:
        """SHA-256 of all that a result of it depends on but its method's code: what the line says
        and what its files hold; recipe: the workflow, where that is the method."""
        files = [None if path is None else _content(path) for path in (self.clip, self.mask)]
        unnamed = {"number": 0, "clip": Path(), "mask": None, "video": "", "edit": "", "group": ""}
        facts = replace(self, **unnamed, type=""), files, recipe
        return hashlib.sha256(repr(facts).encode()).hexdigest()


def _content(path: Path) -> tuple[str, ...]:
    """The hash of a file, or of those in a folder."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    told = [(each, each.stat()) for each in files if each.is_file()]
    return tuple(content_hash(str(each), at.st_size, at.st_mtime_ns) for each, at in told)
