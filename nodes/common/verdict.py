"""What a node's `validate_inputs` answers."""

from __future__ import annotations

from collections.abc import Callable

from ...pipelines.common.errors import EvenframeError


def verdict(check: Callable[[], object]) -> bool | str:
    """True, or what the check's EvenframeError says.

    A linked input is None before the run, and so not yet known.
    """
    try:
        check()
    except EvenframeError as error:
        return str(error)
    return True
