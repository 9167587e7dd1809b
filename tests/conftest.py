"""Fixtures shared by the tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import ldm_layout as layout
import pytest
import torch
from comfyui_server import ROOT, ComfyServer, find_comfyui
from hypothesis import settings
from registry import missing, pack_and_unpack
from tiny_model import tiny
from torch import Tensor
from widget_page import served

from evenframe.nodes.host.templates import LINK, SOURCE
from evenframe.pipelines.models.model import Model

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BROWSER = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]

LONGEST = ("native_sampler", "native", "sampler_web", "comfyui_adopt", "miniature_training")
"""Files of tests that take minutes: begun first, or one process would wait for another."""

# The same examples on every machine and in every run: a failure can be repeated.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    order = {f"test_{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.fixture(scope="session")
def registry_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pack as ComfyUI's registry delivers it, or a skip that says what is missing."""
    if reason := missing("comfy"):
        pytest.skip(reason)
    return pack_and_unpack(tmp_path_factory.mktemp("registry"))


@pytest.fixture(scope="session")
def served_pack(request: pytest.FixtureRequest) -> Path:
    """The pack as the registry delivers it; the checkout where its tool is missing."""
    return ROOT if missing("comfy") else request.getfixturevalue("registry_pack")


@pytest.fixture(scope="session")
def comfyui(tmp_path_factory: pytest.TempPathFactory, served_pack: Path) -> Iterator[ComfyServer]:
    """A running ComfyUI server with this pack, or a skip that says why there is none."""
    path, reason = find_comfyui()
    if path is None:
        pytest.skip(reason)
    packs = {
        "evenframe": served_pack,
        "evenframe_cloned": _cloned(tmp_path_factory.mktemp("cloned")),
        "evenframe_probe": Path(__file__).parent / "probe_pack",
    }
    with ComfyServer(path, tmp_path_factory.mktemp("comfyui"), packs).running() as server:
        yield server


@contextmanager
def opened_browser() -> Iterator[Browser]:
    """A real browser; ImportError where there is no Playwright, or it finds none."""
    from playwright import sync_api as playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)  # None: playwright's own
    with playwright.sync_playwright() as tools:
        try:
            started = tools.chromium.launch(executable_path=found, args=BROWSER)
        except playwright.Error as error:
            raise ImportError(f"no browser: {str(error).splitlines()[0]}") from error
        try:
            yield started
        finally:
            started.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A real browser, or a skip that says why there is none."""
    with ExitStack() as stack:
        try:
            started = stack.enter_context(opened_browser())
        except ImportError as error:
            pytest.skip(str(error))
        yield started


@pytest.fixture
def alone(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """An empty page for one widget, see `widget_page`; its pictures lie in `tmp_path`.

    The test fails where the page reported an error.
    """
    errors: list[str] = []
    with served(tmp_path) as address:
        page = browser.new_page(viewport={"width": 660, "height": 760})
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        yield page
        page.unroute_all(behavior="ignoreErrors")
        page.close()
    assert errors == []


def _cloned(folder: Path) -> Path:
    """A pack without nodes whose templates lie as a clone of this repository has them."""
    (folder / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n")
    (folder / SOURCE).symlink_to(ROOT / SOURCE)
    (folder / LINK).symlink_to((ROOT / LINK).readlink())
    return folder


@pytest.fixture(scope="session")
def checkpoint(comfyui: ComfyServer) -> str:
    """A checkpoint that ComfyUI takes for Stable Diffusion 1.5: its UNet is narrow, the rest real.

    0.5 GB: ComfyUI fixes the sizes of the text encoder and the VAE.
    """
    shapes = layout.checkpoint_shapes(
        layout.unet_shapes((320, 320, 320, 320), layers=1),
        layout.vae_shapes(layout.SD_VAE_WIDTHS),
        layout.prefixed("cond_stage_model.transformer.", layout.clip_shapes(layers=12)),
    )
    path = comfyui.base / "models" / "checkpoints" / "narrow.safetensors"
    layout.save_checkpoint(path, shapes, torch.float16)
    return path.name


@pytest.fixture(scope="session")
def controlnet(comfyui: ComfyServer, checkpoint: str) -> str:
    """A random ControlNet for that checkpoint's UNet."""
    nodes = {"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": checkpoint}}}
    nodes["2"] = {"class_type": "ProbeControlNet", "inputs": {"model": ["1", 0]}}
    return comfyui.outputs(comfyui.run(nodes))["2"]["text"][0]


@pytest.fixture(scope="session")
def model() -> Model:
    """The Stable Diffusion 1.x layout, very small, with seeded random weights. Do not change it."""
    return tiny()


@pytest.fixture(scope="session")
def clip() -> Tensor:
    """Three frames of 128x64 pixels (twice as wide as high) in which a soft shape moves."""
    rows, columns = torch.linspace(0, 1, 64)[:, None], torch.linspace(0, 2, 128)
    frames = []
    for index in range(3):
        distance = (rows - 0.4) ** 2 + (columns - 0.5 - 0.3 * index) ** 2
        shape = torch.exp(-8 * distance)
        frames.append(torch.stack([shape, 0.5 * rows + 0.25 * columns, 1 - shape], dim=-1))
    return torch.stack(frames).clamp(0, 1)
