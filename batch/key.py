"""What a row's result depends on, as one name: rows of equal keys are one work."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

FORMAT = "evenframe-batch-1"
"""Of keys, records and folders: another format is another batch."""


def digest(value: Any) -> str:
    """SHA-256 of a JSON value, whatever the order of its names."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def row_key(
    row: Mapping[str, str], files: Mapping[str, str], workflow: str, made_by: Mapping[str, Any]
) -> str:
    """SHA-256 of all that a result is made of.

    row: texts by `node.input`. files: content by name, of the clip and the weights that the row and
    the workflow name. workflow: `digest` of it. made_by: the code, and the libraries' versions.
    Threads and devices are in the record: they change a result's last bits, and not what it is.
    """
    return digest([FORMAT, dict(row), dict(files), workflow, dict(made_by)])
