"""Who hears a signal for a while."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def hearing(number: signal.Signals, handler: Any = None) -> Iterator[None]:
    """Within the block a signal goes to the handler, if one is given; after it, to who heard it
    before, whoever took it meanwhile. Only a main thread can say so; in others nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(number)
    if handler is not None:
        signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)
