"""What benches keep of each clip, in a folder: a run that was stopped goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from ..pipelines.common import whole_file
from ..pipelines.common.code_hash import PACKAGE, code_hash, hash_folders

Told = dict[str, Any]
"""What is measured of a clip, of what JSON has."""


@cache
def bench_hash() -> str:
    """Of the benches, which edit and judge, too."""
    return hash_folders(PACKAGE, (Path(__file__).parent.name,))


def kept(folder: Path | None, name: str, facts: object, make: Callable[[], Told]) -> Told:
    """What `make` tells: from the folder, where this code has kept it before, of the same facts.

    folder: None keeps nothing. name: of the bench and the clip. facts: all that the outcome depends
    on but the code; their `repr` is what counts.
    """
    if folder is None:
        return make()
    path, made_by = folder / f"{name}.json", f"{code_hash()} {bench_hash()} {facts!r}"
    if path.is_file():
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["made_by"] == made_by:
            return stored["told"]
    told = make()
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"made_by": made_by, "told": told}, indent=1) + "\n"
    whole_file.replace(path, lambda at: at.write_text(text, encoding="utf-8"))
    return told
