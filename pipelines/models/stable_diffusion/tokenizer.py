"""CLIP's tokenizer out of a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..files.tokenizer_files import found, missing, read

FILES = (
    "vocab.json",
    "merges.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
LENGTH = 77
MAX_BYTES = 16 * 2**20
"""Of each file; the largest of CLIP's has 4 MB."""


def tokenizer_files(folder: Path) -> list[Path]:
    """What there is of the files that CLIP's tokenizer is made from."""
    return found(folder, FILES)


def read_tokenizer(folder: Path) -> Any:
    """A tokenizer that gives lists of at most 77 ids, from BOS to EOS.

    Raises EvenframeError where a file is missing or damaged, with its name where one is to blame.
    """
    files = tokenizer_files(folder)
    if not {"vocab.json", "tokenizer.json"} & {file.name for file in files}:
        raise missing(folder, "vocab.json")
    return read(folder, files, MAX_BYTES, _load, _require_clip)


def _load(folder: Path) -> Any:
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(
        str(folder), local_files_only=True, model_max_length=LENGTH
    )


def _require_clip(tokenizer: Any) -> None:
    """Raise ValueError where it is none of CLIP's."""
    for text in ("a cat", "\u00ff\u6771\U0001f408 <3"):
        ids = tokenizer(text).input_ids
        padded = tokenizer(text, padding="max_length", max_length=LENGTH).input_ids
        if not all(type(number) is int and number >= 0 for number in (*ids, *padded)):
            raise ValueError("it gives no token numbers")
        if len(padded) != LENGTH or len(ids) < 3:
            raise ValueError(f"it gives {len(padded)} tokens instead of {LENGTH}")
        if (ids[0], ids[-1]) != (tokenizer.bos_token_id, tokenizer.eos_token_id):
            raise ValueError("it does not put the start and the end around a prompt")
