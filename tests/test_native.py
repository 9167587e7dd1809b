"""Controls in ComfyUI's own models, in its own classes. Skipped, with the reason, without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from comfyui_server import find_comfyui

from evenframe.benchmarks import native

PATH, REASON = find_comfyui()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(PATH is None, reason=REASON)]


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A process of its own: ComfyUI reads the command line when it is imported."""
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"COMFYUI_PATH": str(PATH)},
        timeout=600,
    )


def test_every_figure_is_met_but_the_time(tmp_path: Path) -> None:
    figures = tmp_path / "native.json"
    done = python("-m", "evenframe", "bench", "native", "--json", str(figures))
    assert done.returncode == 0, done.stderr
    told = json.loads(figures.read_text())
    assert told.keys() == native.TARGETS.keys()
    limits = native.TARGETS | {"native.plain_ratio": 2.0}  # a machine may be busy
    assert {name: value for name, value in told.items() if value > limits[name]} == {}


SCRIPTS = ("manners", "prompts", "table", "windows", "experts")


@pytest.mark.parametrize("script", [f"native_{name}.py" for name in SCRIPTS])
def test_what_a_process_of_its_own_tries_holds(script: str) -> None:
    """What the host holds is left as it was; prompts may carry more than words."""
    done = python(str(Path(__file__).with_name(script)))
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_stands_on_a_model_is_told_apart_or_refused_by_name() -> None:
    done = python(str(Path(__file__).with_name("native_standing.py")))
    assert done.returncode == 0, done.stdout + done.stderr
