"""What identifies a model's weights: hashes that are quick to take and differ when weights do.

A file up to `WHOLE` bytes is hashed whole. Of a larger one these are hashed: its size, its first
MiB (a safetensors header gives every tensor's name, type and shape), its last block, and 256 blocks
of 64 KiB evenly between: 17 MiB read, whatever the size. Fine-tuning changes every block.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

WHOLE = 32 * 2**20
HEAD = 2**20
BLOCK = 64 * 2**10
BLOCKS = 256


def of_files(paths: Iterable[Path], *facts: str) -> str:
    """SHA-256 in hexadecimal over files, in the order given, and facts that are not in them."""
    digest = hashlib.sha256()
    for path in paths:
        _hash_file(digest, path)
    return _close(digest, facts)


def _hash_file(digest: hashlib._Hash, path: Path) -> None:
    size = path.stat().st_size
    digest.update(f"file {size}\n".encode())
    with path.open("rb") as file:
        if size <= WHOLE:
            while chunk := file.read(HEAD):
                digest.update(chunk)
            return
        digest.update(file.read(HEAD))
        for index in range(1, BLOCKS + 1):
            file.seek(HEAD + (size - HEAD - BLOCK) * index // BLOCKS)
            digest.update(file.read(BLOCK))


def _close(digest: hashlib._Hash, facts: Iterable[str]) -> str:
    for fact in facts:
        digest.update(f"fact {fact}\n".encode())
    return digest.hexdigest()
