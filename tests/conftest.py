"""Fixtures shared by the tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from comfyui_server import ROOT, ComfyServer, find_comfyui


@pytest.fixture(scope="session")
def comfyui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    """A running ComfyUI server with this pack, or a skip that says why there is none."""
    path, reason = find_comfyui()
    if path is None:
        pytest.skip(reason)
    packs = {"evenframe": ROOT, "evenframe_probe": Path(__file__).parent / "probe_pack"}
    with ComfyServer(path, tmp_path_factory.mktemp("comfyui"), packs).running() as server:
        yield server
