"""The viewer and the fairness panels in the editor: what they show and write is the graph's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from comfyui_server import ROOT, ComfyServer
from editor_page import LOAD, READY, RUN, SENT, VUE_NODES, editor

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

VIEWER = "window.app.graph.nodes.find(node => node.type === 'EvenframeAttentionViewer')"
PIXELS = """async () => {
  const canvas = document.querySelector(".evenframe .stage canvas");
  const { width, height } = canvas ?? {};
  if (!width) return 0;
  const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  let lit = 0;
  for (let at = 0; at < data.length; at += 4) if (data[at + 3] === 255) lit++;
  return lit / (width * height); }"""


@pytest.fixture(scope="module")
def page(browser: Browser, comfyui: ComfyServer) -> Iterator[Page]:
    with editor(browser, comfyui, height=1000) as page:
        page.keyboard.press("Escape")  # the templates
        yield page


def recipe() -> dict[str, Any]:
    """The viewer alone, behind a short inversion, and where the page shows it."""
    path = ROOT / "examples_workflows" / "FateZero region from words - Evenframe video edit.json"
    graph = json.loads(path.read_text(encoding="utf-8"))
    kept = {"EvenframeLoadModel", "EvenframeLoadVideo", "EvenframePrompt", "EvenframeInvert"}
    kept.add("EvenframeAttentionViewer")
    graph["nodes"] = [node for node in graph["nodes"] if node["type"] in kept]
    there = {node["id"] for node in graph["nodes"]}
    graph["links"] = [link for link in graph["links"] if {link[1], link[3]} <= there]
    links = {link[0] for link in graph["links"]}
    for node in graph["nodes"]:
        for output in node["outputs"]:
            output["links"] = [link for link in output.get("links") or () if link in links]
        if node["type"] == "EvenframeInvert":
            node["widgets_values"][0] = 4
        if node["type"] == "EvenframeAttentionViewer":
            node["pos"] = [0, 0]
    graph["extra"] = {"ds": {"scale": 1, "offset": [500, 60]}}
    return graph


@pytest.mark.parametrize("nodes_2", [False, True], ids=["canvas", "nodes 2.0"])
def test_a_run_fills_the_viewer(page: Page, comfyui: ComfyServer, nodes_2: bool):
    page.evaluate(VUE_NODES, nodes_2)
    comfyui.post("/free", {"free_memory": True})
    page.evaluate(LOAD, recipe())
    page.wait_for_timeout(1000)
    assert page.locator(".evenframe .words").count() == 0, "nothing grows before a run"
    page.evaluate(RUN)
    page.wait_for_function("() => window.ended")
    assert page.evaluate("() => window.ended") == "execution_success"
    page.wait_for_function(f"() => ({PIXELS})().then(lit => lit > 0.2)")
    chips = page.locator(".evenframe .words button")
    words = "a red circle left of a blue square on a gray background"
    assert chips.all_inner_texts()[:12] == words.split()
    drag_threshold(page)
    region_is_added_and_undone(page)
    page.wait_for_timeout(2000)
    page.reload()
    page.wait_for_function(READY)
    page.wait_for_function(f"() => ({PIXELS})().then(lit => lit > 0.2)")
    told = "[...document.querySelectorAll('.evenframe .words button')].map(c => c.textContent)"
    page.wait_for_function(f"words => {told}.slice(0, 12).join(' ') === words", arg=words)


def drag_threshold(page: Page) -> None:
    """What the slider says is the node's input, once it is let go."""
    page.locator('.evenframe input[aria-label="Threshold"]').focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(300)
    sent = json.loads(page.evaluate(SENT)).values()
    [viewer] = [node for node in sent if node["class_type"] == "EvenframeAttentionViewer"]
    shown = page.locator('.evenframe input[aria-label="Threshold"]').input_value()
    assert viewer["inputs"]["threshold"] == pytest.approx(float(shown))


