"""The nodes of the pack: one file a stage of the menu, the host door inside `host`.

A node file says `from .host import host, io` and ends with `NODES`, the list of its node classes
in the order of the menu. Every file of this folder is loaded; one that fails to import fails the
pack, loudly, rather than drop its nodes.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from .host import ComfyExtension, io


def node_classes() -> list[type[io.ComfyNode]]:
    """Every node class of the pack, by file name, then in the order of the file's `NODES`."""
    names = sorted(module.name for module in iter_modules(__path__) if not module.ispkg)
    return [node for name in names for node in import_module(f".{name}", __name__).NODES]


class EvenframeExtension(ComfyExtension):
    """What `comfy_entrypoint` gives to ComfyUI."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return node_classes()
