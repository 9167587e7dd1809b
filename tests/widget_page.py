"""A page on which one widget is mounted alone, without ComfyUI, with the pictures of clips."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from comfyui_server import ROOT

from evenframe.pipelines.video.filmstrip import strip_of_frames

if TYPE_CHECKING:
    from playwright.sync_api import Page

PAGE = """<!doctype html><html lang="en"><head><title>One widget</title></head>
<body style="margin: 0; background: #181818"><main style="width: 640px; height: 720px"></main>
<script>window.ready = true;</script></body></html>"""

MOUNT = """async ([module, name, options, strips]) => {
  const { Frames } = await import("/js/lib/frames.js");
  const frames = strips.map(strip => new Frames({
    url: index => `/${strip.folder}/${String(index).padStart(5, "0")}.jpg`,
    count: strip.frames, width: strip.width, height: strip.height, rate: strip.frame_rate }));
  const made = await import(`/js/${module}.js`);
  window.heard = [];
  const widget = new made[name]({ ...options, frames: frames[0], strips: frames,
    onChange: value => window.heard.push(value) });
  document.querySelector("main").replaceChildren(widget.element);
  window.widget = widget;
}"""
"""Mounts a widget: every one takes one object of options, and has an `element`."""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves the modules below /js, and what the test has put into its folder."""

    def __init__(self, *given: Any, folder: Path) -> None:
        self.folder = folder
        super().__init__(*given, directory=str(folder))

    def translate_path(self, path: str) -> str:
        if path.startswith("/js/"):
            return str(ROOT / "web" / path.split("?")[0].lstrip("/"))
        return super().translate_path(path)

    def log_message(self, *given: Any) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a server for one page in this folder."""
    (folder / "index.html").write_text(PAGE, encoding="utf-8")
    handler = functools.partial(Quiet, folder=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()


def strip(folder: Path, name: str, frames: torch.Tensor, rate: float = 8.0) -> dict[str, Any]:
    """A clip's pictures in a folder of the page, as `MOUNT` takes it."""
    (folder / name).mkdir()
    return {**strip_of_frames(frames, folder / name, rate, lambda: None).told(), "folder": name}


def numbered(count: int, height: int = 48, width: int = 64) -> torch.Tensor:
    """Frames that can be told apart: each is grey, and lighter than the one before."""
    levels = torch.linspace(0.1, 0.9, count)
    return levels[:, None, None, None].expand(count, height, width, 3).clone()


def mounted(page: Page, module: str, name: str, options: Any, *strips: Any) -> None:
    """Put a widget on the page, as `window.widget`; what it tells goes to `window.heard`."""
    page.evaluate(MOUNT, [module, name, options, list(strips)])
