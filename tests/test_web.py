"""The editor in a browser: recipes load into it, and nodes show their text. Skipped without one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from comfyui_server import ROOT, ComfyServer
from editor_page import LOAD, READY, RUN, SAVED, SENT, TEXTS, VUE_NODES, editor, ready
from whole_edit import save_tiny_model

from evenframe.nodes import node_classes
from evenframe.pipelines.video import Audio, load, save
from example_workflows import api_examples, in_editors_format

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

SHORT = {
    "last_node_id": 2,
    "last_link_id": 1,
    "nodes": [
        {
            "id": 1,
            "type": "EvenframeDemoClip",
            "pos": [0, 0],
            "size": [300, 200],
            "inputs": [],
            "outputs": [{"name": "frames", "type": "IMAGE", "links": [1]}],
            "widgets_values": [2],
        },
        {
            "id": 2,
            "type": "EvenframeSaveVideo",
            "pos": [400, 0],
            "size": [300, 400],
            "inputs": [{"name": "frames", "type": "IMAGE", "link": 1}],
            "outputs": [],
            "widgets_values": ["short", "mp4", 0, True, -1],
        },
    ],
    "links": [[1, 1, 0, 2, 0, "IMAGE"]],
    "version": 0.4,
}


@pytest.fixture(scope="module")
def console() -> list[str]:
    """What the page wrote to the browser's console."""
    return []


@pytest.fixture(scope="module")
def page(browser: Browser, comfyui: ComfyServer, console: list[str]) -> Iterator[Page]:
    """The editor in a real browser."""
    with editor(browser, comfyui, console.append) as page:
        yield page


FILES = "ckpt_name", "unet_name", "clip_name", "vae_name", "control_net_name"


@pytest.mark.parametrize("path", api_examples(), ids=lambda path: path.stem)
def test_the_editor_sends_what_the_api_format_says(page: Page, path: Path):
    graph = json.loads(in_editors_format(path).read_text(encoding="utf-8"))
    page.evaluate(LOAD, graph)
    page.wait_for_timeout(500)
    sent: dict[str, Any] = json.loads(page.evaluate(SENT))
    wanted = json.loads(path.read_text(encoding="utf-8"))
    for both in (sent, wanted):
        for node in both.values():  # another where this file is not there; a preview where one is
            for depends_on_files in (*FILES, "video-preview"):
                node["inputs"].pop(depends_on_files, None)
    for node_id, node in sent.items():
        for name in node["inputs"].keys() - wanted[node_id]["inputs"].keys():
            assert node["inputs"].pop(name) == optional_default(node["class_type"], name), name
    assert sent == wanted


SAVED_BEFORE = ROOT / "tests" / "saved_workflows"


@pytest.mark.parametrize("named", [True, False], ids=["with names", "by position"])
@pytest.mark.parametrize("nodes_2", [False, True], ids=["canvas", "nodes 2.0"])
def test_a_graph_from_before_a_seed_had_its_control_is_sent_as_it_was(
    page: Page, named: bool, nodes_2: bool
):
    name = "FateZero style edit.json"
    graph = json.loads((SAVED_BEFORE / "editor" / name).read_text(encoding="utf-8"))
    wanted = json.loads((SAVED_BEFORE / name).read_text(encoding="utf-8"))
    [edit] = [node for node in graph["nodes"] if node["type"] == "EvenframeEdit"]
    edit["widgets_values"] = list(edit["widgets_values_named"].values())
    for node in graph["nodes"]:
        if not named:
            node.pop("widgets_values_named", None)
    edit["widgets_values"][3:] = [7, 2]  # a seed, and every second preview
    wanted[str(edit["id"])]["inputs"] |= {"seed": 7, "preview_every": 2}
    if named:
        edit["widgets_values_named"] |= {"seed": 7, "preview_every": 2}
    page.evaluate(VUE_NODES, nodes_2)
    page.evaluate(LOAD, graph)
    page.wait_for_timeout(500)
    sent: dict[str, Any] = json.loads(page.evaluate(SENT))
    for node_id, node in wanted.items():
        given = sent[node_id]["inputs"]
        assert {name: given.get(name) for name in node["inputs"]} == node["inputs"]
    edits = "() => window.app.graph.nodes.find(one => one.type === 'EvenframeEdit')"
    control = (
        f"() => ({edits})().widgets.find(one => one.options.values?.includes('randomize')).value"
    )
    assert page.evaluate(control) == "fixed"
    saved = json.loads(page.evaluate(SAVED))
    page.evaluate(LOAD, saved)  # and once more, as it is saved today
    page.wait_for_timeout(500)
    assert json.loads(page.evaluate(SENT)) == sent
    page.evaluate(VUE_NODES, False)


