"""The widgets in a real browser: the keys `widgets.*`.

How long a frame of two clips takes to be seen, what fifty results or runs leave in memory (bytes of
the heap after, for one before), how long a cancelled run goes on after its pass. Takes Playwright
and a Chromium, and for the last two a ComfyUI, as the tests do; what is missing is said.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from . import main

TARGETS = {
    "widgets.scrub_ms": 33.0,
    "widgets.heap_results": 1.1,
    "widgets.heap_runs": 1.1,
    "widgets.cancel_s": 1.0,
}
"""The most that a figure may be."""
TESTS = Path(__file__).parents[1] / "tests"
COUNT, SIDE, RUNS = 120, 512, 50

SCRUB = """async count => { const times = [];
  for (let at = 0; at < count; at++) {
    const start = performance.now();
    await widget.go((at * 37 + 1) % count);
    times.push(performance.now() - start);
  }
  return times; }"""
REPLACE = """async times => { const { Frames } = await import("/js/lib/frames.js");
  const make = name => new Frames({ url: at => `/${name}/${String(at).padStart(5, "0")}.jpg`,
    count: 120, width: 512, height: 512, rate: 8 });
  for (let at = 0; at < times; at++) {
    await widget.show([{ number: at, strips: [make("a"), make("b")] }]);
    await widget.go((7 * at) % 120);
  } }"""
RUN = """async frames => { const { app } = window;
  app.graph.getNodeById(1).widgets[0].value = frames;
  const ended = new Promise(done =>
    app.api.addEventListener("execution_success", done, { once: true }));
  await app.queuePrompt(0);
  await ended; }"""


def run() -> dict[str, float]:
    """Measure."""
    sys.path.insert(0, str(TESTS))
    try:
        from conftest import opened_browser
    except ImportError as error:
        print(f"widgets: not measured, {error}")
        return {}
    with opened_browser() as browser:
        return _alone(browser) | _in_comfyui(browser)


def _heap(page: Any) -> int:
    session = page.context.new_cdp_session(page)
    for _ in range(3):
        session.send("HeapProfiler.collectGarbage")
    used = session.send("Runtime.getHeapUsage")["usedSize"]
    session.detach()
    return used


def _alone(browser: Any) -> dict[str, float]:
    """The player on a page of its own, with two clips of noise."""
    from widget_page import mounted, served, strip

    folder = Path(tempfile.mkdtemp())
    noise = torch.rand(COUNT, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    large = torch.nn.functional.interpolate(noise.permute(0, 3, 1, 2), SIDE, mode="bilinear")
    clip = large.permute(0, 2, 3, 1)
    with served(folder) as address:
        page = browser.new_page(viewport={"width": 660, "height": 760})
        page.goto(address)
        strips = [strip(folder, name, frames) for name, frames in (("a", clip), ("b", 1 - clip))]
        mounted(page, "player/player", "Player", {}, *strips)
        times = page.evaluate(SCRUB, COUNT)
        page.evaluate(REPLACE, 10)
        before = _heap(page)
        page.evaluate(REPLACE, RUNS)
        return {
            "widgets.scrub_ms": statistics.median(times),
            "widgets.heap_results": _heap(page) / before,
        }


@contextmanager
def _server() -> Iterator[Any]:
    from comfyui_server import ROOT, ComfyServer, find_comfyui

    path, reason = find_comfyui()
    if path is None:
        print(f"widgets: not in ComfyUI, {reason}")
        yield None
        return
    with ComfyServer(path, Path(tempfile.mkdtemp()), {"evenframe": ROOT}).running() as server:
        yield server


def _in_comfyui(browser: Any) -> dict[str, float]:
    """Runs of a graph with the player open, in the editor."""
    from test_player_web import GRAPH
    from test_web import LOAD, READY

    with _server() as server:
        if server is None:
            return {}
        page = browser.new_page(viewport={"width": 1600, "height": 900})
        page.set_default_timeout(120_000)
        page.goto(f"http://127.0.0.1:{server.port}/")
        page.wait_for_function(READY)
        page.wait_for_timeout(3000)
        page.evaluate(LOAD, GRAPH)
        for frames in range(10):
            page.evaluate(RUN, 2 + frames % 7)
        before = _heap(page)
        for frames in range(RUNS):
            page.evaluate(RUN, 2 + frames % 7)
        page.wait_for_timeout(1000)
        heap = _heap(page) / before
        return {"widgets.heap_runs": heap, "widgets.cancel_s": _cancelled(server)}


def _cancelled(server: Any) -> float:
    """Seconds from a cancel to its end, over what a pass of the built-in model takes."""
    from whole_edit import edit_workflow

    graph = edit_workflow(steps=300)
    graph["model"]["inputs"]["model"] = "miniature (built in)"
    graph["clip"]["inputs"]["max_frames"] = 8
    run = server.queue(graph)
    while len(run.of("evenframe.progress")) < 12:
        time.sleep(0.01)
    first, last = (run.of("evenframe.progress")[at]["done"] for at in (1, -1))
    started = time.monotonic()
    while run.of("evenframe.progress")[-1]["done"] < last + 4:
        time.sleep(0.001)
    step = (time.monotonic() - started) / 4
    server.interrupt()
    asked = time.monotonic()
    assert run.ended.wait(60) and last > first
    return max(0.0, time.monotonic() - asked - step)


if __name__ == "__main__":
    main(__file__)
