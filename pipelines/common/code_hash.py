"""A hash of this package's code, for the names of what it keeps from one run to the next."""

import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[2]
FOLDERS = ("pipelines", "nodes", "miniature")
ENDINGS = (".py", ".json", ".toml", ".txt", ".tflite")


@cache
def code_hash() -> str:
    """SHA-256 of the code that results depend on, read once for each process.

    It covers the modules of `pipelines/`, `nodes/` and `miniature/`, and the data that they compute
    with: presets, lists of words, configurations, the tokenizer's vocabulary, the network that
    finds people, the hashes of the miniature's weights. A version would not do: whoever changes a
    formula would be shown the result of the old one. Left out is what cannot change a result: the
    command line, tests, benchmarks, help pages.
    """
    return hash_folders(PACKAGE, FOLDERS)


def hash_folders(root: Path, folders: tuple[str, ...]) -> str:
    """SHA-256 over the names and bytes of what computes in some folders of `root`."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in ENDINGS and path.is_file():
                digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
