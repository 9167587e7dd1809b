"""Hashes of the shipped weights: written by the export, checked by whoever loads them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

HASHES = "SHA256.json"


def hash_file(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_folder(folder: Path) -> dict[str, str]:
    """Hash of every weights file by its path in the folder; a checkout may change text files."""
    weights = sorted(folder.rglob("*.safetensors"))
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in weights}


def check_weights(folder: Path) -> None:
    """Compare a weights folder with its list of hashes.

    Raises EvenframeError where the list or a file is missing or altered, with both hashes.
    """
    from ..pipelines.common.errors import EvenframeError

    listing = folder / HASHES
    if not listing.is_file():
        raise EvenframeError(
            f"The built-in weights are missing: no {HASHES} in {folder}; install the package again."
        )
    for name, expected in json.loads(listing.read_text(encoding="utf-8")).items():
        path = folder / name
        if not path.is_file():
            raise EvenframeError(
                f"The built-in weights miss {name} (SHA-256 {expected}); install the package again."
            )
        found = hash_file(path)
        if found != expected:
            raise EvenframeError(
                f"The built-in weights were altered: {name} has SHA-256 {found}, expected "
                f"{expected}; install the package again."
            )
