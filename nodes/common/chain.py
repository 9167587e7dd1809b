"""What the nodes that add a control to a chain have in common."""

from __future__ import annotations

from typing import Any

from ..host import io
from . import sockets


def control_schema(inputs: list[io.Input], **texts: Any) -> io.Schema:
    """The schema of a node that adds a control to a chain. texts: its id, names and description."""
    chain = sockets.Controls.Input(
        "controls", optional=True, tooltip="Controls that act before this one."
    )
    return io.Schema(
        category=sockets.CATEGORY,
        inputs=[*inputs, chain],
        outputs=[sockets.Controls.Output(display_name="controls")],
        **texts,
    )
