"""A tokenizer out of a model folder, from files of which each was looked at before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ...common import untrusted_json
from ...common.errors import EvenframeError, in_short
from .folder_files import AGAIN, part_name, read_bounded, require_file, unreadable


def found(folder: Path, names: Iterable[str]) -> list[Path]:
    """What there is of the files that a tokenizer is made from."""
    return [folder / name for name in names if (folder / name).exists()]


def read(
    folder: Path,
    files: Iterable[Path],
    limit: int,
    load: Callable[[Path], Any],
    require: Callable[[Any], None],
) -> Any:
    """What `load` makes of a folder, which `require` then raises for where it cannot be used.

    limit: bytes of each file. Raises EvenframeError where a file is damaged, with its name where
    one is to blame.
    """
    for file in files:
        _require_sound(file, limit)
    try:
        tokenizer = load(folder)
        require(tokenizer)
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # the library raises anything, a panic of Rust among it
        raise EvenframeError(
            f"The tokenizer of '{folder.parent.name}' cannot be used ({in_short(error)}): "
            "download the files in 'tokenizer' again."
        ) from error
    return tokenizer


def missing(folder: Path, name: str) -> EvenframeError:
    """What to say of a folder without a tokenizer, of whose files the most important has a name."""
    return EvenframeError(
        f"The folder '{folder.parent.name}' has no tokenizer (tokenizer/{name}): download the "
        "complete model."
    )


def _require_sound(file: Path, limit: int) -> None:
    name = part_name(file)
    require_file(file, name)
    try:
        content = read_bounded(file, limit)
        parsed = untrusted_json.parse(content.decode()) if file.suffix == ".json" else {}
        if file.suffix == ".txt":
            content.decode()
    except (OSError, ValueError) as error:
        raise unreadable(name, error) from error
    if not isinstance(parsed, dict):
        raise EvenframeError(f"'{name}' is not a JSON object: {AGAIN}.")
