"""The whole editor, of a real ComfyUI server, in a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comfyui_server import ComfyServer
    from playwright.sync_api import Browser, Page

# a workflow is active as soon as the page has brought back the graph that it had before; until
# then it would take the place of one that a test loads
READY = """() => window.LiteGraph?.registered_node_types?.EvenframeDemoClip
  && window.app?.extensionManager?.workflow?.activeWorkflow"""
VUE_NODES = "on => window.app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on)"
LOAD = "async graph => { await window.app.loadGraphData(graph) }"
RUN = """async () => {
  window.ended = null;
  for (const end of ["execution_success", "execution_error"])
    window.app.api.addEventListener(end, () => { window.ended = end; });
  await window.app.queuePrompt(0);
}"""
TEXTS = """() => window.app.graph.nodes.map(node =>
  node.widgets?.find(widget => widget.name === "evenframe_text")?.value ?? "")"""
SENT = "async () => JSON.stringify((await window.app.graphToPrompt()).output)"
SAVED = "() => JSON.stringify(window.app.graph.serialize())"


def ready(page: Page) -> None:
    """Wait until graphs can be loaded."""
    page.wait_for_function(READY)
    page.wait_for_timeout(2000)


@contextmanager
def editor(
    browser: Browser,
    comfyui: ComfyServer,
    on_console: Callable[[str], None] = lambda _: None,
    height: int = 900,
) -> Iterator[Page]:
    """The editor's page. on_console: told what it writes to the browser's console."""
    page = browser.new_page(viewport={"width": 1600, "height": height})
    page.on("console", lambda message: on_console(message.text))
    page.set_default_timeout(120_000)
    page.goto(f"http://127.0.0.1:{comfyui.port}/")
    ready(page)
    yield page
    page.close()
