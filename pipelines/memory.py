"""How much memory is free, for choices that depend on it."""

from collections.abc import Callable

import torch

FreeMemory = Callable[[torch.device], int]
"""Free bytes of a device."""


def free_memory(device: torch.device) -> int:
    """Free bytes on a device; for the CPU, what the system can still give."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    import psutil

    return psutil.virtual_memory().available
