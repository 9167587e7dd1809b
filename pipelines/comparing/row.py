"""One edit of a comparison, as its table has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


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
