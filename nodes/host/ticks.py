"""What the pack's own script in the browser is told of running work, beside ComfyUI's bar."""

# pyright: reportMissingImports=false

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from comfy_execution.utils import get_executing_context
from server import PromptServer

EVENT = "evenframe.progress"
PAUSE = 0.1
"""Seconds in which at most one event is sent: frames may be done faster than anyone reads."""


TOLD = "evenframe.told"


def tell(text: str) -> None:
    """Show a line on the running node, above how far it is."""
    _send(TOLD, {"text": text})


def _send(event: str, told: dict[str, Any]) -> None:
    context, server = get_executing_context(), getattr(PromptServer, "instance", None)
    if context is not None and server is not None:
        running = {"node": context.node_id, "prompt_id": context.prompt_id}
        running["workflow"] = _workflow(server, context.prompt_id)
        server.send_sync(event, running | told, server.client_id)


def _workflow(server: Any, prompt_id: str) -> str | None:
    """The id of the graph that was sent to run: another tab has nodes of the same numbers."""
    with suppress(AttributeError, LookupError, TypeError):  # a script sends none
        for _, running, _, extra, *_ in list(server.prompt_queue.currently_running.values()):
            if running == prompt_id:
                return str(extra["extra_pnginfo"]["workflow"]["id"])
    return None


@dataclass
class Ticker:
    """Tells how far one bar is: how many of the total are done, and which part of the next."""

    total: int
    label: str
    done: int = 0
    _sent: float = 0.0

    def tick(self, done: int) -> None:
        """So many are done. The first and the last are always told."""
        always = self.done == 0 or done >= self.total
        self.done = done
        self._send(0.0, "", always)

    def within(self, share: float, what: str) -> None:
        """So much of the next is done, and `what` of it begins now."""
        self._send(share, what, always=False)

    def _send(self, share: float, what: str, always: bool) -> None:
        now = time.monotonic()
        if not (always or now - self._sent >= PAUSE):
            return
        self._sent = now
        told = {"label": self.label, "done": self.done, "total": self.total}
        _send(EVENT, told | {"share": share, "what": what})
