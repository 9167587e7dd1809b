"""Evenframe: training-free, text-guided video editing.

What ComfyUI loads, and the Python package `evenframe`. Importing it is light: the nodes are only
imported when ComfyUI asks for them, the editor when somebody does.

    edited = evenframe.edit("clip.mp4", "a red circle", "a yellow circle", preset="style")
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import miniature
from .miniature import video
from .pipelines.models import families

if TYPE_CHECKING:
    from .api import Edited as Edited
    from .api import edit as edit
    from .nodes import EvenframeExtension

__version__ = "0.1.0"

WEB_DIRECTORY = "./web"

families.register(miniature.FAMILY)
families.register(video.FAMILY)


async def comfy_entrypoint() -> EvenframeExtension:
    """Give ComfyUI the nodes of this pack."""
    from .nodes import EvenframeExtension
    from .nodes.host.routes import register
    from .nodes.host.templates import mend_link
    from .pipelines.common.code_hash import code_hash

    mend_link(Path(__file__).parent)
    register()
    code_hash()  # now: an update that waits for a restart must not pass for the code that runs
    return EvenframeExtension()


def __getattr__(name: str) -> Any:
    if name in ("edit", "Edited"):
        from . import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), "edit", "Edited"})
