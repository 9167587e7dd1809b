"""The player, and what comes back after a reload, in the editor of a real server."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from comfyui_server import ComfyServer
from editor_page import LOAD, READY, RUN, SAVED, SENT, TEXTS, editor

from evenframe.nodes.clip_load import EvenframeLoadVideo
from evenframe.nodes.common.demo_files import clip_of_scene
from evenframe.pipelines.video import Audio, save

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

COUNT = 4


def node(number: int, kind: str, inputs: dict[str, int], outputs: list[str], *values: Any) -> Any:
    """inputs: numbers of links; outputs: types."""
    sources = {link[0]: (link[1], link[2]) for link in LINKS}
    return {
        "id": number,
        "type": kind,
        "pos": [340 * (number - 1), 0],
        "size": [300, 80],
        "inputs": [
            {"name": name, "type": LINKS[at - 1][5], "link": at} for name, at in inputs.items()
        ],
        "outputs": [
            {
                "name": name,
                "type": name,
                "links": [at for at, source in sources.items() if source == (number, slot)],
            }
            for slot, name in enumerate(outputs)
        ],
        "widgets_values": list(values),
    }


LINKS = [
    [1, 1, 0, 2, 0, "IMAGE"],
    [2, 1, 0, 3, 0, "IMAGE"],
    [3, 2, 0, 3, 1, "IMAGE"],
    [4, 1, 1, 3, 2, "EVENFRAME_CLIP"],
    [5, 3, 0, 4, 0, "IMAGE"],
]
GRAPH = {
    "last_node_id": 4,
    "last_link_id": 5,
    "nodes": [
        node(1, "EvenframeDemoClip", {}, ["IMAGE", "EVENFRAME_CLIP"], COUNT),
        node(2, "ImageInvert", {"image": 1}, ["IMAGE"]),
        node(3, "EvenframeCompare", {"before": 2, "after": 3, "clip": 4}, ["IMAGE", "FLOAT"]),
        node(4, "EvenframeSaveVideo", {"frames": 5}, [], "short", "mp4", 0, True, -1),
    ],
    "links": LINKS,
    "version": 0.4,
}

PLAYER = """() => window.app.graph.getNodeById(3)?.widgets
  ?.find(({ name }) => name === "evenframe_player")?.player"""
SHOWN = f"() => ({PLAYER})()?.shown"
# The colours at places of the frame, (x, y) in pixels of it, of A (left pane) and B.
PIXELS = f"""places => {{ const {{ stage }} = ({PLAYER})(), {{ canvas }} = stage;
  stage.render();
  const ratio = canvas.width / stage.element.clientWidth;
  const read = (x, y) => [...canvas.getContext("2d").getImageData(x * ratio, y * ratio, 1, 1).data];
  return places.map(([x, y]) => {{ const [left, top] = stage.place([x / 128, y / 128]);
    return [read(left, top), read(left + stage.element.clientWidth / 2, top)]; }}); }}"""
FRAMES = clip_of_scene("two shapes", COUNT)[0].frames
PLACES = [[12, 100], [40, 50], [90, 80], [64, 20]]


@pytest.fixture(scope="module")
def page(browser: Browser, comfyui: ComfyServer) -> Iterator[Page]:
    with editor(browser, comfyui) as page:
        yield page


def assert_frame(page: Page, frame: int) -> None:
    """The stage shows this frame of the clip, and beside it that of its negative."""
    before = FRAMES[frame]
    for (x, y), (left, right) in zip(PLACES, page.evaluate(PIXELS, PLACES), strict=True):
        wanted = 255 * before[y, x]
        assert left[:3] == pytest.approx(wanted.tolist(), abs=10), (x, y)
        assert right[:3] == pytest.approx((255 - wanted).tolist(), abs=10), (x, y)


@pytest.mark.parametrize("nodes_2", [False, True], ids=["canvas", "nodes 2.0"])
def test_before_and_after_are_shown_and_again_after_a_reload(
    page: Page, comfyui: ComfyServer, nodes_2: bool
):
    setting = "on => window.app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on)"
    page.evaluate(setting, nodes_2)
    comfyui.post("/free", {"free_memory": True})
    page.evaluate(LOAD, GRAPH)
    page.wait_for_timeout(1000)
    heights = page.evaluate("() => window.app.graph.nodes.map(node => node.size[1])")
    assert heights[2] < 150, "no player before there is anything to play"
    page.evaluate(RUN)
    page.wait_for_function("() => window.ended")
    assert page.evaluate("() => window.ended") == "execution_success"
    page.wait_for_function(f"() => ({SHOWN})() === 0")
    page.evaluate(
        f"async () => {{ const player = ({PLAYER})(); player.look('side'); await player.go(2); }}"
    )
    assert_frame(page, 2)
    assert torch.unique(FRAMES[2].view(-1, 3), dim=0).shape[0] > 2
    assert "evenframe_player" not in page.evaluate(SENT) + page.evaluate(SAVED)
    texts = page.evaluate(TEXTS)
    page.wait_for_timeout(2500)  # the editor keeps its draft a moment after the last change
    page.reload()
    page.wait_for_function(READY)
    page.wait_for_function(f"() => ({SHOWN})() === 2")
    page.wait_for_timeout(1000)
    assert page.evaluate(f"() => ({PLAYER})().view.mode") == "side"
    assert_frame(page, 2)
    page.wait_for_function("() => document.querySelector('video')")
    shown = page.evaluate("() => [...document.querySelectorAll('video')].map(one => one.src)")
    assert any("short_" in url for url in shown), "the saved video plays again"
    assert page.evaluate(TEXTS) == texts


def test_the_server_sends_any_part_of_the_sound(comfyui: ComfyServer):
    """Else a browser could not jump in it."""
    frames, wave = torch.rand(8, 64, 64, 3), torch.rand(1, 48000) - 0.5
    save(comfyui.base / "input" / "heard.mp4", frames, 8, Audio(wave, 48000))
    inputs = EvenframeLoadVideo.GET_SCHEMA().inputs
    defaults = {one.id: getattr(one, "default", None) for one in inputs}
    loader = {name: value for name, value in defaults.items() if value is not None}
    loader["file"] = "heard.mp4"
    run = comfyui.run(
        {
            "1": {"class_type": "EvenframeLoadVideo", "inputs": loader},
            "2": {
                "class_type": "EvenframeCompare",
                "inputs": {"before": ["1", 0], "after": ["1", 0], "clip": ["1", 1]},
            },
        }
    )
    assert run.outcome == "execution_success", run.of("execution_error")
    [beside] = comfyui.outputs(run)["2"]["evenframe_player"]
    where = f"filename={beside['sound']}&subfolder={beside['subfolder']}&type={beside['type']}"
    url = f"http://127.0.0.1:{comfyui.port}/view?{where}"
    request = urllib.request.Request(url, headers={"Range": "bytes=100-199"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert (answer.status, len(answer.read())) == (206, 100)


def test_no_clip_is_decoded_for_who_has_gone_on(comfyui: ComfyServer):
    """While one is, of the questions that wait those are left out that nobody waits for."""

    def ask(frames: int, side: int = 64) -> socket.socket:
        inputs = {"file": "demo: two shapes", "max_frames": frames, "width": side, "height": side}
        body = json.dumps({"node": "EvenframeLoadVideo", "inputs": inputs}).encode()
        head = f"POST /evenframe/filmstrip HTTP/1.1\r\nHost: 127.0.0.1:{comfyui.port}\r\n"
        made = socket.create_connection(("127.0.0.1", comfyui.port))
        made.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return made

    with ask(16, 1024) as first:
        time.sleep(0.2)
        ask(5).close()
        with ask(6) as third:
            answers = [one.recv(4096)[:12] for one in (first, third)]
    assert answers == [b"HTTP/1.1 200"] * 2
    records = (comfyui.base / "temp" / "evenframe_strips").rglob("strip.json")
    made = [
        (told.get("width"), told.get("frames"))
        for told in map(json.loads, map(Path.read_text, records))
    ]
    assert {(1024, 16), (64, 6)} <= set(made) and (64, 5) not in made


def test_how_far_it_is_stands_on_the_node(page: Page):
    page.evaluate(LOAD, GRAPH)
    page.wait_for_timeout(1000)
    told = {"node": "4", "prompt_id": "x", "label": "Editing", "total": 50, "share": 0, "what": ""}
    send = """async ([told, wait]) => {
      await new Promise(done => setTimeout(done, wait));
      window.app.api.dispatchEvent(new CustomEvent("evenframe.progress", { detail: told }));
      return window.app.graph.getNodeById(4).widgets
        .find(({ name }) => name === "evenframe_text").value; }"""
    assert page.evaluate(send, [told | {"done": 0}, 0]) == "Editing: 0 of 50"
    part = {"done": 10, "share": 0.5, "what": "window 2 of 3"}
    line = page.evaluate(send, [told | part, 2100])
    start, left = line.rsplit(", about ", 1)
    assert start == "Editing: 10 of 50, window 2 of 3"
    assert 7 <= int(left.removesuffix(" s left")) <= 12, "39.5 of 50 at 5 a second"
    assert page.evaluate(send, [told | {"done": 50}, 0]).startswith("Editing: 50 of 50, ")
    said = """([id, text]) => { const detail = { node: "4", prompt_id: id, text };
      window.app.api.dispatchEvent(new CustomEvent("evenframe.told", { detail })); }"""
    page.evaluate(said, ["y", "50 passes"])
    line = page.evaluate(send, [told | {"prompt_id": "y", "done": 0}, 0])
    assert line == "50 passes\nEditing: 0 of 50"
    assert page.evaluate(send, [told | {"prompt_id": "z", "done": 0}, 0]) == "Editing: 0 of 50"
    mine = page.evaluate("() => window.app.graph.id")
    for at, (workflow, wanted) in enumerate([("another", 0), (mine, 2), (None, 3)], 1):
        line = page.evaluate(send, [told | {"done": at, "workflow": workflow}, 0])
        assert line.startswith(f"Editing: {wanted} of 50"), "and not of a graph in another tab"


def test_a_node_in_a_subgraph_is_found_by_the_servers_name_and_back(page: Page):
    page.evaluate(LOAD, GRAPH)
    page.wait_for_timeout(500)
    ids = page.evaluate("""async () => {
      const { executionId, nodeAt } = await import("/extensions/evenframe/js/lib/graph.js");
      const { app } = window, inner = app.graph.getNodeById(3);
      app.canvas.selectItems?.([inner]);
      const { node: around } = app.graph.convertToSubgraph(new Set([inner]));
      const own = around.subgraph.nodes[0], id = executionId(own);
      return [id.split(":").length, nodeAt(id) === own, nodeAt(String(around.id)) === around,
        nodeAt("99:1")]; }""")
    assert ids == [2, True, True, None]
