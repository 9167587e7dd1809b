"""What to do when memory runs out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

ATTENTION_ADVICE = (
    "set Attention Store to 'recompute', which keeps the least; then take fewer frames, a smaller "
    "max_side or a single key frame."
)
DECODER_ADVICE = "set slice_size of the decoder to 1; then take fewer or smaller frames."
SIGNS = ("out of memory", "can't allocate memory")
"""How torch's other errors say it: a GPU's driver, and the CPU."""


@contextmanager
def advice(text: str) -> Iterator[None]:
    """Say first what to do when memory runs out in the block.

    The error keeps its type: by that the host recognises it, and makes room.
    """
    try:
        yield
    except Exception as error:
        if not _ran_out(error):
            raise
        raise type(error)(f"Out of memory: {text}\n{error}") from error


def _ran_out(error: Exception) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in SIGNS)
