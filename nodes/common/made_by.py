"""What computes here, and the content of the files that a workflow names: for batches, whose rows
are done once for each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from ...pipelines.common import file_hash
from ...pipelines.common.code_hash import code_hash
from ...pipelines.common.json_text import read_json, read_list, read_object, read_text
from ...versions import versions
from ..host import host
from .files import stamp, stamps

EXAMPLE = '{"names": ["clip.mp4", "sd15.safetensors"]}'
MOST_NAMES, LONGEST_NAME = 1000, 255


def asked_names(text: str) -> list[str]:
    """The names in a question in JSON; EvenframeError for what is none."""
    value = read_object(read_json(text, "names", EXAMPLE), "It", {"names"}, set(), EXAMPLE)
    names = value["names"]
    return [read_text(name, "A name") for name in read_list(names, "names", "names", 1, MOST_NAMES)]


def facts(names: Iterable[str]) -> dict[str, Any]:
    """Code, versions, device and threads, and SHA-256 by name of the weights and inputs that are
    there. A name that names no file is left out."""
    hashes = {name: content_hash(name) for name in names}
    return {
        "code": code_hash(),
        "versions": versions(),
        "device": str(host.device()),
        "threads": torch.get_num_threads(),
        "files": {name: found for name, found in hashes.items() if found},
    }


def content_hash(name: str) -> str | None:
    """SHA-256 of what a text of a workflow names, a file or a folder; None where it names none."""
    path = host.named_file(name) if 0 < len(name) <= LONGEST_NAME else None
    if path is None:
        return None
    if path.is_file():
        return file_hash.content_hash(*stamp(path))
    digest = hashlib.sha256()
    for part in stamps(path):
        digest.update(
            f"{Path(part[0]).relative_to(path).as_posix()}\0{file_hash.content_hash(*part)}\n".encode()
        )
    return digest.hexdigest()
