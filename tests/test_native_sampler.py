"""Controls in ComfyUI's own samplers, in its own classes. Skipped, with the reason, without one."""

from __future__ import annotations

from pathlib import Path

import pytest
from comfyui_server import find_comfyui
from test_native import python

PATH, REASON = find_comfyui()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(PATH is None, reason=REASON)]


def test_what_a_process_of_its_own_tries_holds() -> None:
    """Neutral controls, the same edit as by the pack's loop, manners, tools and refusals."""
    done = python("-W", "ignore", str(Path(__file__).with_name("native_sampler_tools.py")))
    assert done.returncode == 0, done.stdout + done.stderr
