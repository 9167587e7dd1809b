"""How much memory is free, for choices that depend on it."""

from collections.abc import Callable

import torch

FreeMemory = Callable[[torch.device], int]
"""Bytes on a device that may still be filled, as a host counts them."""


def in_bytes(count: float) -> str:
    """So many bytes, for people."""
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def free_memory(device: torch.device) -> int:
    """Free bytes on a device; for the CPU, what the system can still give."""
    if device.type == "cuda":
        # What torch has taken from the device and does not use is free as well.
        pooled = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + pooled
    import psutil

    return psutil.virtual_memory().available
