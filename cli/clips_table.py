"""The table of a comparison, read as those of a batch are: a row for each edit of a clip.

Columns: `clip` (a video, beside the table or by its path), `source` and `target` (prompts); and
where a method or a measure needs them `words` (of the source prompt, what is edited), `new_words`
(of the target prompt), `mask` (a file, see `pipelines/measure/reading.py`), `attribute` (FAME's),
`kind` (of edit, see `pipelines/comparing/methods.py`), `video` and `edit` (names of the result's
folders), `group` (a folder above them), `type` (FiVE's number of the kind) and FiVE's three
questions. A column NODE.input changes that input of a recipe, and #anything is a note.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..batch.table import NOTE, read
from ..pipelines.common.errors import EvenframeError, short_repr
from ..pipelines.comparing.row import Row
from ..pipelines.measure.questions import MULTIPLE, SOURCE, TARGET
from ..pipelines.text.prompt import parse_phrases

NEEDED = ("clip", "source", "target")
KNOWN = (
    *NEEDED,
    *("words", "new_words", "mask", "attribute", "kind", "video", "edit", "group", "type"),
    *(TARGET, SOURCE, MULTIPLE),
)
MAX_ROWS, MAX_NAME = 10_000, 80
NAME = re.compile(r"[^A-Za-z0-9_.-]+")


def read_table(path: Path) -> list[Row]:
    """The rows of a table. Raises EvenframeError, before any work, for columns that are missing,
    rows without a value, names given twice, and for every clip or mask that is not there."""
    table = read(path)
    _require_columns(table.columns, path)
    if len(table.rows) > MAX_ROWS:
        raise EvenframeError(f"Table '{path}' has {len(table.rows)} rows: at most {MAX_ROWS}.")
    rows = [_row(each.line, each.cells, path) for each in table.rows]
    lines: dict[str, int] = {}
    for row in rows:
        first = lines.setdefault(row.key, row.number)
        if first != row.number:
            raise EvenframeError(
                f"Line {row.number} of '{path.name}' has the same video and edit as line {first}, "
                f"'{row.key}': name them apart in the column edit."
            )
    _require_one_clip(rows, path)
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


def _require_one_clip(rows: Sequence[Row], path: Path) -> None:
    """A video's source and mask lie in one folder, so its name stands for one of each."""
    clips: dict[str, Row] = {}
    for row in rows:
        first = clips.setdefault(row.video, row)
        if first.clip != row.clip:
            raise EvenframeError(
                f"Lines {first.number} and {row.number} of '{path.name}' call two clips "
                f"'{row.video}': name them apart in the column video."
            )
        if first.mask != row.mask:
            raise EvenframeError(
                f"Lines {first.number} and {row.number} of '{path.name}' have two masks of "
                f"'{row.video}': name them apart in the column video."
            )


def _require_columns(columns: Sequence[str], path: Path) -> None:
    if lacking := [name for name in NEEDED if name not in columns]:
        raise EvenframeError(
            f"The table '{path}' has no column {', '.join(lacking)}: its first line names the "
            f"columns, {', '.join(NEEDED)} and others of {', '.join(KNOWN[3:])}."
        )
    odd = [name for name in columns if name not in KNOWN and "." not in name and name[0] != NOTE]
    if odd:
        raise EvenframeError(
            f"The table '{path}' has a column {short_repr(odd[0])}, which means nothing: there are "
            f"{', '.join(KNOWN)}, NODE.input for recipes, and #anything for a note."
        )


def _row(number: int, told: Mapping[str, str], path: Path) -> Row:
    for name in NEEDED:
        if name not in told:
            raise EvenframeError(f"Line {number} of '{path.name}': {name} is empty.")
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
