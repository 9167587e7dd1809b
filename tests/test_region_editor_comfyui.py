"""The region editor in ComfyUI, in both of its canvases: draw, run, undo, reload."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from comfyui_server import ComfyServer
from editor_page import LOAD, READY, RUN, SENT, editor, ready

from evenframe.nodes import node_classes
from evenframe.nodes.host import host
from evenframe.nodes.host.executor import Executor
from evenframe.nodes.host.standalone import StandaloneHost
from evenframe.nodes.host.workflow import parse
from evenframe.nodes.region import EXAMPLE
from evenframe.pipelines.regions.region import BoxRegion
from evenframe.pipelines.regions.text import parse_regions

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow
Value = TypeVar("Value")

GRAPH = {
    "last_node_id": 4,
    "last_link_id": 2,
    "nodes": [
        {
            "id": 1,
            "type": "EvenframeDemoClip",
            "pos": [0, 0],
            "size": [220, 120],
            "inputs": [],
            "outputs": [{"name": "frames", "type": "IMAGE", "links": [1]}],
            "widgets_values": [4, "two shapes"],
        },
        {
            "id": 2,
            "type": "EvenframeDrawRegions",
            "pos": [260, 0],
            "size": [420, 560],
            "inputs": [{"name": "frames", "type": "IMAGE", "link": 1}],
            "outputs": [{"name": "regions", "type": "EVENFRAME_REGIONS", "links": [2]}],
            "widgets_values": [""],
        },
        {
            "id": 3,
            "type": "EvenframeJointSampling",
            "pos": [720, 0],
            "size": [220, 180],
            "inputs": [{"name": "regions", "type": "EVENFRAME_REGIONS", "link": 2}],
            "outputs": [{"name": "controls", "type": "EVENFRAME_CONTROLS", "links": []}],
            "widgets_values": ["inversion", 1, 1.0, 0],
        },
    ],
    "links": [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "EVENFRAME_REGIONS"]],
    "version": 0.4,
}
PROMPT = "a yellow square left of a green circle"
ADD_EDIT = """text => {
  const graph = window.app.graph, controls = graph.getNodeById(3);
  const edit = LiteGraph.createNode("EvenframeEdit");
  const prompt = LiteGraph.createNode("EvenframePrompt");
  edit.pos = [720, 260]; prompt.pos = [-440, 260];
  for (const node of [edit, prompt]) graph.add(node);
  prompt.widgets.find(widget => widget.name === "text").value = text;
  controls.connect(0, edit, edit.inputs.findIndex(one => one.name === "controls"));
  prompt.connect(0, edit, edit.inputs.findIndex(one => one.name === "target_prompt"));
}"""
REMOVE_EDIT = """() => { const { graph } = window.app;
  for (const type of ["EvenframeEdit", "EvenframePrompt", "EvenframeJointSampling"])
    for (const node of graph.nodes.filter(node => node.type === type)) graph.remove(node); }"""
COMMAND = "name => window.app.extensionManager.command.execute(name)"
PLACES = "() => window.app.graph.nodes.map(node => [node.id, ...node.pos].join()).sort()"
TEXT = "() => window.app.graph.getNodeById(2).widgets.find(widget => widget.name === 'text').value"
SHOWN = """() => window.app.graph.getNodeById(2).widgets
  .find(widget => widget.element === document.querySelector(".evenframe.editor"))?.name"""
VUE = "on => window.app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on)"


@pytest.fixture(scope="module")
def page(browser: Browser, comfyui: ComfyServer) -> Iterator[Page]:
    with editor(browser, comfyui) as page:
        page.reload()  # the first start shows templates in front of the graph
        ready(page)
        yield page


def opened(page: Page, frames: int = 4) -> None:
    """The view at the node, and the clip on its stage, before anything has run."""
    page.evaluate(
        "() => { const { ds } = window.app.canvas; ds.scale = 1; ds.offset = [200, 120]; }"
    )
    page.locator(".evenframe.editor").wait_for()
    page.evaluate("() => window.app.canvas.setDirty(true, true)")
    page.wait_for_function(
        "told => document.querySelector('.evenframe.editor output')?.value === told",
        arg=f"1 / {frames}",
    )
    laid_out(page, lambda: stage(page))


def laid_out(page: Page, where: Callable[[], Value]) -> Value:
    """Where something is, once that is twice the same."""
    at, before = where(), None
    while at != before:
        page.wait_for_timeout(300)
        at, before = where(), at
    return at


def stage(page: Page) -> dict[str, float]:
    box = page.locator(".evenframe.editor .stage").bounding_box()
    assert box is not None
    return {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}


def drag(page: Page, start: tuple[int, int], end: tuple[int, int]) -> None:
    """From the middle of the stage, in pixels."""
    middle = stage(page)
    page.mouse.move(middle["x"] + start[0], middle["y"] + start[1])
    page.mouse.down()
    page.mouse.move(middle["x"] + end[0], middle["y"] + end[1], steps=4)
    page.mouse.up()


def standalone() -> StandaloneHost:
    assert isinstance(host, StandaloneHost)
    return host


def regions(page: Page) -> list[dict[str, Any]]:
    written = page.evaluate(TEXT)
    return json.loads(written)["regions"] if written else []


@pytest.mark.parametrize("nodes_2", [False, True], ids=["canvas", "nodes 2.0"])
def test_regions_are_drawn_tied_undone_run_and_there_again(
    page: Page, comfyui: ComfyServer, nodes_2: bool
):
    page.evaluate(VUE, nodes_2)
    page.evaluate(LOAD, GRAPH)
    page.evaluate(ADD_EDIT, PROMPT)
    opened(page)
    before = page.evaluate(PLACES)
    states = []
    drag(page, (-40, -40), (20, 20))
    states.append(regions(page))
    page.get_by_role("button", name="square", exact=True).click()
    states.append(regions(page))
    drag(page, (-5, -5), (15, 10))
    states.append(regions(page))
    [region] = regions(page)
    left, top, right, bottom = region["box"]
    assert right - left == pytest.approx(bottom - top, abs=0.02), "the frames are square"
    a_pixel = (right - left) / 60
    assert left == pytest.approx(0.5 - (40 - 20) * a_pixel, abs=0.02)
    assert region["words"] == "square"
    page.keyboard.press("Delete")
    assert regions(page) == [], "the region, and not the node"
    assert page.evaluate(PLACES) == before, "no node went along with a drag"
    page.keyboard.press(".")
    page.wait_for_timeout(300)
    for command, wanted in zip(["Undo"] * 3 + ["Redo"] * 2, [2, 1, 0, 1, 2], strict=True):
        page.evaluate(COMMAND, f"Comfy.{command}")
        page.wait_for_timeout(700)
        assert regions(page) == states[wanted], "one step a gesture"
    shown = "() => document.querySelector('.evenframe.editor output').value"
    page.wait_for_function(f"() => ({shown})() === '2 / 4'")  # as it was looked at before
    page.get_by_role("button", name="One frame back").click()
    runs_and_is_there_again(page, comfyui, region)


def runs_and_is_there_again(page: Page, comfyui: ComfyServer, region: dict[str, Any]) -> None:
    sent = json.loads(page.evaluate(SENT))
    assert sent["2"]["inputs"].keys() == {"frames", "text"}
    page.evaluate(REMOVE_EDIT)
    comfyui.post("/free", {"free_memory": True})
    page.evaluate(RUN)  # alone: no model, no edit
    page.wait_for_function("() => window.ended")
    assert page.evaluate("() => window.ended") == "execution_success"
    told = """() => window.app.graph.getNodeById(2).widgets
      .find(widget => widget.name === "evenframe_text")?.value"""
    page.wait_for_function(f"() => ({told})()")
    assert page.evaluate(told) == "region 1: square"
    page.wait_for_timeout(2000)  # the editor keeps its draft a moment after the last change
    page.reload()
    page.wait_for_function(READY)
    page.wait_for_timeout(3000)
    opened(page)
    assert regions(page) == [region]
    assert page.get_by_label("Name").input_value() == "region 1"


def test_an_editor_goes_on_after_its_node_was_made_anew(page: Page, comfyui: ComfyServer):
    page.evaluate(VUE, True)
    page.evaluate(LOAD, GRAPH)
    opened(page)
    drag(page, (-40, -40), (20, 20))
    page.evaluate("() => { window.before = window.app.graph.getNodeById(2); }")
    page.evaluate(COMMAND, "Comfy.Undo")
    page.wait_for_function("() => window.app.graph.getNodeById(2) !== window.before")
    opened(page)
    page.wait_for_timeout(700)
    assert regions(page) == []
    shown = page.locator(".evenframe.editor")
    assert shown.count() == 1
    assert page.evaluate(SHOWN) == "evenframe_regions", "and not that of the node before"
    drag(page, (-30, -30), (0, 0))
    page.get_by_label("Name").fill("again")
    page.keyboard.press("Tab")
    [region] = regions(page)
    assert region["name"] == "again"
    assert region["box"][2:] == pytest.approx([0.5, 0.5], abs=0.02)


NEW = """async ([linked, saved]) => {
  const { graph } = window.app, node = LiteGraph.createNode("EvenframeDrawRegions");
  graph.add(node);
  if (saved) node.configure(node.serialize());
  if (linked) graph.getNodeById(1).connect(0, node, "frames");
  await new Promise(done => setTimeout(done, 500));
  return node.widgets.find(widget => widget.name === "text").value; }"""


def test_a_new_node_begins_empty_on_a_clip_and_a_saved_one_as_it_was(page: Page):
    page.evaluate(LOAD, GRAPH)
    assert page.evaluate(NEW, [True, False]) == ""
    assert page.evaluate(NEW, [False, False]) == EXAMPLE, "it runs without an editor, too"
    assert page.evaluate(NEW, [True, True]) == EXAMPLE


LOADER = """() => { const { app } = window, node = LiteGraph.createNode("EvenframeLoadVideo");
  app.graph.clear();
  // Nodes 2.0 gives a node the values of one that had its number before.
  app.graph.state.lastNodeId = Date.now() % 1e9;
  node.pos = [0, 0];
  app.graph.add(node);
  Object.assign(app.canvas.ds, { scale: 1, offset: [100, 100] }); }"""
SLOT = """([type, kind, name]) => {
  const node = window.app.graph.nodes.find(node => node.type === type);
  const at = node?.[`${kind}puts`].findIndex(slot => slot.name === name);
  const slot = document.querySelector(`[data-slot-key="${node?.id}-${kind}-${at}"]`);
  if (!slot) return null;
  const { left, top, width, height } = slot.getBoundingClientRect();
  return [left + width / 2, top + height / 2]; }"""


PLACED = "() => window.app.canvas.state.ghostNodeId == null"  # no node hangs on the pointer


def test_by_mouse_alone_in_nodes_2_from_the_search_to_a_region(page: Page):
    page.evaluate(VUE, True)
    page.evaluate(LOADER)
    page.wait_for_timeout(500)
    page.mouse.dblclick(900, 250)
    page.keyboard.type("evenframe draw regions", delay=20)
    page.get_by_text("Draw Regions (Evenframe)").first.wait_for()
    page.keyboard.press("Enter")
    page.locator(".evenframe.editor").wait_for()
    page.wait_for_function("() => !document.querySelector('[role=dialog]')")  # it takes clicks
    page.mouse.move(900, 250)
    page.mouse.click(900, 250)
    page.wait_for_function(PLACED)
    ends = [("EvenframeLoadVideo", "out", "frames"), ("EvenframeDrawRegions", "in", "frames")]
    for one in ends:
        page.wait_for_function(SLOT, arg=list(one))
    start, end = laid_out(page, lambda: [page.evaluate(SLOT, list(one)) for one in ends])
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=8)
    page.mouse.up()
    page.wait_for_function("() => document.querySelector('.editor output').value === '1 / 16'")
    drag(page, (-40, -40), (20, 20))
    text = """() => window.app.graph.nodes.find(node => node.type === "EvenframeDrawRegions")
      .widgets.find(widget => widget.name === "text").value"""
    assert len(json.loads(page.evaluate(text))["regions"]) == 1
    page.evaluate(VUE, False)


IN_A_SUBGRAPH = """() => { const { graph, canvas } = window.app;
  const { node } = graph.convertToSubgraph(new Set([1, 2].map(id => graph.getNodeById(id))));
  canvas.openSubgraph(node.subgraph, node);
  return node.subgraph.nodes.find(one => one.type === "EvenframeDrawRegions").id; }"""
INNER = """() => window.app.canvas.graph.nodes.find(one => one.type === "EvenframeDrawRegions")
  .widgets.find(widget => widget.name === "text").value"""
GONE = """async () => {
  const { whenGone } = await import("/extensions/evenframe/js/lib/mount.js");
  window.gone = [];
  for (const node of window.app.canvas.graph.nodes)
    whenGone(node, () => window.gone.push(node.type)); }"""
ROOT_GRAPH = "() => window.app.canvas.setGraph(window.app.rootGraph ?? window.app.graph)"


@pytest.mark.parametrize("nodes_2", [False, True], ids=["canvas", "nodes 2.0"])
def test_in_a_subgraph_as_outside_of_one(page: Page, comfyui: ComfyServer, nodes_2: bool):
    """Drawn, run and undone; and what was drawn is what a run without the editor reads."""
    page.evaluate(VUE, nodes_2)
    page.evaluate(LOAD, GRAPH)
    page.evaluate(REMOVE_EDIT)
    opened(page)
    inner = page.evaluate(IN_A_SUBGRAPH)
    page.wait_for_timeout(500)
    opened(page)
    drag(page, (-40, -40), (20, 20))
    written = page.evaluate(INNER)
    sent = json.loads(page.evaluate(SENT))
    [(name, node)] = [(name, node) for name, node in sent.items() if "text" in node["inputs"]]
    assert name.endswith(f":{inner}") and node["inputs"]["text"] == written
    comfyui.post("/free", {"free_memory": True})
    page.evaluate(RUN)
    page.wait_for_function("() => window.ended")
    assert page.evaluate("() => window.ended") == "execution_success"
    alone = Executor(standalone(), node_classes()).run(parse(sent)).results[name]
    [drawn] = parse_regions(written, 4, (128, 128)).items
    [read] = alone.values[0].items
    assert isinstance(drawn, BoxRegion)
    assert (read.name, read.boxes.tolist()) == (drawn.name, drawn.boxes.tolist())
    page.evaluate(GONE)
    page.evaluate(COMMAND, "Comfy.Undo")
    page.wait_for_function("() => window.gone.includes('EvenframeDrawRegions')")
    assert sorted(page.evaluate("() => window.gone")) == [
        "EvenframeDemoClip",
        "EvenframeDrawRegions",
    ]
    page.evaluate(ROOT_GRAPH)


def test_a_copy_has_regions_of_its_own(page: Page):
    page.evaluate(VUE, False)
    page.evaluate(LOAD, GRAPH)
    opened(page)
    drag(page, (-40, -40), (20, 20))
    [region] = regions(page)
    page.evaluate("""() => { const { canvas, graph } = window.app;
      canvas.copyToClipboard(new Set([graph.getNodeById(2)]));
      canvas.pasteFromClipboard({ position: [260, 620], connectInputs: true }); }""")
    page.wait_for_function("() => document.querySelectorAll('.evenframe.editor').length === 2")
    texts = """() => window.app.graph.nodes.filter(node => node.type === "EvenframeDrawRegions")
      .map(node => JSON.parse(node.widgets.find(widget => widget.name === "text").value).regions)"""
    assert page.evaluate(texts) == [[region], [region]]
    page.get_by_label("Name").first.fill("the first")
    page.keyboard.press("Tab")
    assert sorted(each["name"] for [each] in page.evaluate(texts)) == ["region 1", "the first"]


@pytest.mark.parametrize("palette", ["light", "dark"])
def test_it_is_for_everybody_in_both_palettes(page: Page, palette: str):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page.evaluate(VUE, True)
    page.evaluate(LOAD, GRAPH)
    page.evaluate(ADD_EDIT, PROMPT)
    choose = "name => window.app.extensionManager.setting.set('Comfy.ColorPalette', name)"
    page.evaluate(choose, palette)
    opened(page)
    drag(page, (-40, -40), (20, 20))
    page.locator(".evenframe summary").click()
    page.wait_for_timeout(300)
    report = axe.run(page, ".evenframe.editor")
    page.evaluate(choose, "dark")
    assert report.violations_count == 0, report.generate_report()


PICTURE = """() => { const canvas = document.querySelector(".evenframe.editor .stage canvas");
  const { width, height } = canvas, context = canvas.getContext("2d");
  return String(context.getImageData(width / 2, height / 2, 1, 1).data); }"""


def test_another_clip_is_on_stage_as_soon_as_it_is_chosen(page: Page):
    """And a new node has room for it."""
    page.evaluate(VUE, False)
    loader = GRAPH["nodes"][0] | {"type": "EvenframeLoadVideo", "widgets_values": []}
    page.evaluate(LOAD, GRAPH | {"nodes": [loader, *GRAPH["nodes"][1:]]})
    opened(page, 16)
    page.mouse.move(5, 500)
    page.wait_for_function(f"() => !({PICTURE})().startsWith('0,0,0,')")
    before = page.evaluate(PICTURE)
    page.evaluate("""() => {
      const file = window.app.graph.getNodeById(1).widgets.find(({ name }) => name === "file");
      file.value = "demo: a doctor";
      file.callback(file.value); }""")
    page.wait_for_function(f"before => ({PICTURE})() !== before", arg=before)
    sizes = """() => { const made = LiteGraph.createNode("EvenframeDrawRegions");
      return [made.size[1] - made.computeSize()[1], window.app.graph.getNodeById(2).size[1]]; }"""
    more, loaded = page.evaluate(sizes)
    assert more > 100 and loaded == 560


TRACK = {
    "last_node_id": 3,
    "last_link_id": 2,
    "nodes": [
        GRAPH["nodes"][0],
        {
            "id": 2,
            "type": "EvenframeTrackRegion",
            "pos": [260, 0],
            "size": [420, 640],
            "inputs": [{"name": "frames", "type": "IMAGE", "link": 1}],
            "outputs": [{"name": "regions", "type": "EVENFRAME_REGIONS", "links": []}],
            "widgets_values": ["", "object", "", "none", "optical flow", 0, 0],
        },
        {
            "id": 3,
            "type": "EvenframeSaveVideo",
            "pos": [720, 0],
            "size": [300, 400],
            "inputs": [{"name": "frames", "type": "IMAGE", "link": 2}],
            "outputs": [],
            "widgets_values": ["not_to_be_run", "mp4", 0, True, -1],
        },
    ],
    "links": [[1, 1, 0, 2, 0, "IMAGE"], [2, 1, 0, 3, 0, "IMAGE"]],
    "version": 0.4,
}
DOTS = "() => document.querySelectorAll('.evenframe.editor .track i').length"


@pytest.mark.parametrize("nodes_2", [False, True], ids=["canvas", "nodes 2.0"])
def test_an_object_is_followed_from_its_widget_alone(
    page: Page, comfyui: ComfyServer, nodes_2: bool
):
    page.evaluate(VUE, nodes_2)
    page.evaluate(LOAD, TRACK)
    opened(page)
    assert page.evaluate(DOTS) == 0
    drag(page, (-45, -45), (0, 0))
    comfyui.post("/free", {"free_memory": True})
    page.get_by_text("Track from here").click()
    page.wait_for_function(f"() => ({DOTS})() === 4")
    assert not list((comfyui.base / "output").glob("not_to_be_run*")), "nothing else was run"
    page.get_by_role("button", name="One frame on").click()
    page.get_by_role("button", name="Take the dotted box").click()
    told = json.loads(page.evaluate(TEXT))
    [correction] = told["corrections"]
    assert correction["frame"] == 1
    assert correction["box"] == pytest.approx(told["box"], abs=0.15)