def region_is_added_and_undone(page: Page) -> None:
    drawn = "() => window.app.graph.nodes.filter(node => node.type === 'EvenframeDrawRegions')"
    page.locator(".evenframe .words button").nth(1).click()
    page.wait_for_timeout(300)
    page.get_by_role("button", name="Mask to region").click()
    page.wait_for_function(f"() => ({drawn})().length === 1")
    sent = json.loads(page.evaluate(SENT)).values()
    [made] = [node for node in sent if node["class_type"] == "EvenframeDrawRegions"]
    [viewer] = [node for node in sent if node["class_type"] == "EvenframeAttentionViewer"]
    assert made["inputs"]["frames"] == viewer["inputs"]["frames"]
    assert "red" in [region["name"] for region in json.loads(made["inputs"]["text"])["regions"]]
    page.wait_for_timeout(3000)
    page.keyboard.press("Control+z")
    page.wait_for_function(f"() => ({drawn})().length === 0")
    # Undo has made the node anew: what is on the page is its own.
    place = f"{VIEWER}?.widgets.find(w => w.name === 'evenframe_attention')?.element"
    page.wait_for_function(f"() => {place}?.contains(document.querySelector('.evenframe .words'))")
    page.wait_for_function(f"() => ({PIXELS})().then(lit => lit > 0.2)")


FAIR = {
    "nodes": [
        {
            "id": at,
            "type": kind,
            "pos": [400 * at - 300, 60],
            "size": [300, 420],
            "inputs": [],
            "outputs": [],
            "widgets_values": values,
        }
        for at, kind, values in (
            (1, "EvenframeFairnessTargets", ["female: 0.5,\nmale: 0.5", 10, 0, "increment", 0]),
            (2, "EvenframeFairnessPrompt", ["none", "elderly", "", 0.5, "hard", "first"]),
        )
    ],
    "links": [],
    "version": 0.4,
    "extra": {"ds": {"scale": 1, "offset": [0, 0]}},
}
VALUE = "([id, name]) => app.graph.getNodeById(id).widgets.find(w => w.name === name).value"
TYPE = """([id, name, value]) => {
  const widget = app.graph.getNodeById(id).widgets.find(w => w.name === name);
  widget.value = value; widget.callback?.(value); }"""


@pytest.mark.parametrize("nodes_2", [False, True], ids=["canvas", "nodes 2.0"])
def test_bars_read_and_write_the_inputs(page: Page, nodes_2: bool):
    page.evaluate(VUE_NODES, nodes_2)
    page.evaluate(LOAD, FAIR)
    page.wait_for_timeout(1500)
    heights = page.evaluate("() => app.graph.nodes.map(node => node.size[1])")
    assert heights == [420, 420], "nothing grows on load"
    texts = "() => [...document.querySelectorAll('.shares .part')].map(part => part.textContent)"
    assert page.evaluate(texts) == ["female 50 %", "male 50 %", "as written 50 %", "elderly 50 %"]
    first, second = page.locator(".shares [role=slider]").all()
    bar = page.locator(".shares").first.bounding_box()
    assert bar
    first.hover()
    page.mouse.down()
    for share in (0.6, 0.8, 0.7):
        page.mouse.move(bar["x"] + share * bar["width"], bar["y"] + 16)
    assert page.evaluate(VALUE, [1, "shares"]) == "female: 0.5,\nmale: 0.5", "written at the end"
    page.mouse.up()
    page.wait_for_timeout(300)
    assert page.evaluate(VALUE, [1, "shares"]) == "female: 0.7,\nmale: 0.3"
    assert "female: 0.7,\nmale: 0.3" in [
        area.input_value() for area in page.locator("textarea").all()
    ]
    page.keyboard.press("Control+z")
    page.wait_for_function(f"() => ({texts})()[0] === 'female 50 %'")
    assert page.evaluate(VALUE, [1, "shares"]) == "female: 0.5,\nmale: 0.5"
    second.focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(300)
    assert page.evaluate(VALUE, [2, "strength"]) == pytest.approx(0.51)
    for text in ("old: 1, young: 3", "old: much"):
        page.evaluate(TYPE, [1, "shares", text])
    assert page.locator(".note.wrong").inner_text().startswith("“old: much”")
    assert page.evaluate(VALUE, [1, "shares"]) == "old: much"
    page.get_by_role("combobox", name="Even shares of a preset").select_option("age group")
    page.wait_for_timeout(300)
    assert "older: " in page.evaluate(VALUE, [1, "shares"])