ADD_ENDS = """() => {
  const graph = window.app.graph, [whole] = graph.nodes;
  const load = LiteGraph.createNode("LoadVideo"), save = LiteGraph.createNode("SaveVideo");
  for (const node of [load, save]) graph.add(node);
  load.widgets.find(widget => widget.name === "file").value = "blueprint.mp4";
  load.connect(0, whole, 0);
  whole.connect(0, save, 0);
}"""


def test_the_blueprint_is_found_by_its_name_and_runs(page: Page, comfyui: ComfyServer):
    """Between core's own nodes: a video in, a video out."""
    frames = torch.rand(5, 70, 130, 3, generator=torch.Generator().manual_seed(0))
    save(comfyui.base / "input" / "blueprint.mp4", frames, 10)
    page.reload()  # blueprints, and names of files, are asked for once
    ready(page)
    page.evaluate(LOAD, {"nodes": [], "links": [], "version": 0.4})
    page.wait_for_function("() => window.app.graph.nodes.length === 0")
    search, answers = page.locator("[role=combobox]"), page.locator("[role=option]")
    for _ in range(30):  # two clicks are not a double one where the page was busy between them
        page.mouse.dblclick(800, 450)
        page.wait_for_timeout(1000)
        if search.is_visible():
            break
    search.fill("Only there")
    answers.filter(has_text="Only there").first.click()
    answers.first.wait_for(state="hidden")
    page.mouse.click(800, 450)  # where the node is to lie
    page.wait_for_function("() => window.app.graph.nodes.length === 1")
    page.evaluate(ADD_ENDS)
    sent: dict[str, Any] = json.loads(page.evaluate(SENT))
    ids = {node["class_type"]: node_id for node_id, node in sent.items()}
    assert ids["EvenframePasteSource"].count(":") == 1 and ids["ImageInvert"].count(":") == 2
    page.evaluate(RUN)
    page.wait_for_function("() => window.ended")
    assert page.evaluate("() => window.ended") == "execution_success"
    saved = max((comfyui.base / "output" / "video").glob("*.mp4"))
    assert load(saved).frames.shape == frames.shape


def optional_default(node_id: str, name: str) -> Any:
    """What an input that a recipe does not have yet is where it is not given."""
    schema = next(cls.GET_SCHEMA() for cls in node_classes() if cls.GET_SCHEMA().node_id == node_id)
    [socket] = [socket for socket in schema.inputs if socket.id == name]
    assert socket.optional, f"{node_id}.{name}"
    return getattr(socket, "default", None)


@pytest.mark.parametrize("nodes_2", [False, True], ids=["canvas", "nodes 2.0"])
def test_a_nodes_text_is_shown_and_survives_a_reload(
    page: Page, comfyui: ComfyServer, nodes_2: bool
):
    page.evaluate(VUE_NODES, nodes_2)
    comfyui.post("/free", {"free_memory": True})  # of what is cached, ComfyUI tells nothing again
    page.evaluate(LOAD, SHORT)
    page.wait_for_timeout(1000)
    assert page.evaluate(TEXTS) == ["", ""]
    page.evaluate(RUN)
    page.wait_for_function("() => window.ended")
    page.wait_for_function(f"() => ({TEXTS})().every(text => text)")
    texts = page.evaluate(TEXTS)
    assert "2 frames of 128x128" in texts[0]
    assert texts[1].startswith("short_")
    shown = [area.input_value() for area in page.locator("textarea").all()]
    assert set(texts) <= set(shown)
    assert "evenframe_text" not in page.evaluate(SENT) + page.evaluate(SAVED)
    page.wait_for_timeout(2000)  # the editor keeps its draft a moment after the last change
    page.reload()
    page.wait_for_function(READY)
    same = f"texts => String(({TEXTS})()) === String(texts)"
    page.wait_for_function(same, arg=texts)


