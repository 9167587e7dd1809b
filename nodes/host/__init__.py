"""The one door to the host: `from .host import host, io`.

Inside a ComfyUI server, `io` is ComfyUI's node schema and `host` its services; elsewhere both are
this pack's own, with the same names. Nodes work with either and never ask which.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .door import Host, ModelHandle, ModelKind, Progress, SavedFile

# A server has its node API loaded before it loads any pack. That ComfyUI could be imported says
# less: someone may run the command line from inside its folder.
if TYPE_CHECKING or "comfy_api.latest" not in sys.modules:
    from . import schema as io
    from .schema import ComfyExtension
    from .standalone import StandaloneHost

    host: Host = StandaloneHost()
else:
    from comfy_api.latest import ComfyExtension, io

    from .comfy import ComfyHost

    host: Host = ComfyHost()

__all__ = [
    "ComfyExtension",
    "Host",
    "ModelHandle",
    "ModelKind",
    "Progress",
    "SavedFile",
    "host",
    "io",
]
