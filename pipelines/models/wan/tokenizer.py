"""umT5's tokenizer out of a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..files.tokenizer_files import found, missing, read
from .text import MAX_TOKENS

FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
MAX_BYTES = 64 * 2**20
"""Of each file; the largest of umT5's has 17 MB."""


def tokenizer_files(folder: Path) -> list[Path]:
    """What there is of the files that umT5's tokenizer is made from."""
    return found(folder, FILES)


def read_tokenizer(folder: Path) -> Any:
    """A tokenizer that gives lists of ids with the end mark behind, of at most 512.

    Raises EvenframeError where a file is missing or damaged, with its name where one is to blame.
    """
    files = tokenizer_files(folder)
    if FILES[0] not in {file.name for file in files}:
        raise missing(folder, FILES[0])
    return read(folder, files, MAX_BYTES, _load, _require_t5)


def _load(folder: Path) -> Any:
    from transformers import T5Tokenizer

    return T5Tokenizer.from_pretrained(
        str(folder), local_files_only=True, model_max_length=MAX_TOKENS
    )


def _require_t5(tokenizer: Any) -> None:
    """Raise ValueError where it is none of T5's."""
    for text in ("a cat", "\u00ff\u6771\U0001f408 <3"):
        ids = tokenizer(text).input_ids
        if not all(type(number) is int and number >= 0 for number in ids) or len(ids) < 2:
            raise ValueError("it gives no token numbers")
        if ids[-1] != tokenizer.eos_token_id:
            raise ValueError("it does not put the end behind a prompt")