def test_only_the_editors_public_parts_are_used(page: Page, console: list[str]):
    page.evaluate("() => console.log('this is heard')")
    assert "this is heard" in console
    warned = [text for text in console if "internal module" in text or "evenframe" in text.lower()]
    assert warned == []


@pytest.fixture(scope="module")
def own_clip(comfyui: ComfyServer) -> str:
    """The name of a video in the server's folder, with a size, rate and sound of its own."""
    frames = torch.rand(9, 70, 130, 3, generator=torch.Generator().manual_seed(0))
    sound = Audio(torch.zeros(1, 16000), 16000)
    return save(comfyui.base / "input" / "own.mp4", frames, 12.5, sound).name


@pytest.fixture(scope="module")
def tiny_diffusers(comfyui: ComfyServer) -> str:
    """The name of a very small random model in the server's folders."""
    folder = comfyui.base / "models" / "diffusers" / "tiny"
    if not folder.exists():
        save_tiny_model(folder)
    return folder.name


CHOOSE = """([title, name, value]) => {
  const { graph, canvas } = window.app;
  const node = graph.nodes.find(one => [one.title, one.type].includes(title));
  const widget = node.widgets.find(widget => widget.name === name);
  canvas.emitBeforeChange();
  widget.value = value;
  widget.callback?.(value);
  canvas.emitAfterChange();
}"""
PLAN = """() => window.app.graph.nodes.find(node => node.type === "EvenframeLoadVideo")
  ?.widgets.find(widget => widget.name === "evenframe_text")?.value ?? ''"""

SAYS = """text => window.app.graph.nodes.find(node => node.type === "EvenframeEdit")
  .widgets.find(widget => widget.name === "evenframe_text")?.value.includes(text)"""
HEAR = """() => window.app.api.addEventListener("evenframe.told",
  ({ detail }) => { window.told = detail.workflow; })"""


@pytest.mark.parametrize("nodes_2", [False, True], ids=["canvas", "nodes 2.0"])
def test_from_a_template_to_an_own_clip_in_five_actions(
    page: Page, comfyui: ComfyServer, tiny_diffusers: str, own_clip: str, nodes_2: bool
):
    [template] = (ROOT / "examples_workflows").glob("FateZero style edit - *.json")
    page.evaluate(VUE_NODES, nodes_2)
    page.evaluate(LOAD, json.loads(template.read_text(encoding="utf-8")))
    page.wait_for_function(f"() => ({PLAN})().startsWith('Edited at 128x128: already fits')")
    actions = [
        ("Load Video", "file", own_clip),
        ("Load Model", "model", tiny_diffusers),
        ("Source prompt", "text", "a jeep on a road"),
        ("Target prompt", "text", "a jeep on a beach"),
    ]
    for action in actions[:1]:
        page.evaluate(CHOOSE, action)
    page.wait_for_function(f"() => ({PLAN})().startsWith('Edited at 130x70 -> 160x96')")
    for action in actions[1:]:
        page.evaluate(CHOOSE, action)
    page.wait_for_function(f"() => ({PLAN})().startsWith('The model says at which size')")
    assert "Saved at 130x70" in page.evaluate(PLAN)
    steps = 3 if nodes_2 else 2  # few, for the sake of time; and nothing is there from a run before
    page.evaluate(CHOOSE, ("DDIM Inverter", "steps", steps))
    least = "" if nodes_2 else "At least "  # the other canvas has left the model loaded
    page.wait_for_function(SAYS, arg=f"{least}{steps} passes with 2 prompts ({steps} steps")
    page.evaluate(HEAR)
    page.evaluate(RUN)
    assert len(actions) + 1 <= 5
    page.wait_for_function("() => window.ended")
    assert page.evaluate("() => window.ended") == "execution_success"
    assert page.evaluate("() => window.told === window.app.graph.id"), "and no other tab's"
    page.evaluate(CHOOSE, ("EvenframeEdit", "guidance_scale", 1))
    page.wait_for_function(SAYS, arg=f"{steps} passes with 1 prompt ({steps} steps")
    page.wait_for_function(SAYS, arg="if it goes as fast as last time.")
    page.evaluate(VUE_NODES, False)
    for name in ("style", "style_compared"):
        clip = load(max((comfyui.base / "output" / "evenframe").glob(f"{name}_0*.mp4")))
        assert len(clip) == 8 and clip.frame_rate == 12.5 and clip.audio is not None
        assert name != "style" or (clip.width, clip.height) == (130, 70)


