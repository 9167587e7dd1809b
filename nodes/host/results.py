"""Costly results on disk, so that a workflow that is run again does not compute them again.

Latents are kept: they are what the long nodes give, and small. Prompts and models are quick to make
again, inversions have a cache of their own, frames and files are large.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...pipelines.common import tensor_file

if TYPE_CHECKING:
    from . import schema as io

FORMAT = "evenframe-result-1"


class ResultCache:
    """Latents by node key.

    folder: where; limit_bytes: of all together, those used longest ago go first.
    made_by: the code and the libraries that compute them; results of others are not found.
    """

    def __init__(self, folder: Path, limit_bytes: int, made_by: str) -> None:
        self._folder, self._limit, self._made_by = folder, limit_bytes, made_by

    def keeps(self, schema: io.Schema) -> bool:
        """Whether results of such a node are kept: those that give latents and nothing else."""
        types = [output.io_type for output in schema.outputs]
        return types == ["LATENT"] and not schema.is_output_node

    def get(self, key: str) -> dict[str, Any] | None:
        """The LATENT value of a node's key, or None; a damaged or altered file counts as absent."""
        path = self._path(key)
        try:
            name, value = tensor_file.read(path, FORMAT)
        except (FileNotFoundError, ValueError):
            return None
        if name != path.stem or value.keys() != {"samples"}:
            return None
        tensor_file.touch(path)
        return value

    def put(self, key: str, value: dict[str, Any]) -> None:
        """Keep a LATENT value. EvenframeError where it cannot be written."""
        if set(value) == {"samples"}:
            path = self._path(key)
            tensor_file.write(path, FORMAT, path.stem, value, "result")
            tensor_file.drop_oldest(self._folder, self._limit, keep=path)

    def _path(self, key: str) -> Path:
        name = hashlib.sha256(f"{key} {self._made_by}".encode()).hexdigest()
        return self._folder / f"{name}{tensor_file.SUFFIX}"
