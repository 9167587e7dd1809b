"""The table of a comparison: a CSV file, a row for each edit of a clip.

Columns: `clip` (a video, beside the table or by its path), `source` and `target` (prompts); and
where a method or a measure needs them `words` (of the source prompt, what is edited), `new_words`
(of the target prompt), `mask` (a file, see `measure/reading.py`), `attribute` (FAME's), `kind` (of
edit, see `methods.KINDS`), `video` and `edit` (names of the result's folders), `group` (a folder
above them), `type` (FiVE's number of the kind) and FiVE's three questions. A column NODE.input
changes that input of a recipe.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..common.errors import EvenframeError, short_repr
from ..measure.questions import MULTIPLE, SOURCE, TARGET
from ..text.prompt import parse_phrases

NEEDED = ("clip", "source", "target")
KNOWN = (
    *NEEDED,
    *("words", "new_words", "mask", "attribute", "kind", "video", "edit", "group", "type"),
    *(TARGET, SOURCE, MULTIPLE),
)
MAX_BYTES, MAX_ROWS, MAX_FIELD, MAX_NAME = 2**24, 10_000, 4000, 80
NAME = re.compile(r"[^A-Za-z0-9_.-]+")


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


def read_table(path: Path) -> list[Row]:
    """The rows of a table. Raises EvenframeError, before any work, for columns that are missing,
    rows without a value, names given twice, and for every clip or mask that is not there."""
    told = _lines(path)
    rows = [_row(number, each, path) for number, each in enumerate(told, start=2)]
    if not rows:
        raise EvenframeError(f"The table '{path}' has no rows: give one for each edit of a clip.")
    lines: dict[str, int] = {}
    for row in rows:
        first = lines.setdefault(row.key, row.number)
        if first != row.number:
            raise EvenframeError(
                f"Line {row.number} of '{path.name}' has the same video and edit as line {first}, "
                f"'{row.key}': name them apart in the column edit."
            )
    missing = [
        f"line {row.number}: '{file}'"
        for row in rows
        for file in (row.clip, row.mask)
        if file is not None and not file.exists()
    ]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise EvenframeError(
            f"The table '{path.name}' names files that are not there: {', '.join(missing[:5])}"
            f"{more}. Put them there, or take their lines out."
        )
    return rows


def _lines(path: Path) -> list[dict[str, str]]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise EvenframeError(f"The table '{path}' has more than {MAX_BYTES} bytes.")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise EvenframeError(f"The table '{path}' cannot be read: {reason}.") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    columns = [(name or "").strip() for name in reader.fieldnames or ()]
    if lacking := [name for name in NEEDED if name not in columns]:
        raise EvenframeError(
            f"The table '{path}' has no column {', '.join(lacking)}: its first line names the "
            f"columns, {', '.join(NEEDED)} and others of {', '.join(KNOWN[3:])}."
        )
    if odd := [name for name in columns if name not in KNOWN and "." not in name]:
        raise EvenframeError(
            f"The table '{path}' has a column {short_repr(odd[0])}, which means nothing: there are "
            f"{', '.join(KNOWN)}, and NODE.input for recipes."
        )
    reader.fieldnames = columns
    try:
        rows = [{k: (v or "").strip() for k, v in each.items() if k} for each in reader]
    except csv.Error as error:
        raise EvenframeError(f"The table '{path}' is not CSV: {error}.") from error
    if len(rows) > MAX_ROWS:
        raise EvenframeError(f"The table '{path}' has {len(rows)} rows: at most {MAX_ROWS}.")
    return rows


def _row(number: int, told: Mapping[str, str], path: Path) -> Row:
    for name, value in told.items():
        if len(value) > MAX_FIELD or (name in NEEDED and not value):
            problem = "is empty" if not value else f"has more than {MAX_FIELD} characters"
            raise EvenframeError(f"Line {number} of '{path.name}': {name} {problem}.")
    clip, mask = (path.parent / told[n] if told.get(n) else None for n in ("clip", "mask"))
    assert clip is not None
    asked = {name: told[name] for name in (TARGET, SOURCE, MULTIPLE) if told.get(name)}
    named = {
        "video": told.get("video") or clip.stem,
        "edit": told.get("edit") or told["target"],
        "group": told.get("group", ""),
    }
    return Row(
        number,
        clip,
        told["source"],
        told["target"],
        words=parse_phrases(told.get("words", "")),
        new_words=parse_phrases(told.get("new_words", "")),
        mask=mask,
        attribute=told.get("attribute", ""),
        kind=told.get("kind") or Row.kind,
        type=told.get("type") or Row.type,
        questions=asked if {TARGET, MULTIPLE} <= asked.keys() else None,
        more={name: value for name, value in told.items() if "." in name and value},
        **{name: _folder(value) for name, value in named.items()},
    )


def _folder(name: str) -> str:
    """What a folder can be called on every disk."""
    return NAME.sub("_", name).strip("._")[:MAX_NAME] or ("_" if name else "")