# The editor makes a widget of a picture when it draws it.
PICTURED = """() => { const [node] = window.app.graph.nodes;
  return node.widgets.some(({ name }) => name === "$$canvas-image-preview")
    && node.size[1] >= node.computeSize()[1]; }"""
RAN = """text => window.app.api.dispatchCustomEvent("executed",
  { node: "1", display_node: "1", output: { text: [text] }, prompt_id: "a run" })"""


@pytest.fixture
def far_server(page: Page) -> Iterator[None]:
    """Pictures come after a second, as from a server that is far away."""
    page.route("**/view?*", lambda route: (page.wait_for_timeout(1000), route.continue_()))
    yield
    page.unroute_all(behavior="ignoreErrors")


@pytest.mark.usefixtures("far_server")
def test_a_loader_tells_of_the_file_that_is_chosen(page: Page, own_clip: str):
    """And not of one before it: after undo, and after a reload of the page."""
    loader = {"id": 1, "type": "EvenframeLoadVideo", "title": "Load Video", "pos": [0, 0]}
    shape = {"size": [300, 600], "inputs": [], "outputs": [], "widgets_values": []}
    page.evaluate(VUE_NODES, False)
    page.evaluate(LOAD, {"nodes": [loader | shape], "links": [], "version": 0.4})
    at_first = f"() => ({PLAN})().startsWith('Edited at 128x128')"
    chosen = f"() => ({PLAN})().startsWith('Edited at 130x70')"
    page.wait_for_function(at_first)
    page.wait_for_function(PICTURED)
    page.evaluate(RAN, "Edited at 128x128, and that is what a run said")
    page.evaluate(CHOOSE, ("Load Video", "file", own_clip))
    page.wait_for_function(chosen)
    for command, told in (("Undo", at_first), ("Redo", chosen)):
        page.evaluate(
            "name => window.app.extensionManager.command.execute(name)", f"Comfy.{command}"
        )
        page.wait_for_function(told)
        if command == "Undo":
            page.wait_for_function(PICTURED)
            assert "a run said" in page.evaluate(PLAN), "and the picture leaves it"
    page.wait_for_timeout(2000)  # the editor keeps its draft a moment after the last change
    page.reload()
    page.wait_for_function(READY)
    page.wait_for_function(chosen)
    page.wait_for_timeout(500)
    assert page.evaluate(chosen)


def test_nodes_and_widgets_speak_the_editors_language(page: Page):
    """The last one on this page: it is loaded anew."""
    speak = "async name => await window.app.extensionManager.setting.set('Comfy.Locale', name)"
    page.evaluate(speak, "zh")
    try:
        page.reload()
        ready(page)
        page.evaluate("""() => { const { graph } = window.app;
          graph.clear();
          graph.add(LiteGraph.createNode("EvenframeFairnessTargets")); }""")
        page.wait_for_selector(".evenframe select")
        shown = """() => { const [node] = window.app.graph.nodes;
          return [node.title, node.widgets[1].label, node.outputs[0].localized_name,
            document.querySelector(".evenframe select").ariaLabel]; }"""
        wanted = ["公平目标 (Evenframe)", "数量", "属性", "按预设均分"]
        assert page.evaluate(shown) == wanted
    finally:
        page.evaluate(speak, "en")  # of the server, for all pages after this one
