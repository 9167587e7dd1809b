"""Memory lent to the server: what stays of it when the server makes room."""

# pyright: reportMissingImports=false

from __future__ import annotations

import gc
import json
from typing import Any
from weakref import ref

import comfy.model_management as memory
import torch

from evenframe.nodes.host import host, io


class ProbeLoan(io.ComfyNode):
    """Lend, let the server make room, and count what is left."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(node_id="ProbeLoan", category="probe", is_output_node=True)

    @classmethod
    def execute(cls) -> io.NodeOutput:
        device = host.device()
        kept = [torch.zeros(2**20) for _ in range(3)]
        nbytes = sum(tensor.nbytes for tensor in kept)
        loan, seen = host.lend(kept, nbytes), [ref(tensor) for tensor in kept]
        kept.clear()
        told: dict[str, Any] = {
            "counted": [loaded.model_loaded_memory() == nbytes for loaded in stores()],
            "elsewhere": host.free_memory(torch.device("meta")),
        }
        # What a server with a GPU does whenever it loads; with a CPU alone it never does.
        memory.free_memory(0, device)
        told["no_need"] = len(loan)
        memory.free_memory(2**60, device)
        told["need"] = len(loan)
        told["held"] = sum(reference() is not None for reference in seen)
        told["counted_after"] = len(stores())
        loan = host.lend([torch.zeros(2)], 8)
        told["gives_all_where_less_is_wanted"] = stores()[0].model_unload(1), len(loan)
        memory.current_loaded_models.remove(stores()[0])
        loan = host.lend([torch.zeros(1)], 4)
        gc.disable()
        del loan
        told["dropped"] = len(stores())
        gc.enable()
        return io.NodeOutput(ui={"text": [json.dumps(told)]})


def stores() -> list[Any]:
    """What the server counts as loaded of what was lent."""
    loaded = memory.current_loaded_models
    return [m for m in loaded if type(m.model.model).__name__ == "AttentionStore"]
