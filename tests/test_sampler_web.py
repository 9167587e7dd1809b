"""Controls before a KSampler in the editor: a graph of text to video as ComfyUI has it, with two
nodes put in, which is run, reloaded, bypassed and made a subgraph. Skipped without a browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from comfyui_server import ComfyServer, wait_for
from editor_page import LOAD, READY, RUN, SENT, VUE_NODES, editor
from safetensors.torch import load_file
from test_comfyui_wan import theirs
from torch import Tensor

from evenframe.benchmarks.unchanged import node
from example_workflows import api_examples, in_editors_format

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow
LOAD_API = """async graph => {
  await window.app.loadApiJson(graph, "sampler");
  for (const node of window.app.graph.nodes)
    for (const widget of node.widgets ?? [])
      if (widget.name === "control_after_generate") widget.value = "fixed"; }"""
OURS = ("EvenframeSourceForControls", "EvenframeApplyControls")
BEFORE = (*OURS, "EvenframeInvertForSampler", "EvenframeSourceGuidance", "EvenframeRefocusSampler")
"""All nodes that go before a sampler."""
RECIPES = [path for path in api_examples() if path.stem.startswith("Own sampler")]
PREFIX = """prefix => { window.app.graph.nodes.find(node => node.type === "SaveLatent")
  .widgets.find(widget => widget.name === "filename_prefix").value = prefix; }"""
MODE = """([kinds, mode]) => {
  for (const node of window.app.graph.nodes) if (kinds.includes(node.type)) node.mode = mode; }"""
INTO_A_SUBGRAPH = """kinds => { const { graph } = window.app;
  graph.convertToSubgraph(new Set(graph.nodes.filter(node => kinds.includes(node.type)))); }"""


@pytest.fixture(scope="module")
def page(browser: Browser, comfyui: ComfyServer) -> Iterator[Page]:
    with editor(browser, comfyui) as page:
        yield page


@pytest.fixture(scope="module")
def stock(comfyui: ComfyServer) -> dict[str, Any]:
    """Text to video, two steps, with a tiny random Wan."""
    run = comfyui.run({"1": theirs("ProbeWanFiles")})
    [file] = comfyui.outputs(run)["1"]["text"]
    empty = {"width": 128, "height": 128, "length": 5, "batch_size": 1}
    drawn = {"seed": 5, "steps": 2, "cfg": 2.0, "sampler_name": "euler", "scheduler": "simple"}
    linked = {"model": ["1", 0], "positive": ["4", 0], "negative": ["5", 0]}
    return {
        "1": theirs("UNETLoader", unet_name=file, weight_dtype="default"),
        "2": theirs("ProbeClip"),
        "3": theirs("VAELoader", vae_name=file),
        "4": theirs("CLIPTextEncode", clip=["2", 0], text="a yellow circle"),
        "5": theirs("CLIPTextEncode", clip=["2", 0], text="blurry"),
        "6": theirs("EmptyHunyuanLatentVideo", **empty),
        "7": theirs("KSampler", **drawn, denoise=1.0, latent_image=["6", 0], **linked),
        "8": theirs("VAEDecode", samples=["7", 0], vae=["3", 0]),
        "9": theirs("PreviewImage", images=["8", 0]),
        "10": theirs("SaveLatent", samples=["7", 0], filename_prefix="stock"),
    }


def steered(stock: dict[str, Any]) -> dict[str, Any]:
    """The same with our nodes before the sampler."""
    prompts = {"source_prompt": "a red circle", "target_prompt": "a yellow circle"}
    linked = {"model": ["1", 0], "clip": ["2", 0], "latent": ["12", 0]}
    given = {"noise": "sampler", "noise_seed": 0, "key_frames": "own", **prompts}
    sampler = {**stock["7"]["inputs"], "model": ["15", 0], "positive": ["13", 1]}
    return stock | {
        "7": theirs("KSampler", **sampler),
        "11": node("DemoClip", max_frames=5),
        "12": theirs("VAEEncode", pixels=["11", 0], vae=["3", 0]),
        "13": theirs(OURS[0], **linked, **given, target_conditioning=["4", 0]),
        "14": node("AttentionFusion"),
        "15": theirs(OURS[1], model=["13", 0], controls=["14", 0]),
    }


def latents(comfyui: ComfyServer, prefix: str) -> Tensor:
    [path] = (comfyui.base / "output").glob(f"{prefix}_*.latent")
    return load_file(path)["latent_tensor"]


def sampled(page: Page, comfyui: ComfyServer, prefix: str) -> Tensor:
    """What the editor's graph ends with, computed anew."""
    comfyui.post("/free", {"free_memory": True})
    page.evaluate(PREFIX, prefix)
    page.evaluate(RUN)
    page.wait_for_function("() => window.ended")
    assert page.evaluate("() => window.ended") == "execution_success"
    return latents(comfyui, prefix)


@pytest.fixture(scope="module")
def without(comfyui: ComfyServer, stock: dict[str, Any]) -> Tensor:
    """Of the graph that has never seen our nodes."""
    assert comfyui.run(stock).outcome == "execution_success"
    return latents(comfyui, "stock")


@pytest.mark.parametrize("nodes_2", [False, True], ids=["canvas", "nodes 2.0"])
def test_two_nodes_before_a_ksampler_run_reload_are_bypassed_and_go_into_a_subgraph(
    page: Page, comfyui: ComfyServer, stock: dict[str, Any], without: Tensor, nodes_2: bool
):
    page.evaluate(VUE_NODES, nodes_2)
    page.evaluate(LOAD_API, steered(stock))
    name = f"web{nodes_2:d}"
    found = sampled(page, comfyui, f"{name}_first")
    assert found.shape == without.shape == (1, 16, 2, 16, 16)
    assert (found - without).norm() > 1e-5 * without.norm()
    sent = page.evaluate(SENT)
    assert {each["class_type"] for each in json.loads(sent).values()} >= {*OURS}
    page.wait_for_timeout(2000)  # the editor keeps its draft a moment after the last change
    page.reload()
    page.wait_for_function(READY)
    wait_for(lambda: page.evaluate(SENT) == sent)
    page.evaluate(MODE, [OURS, 4])
    assert torch.equal(sampled(page, comfyui, f"{name}_bypassed"), without)
    page.evaluate(MODE, [OURS, 0])
    page.evaluate(INTO_A_SUBGRAPH, OURS)
    inside = [each for each in json.loads(page.evaluate(SENT)) if ":" in each]
    assert len(inside) == 2
    assert torch.equal(sampled(page, comfyui, f"{name}_subgraph"), found)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_a_graph_of_comfyuis_own_where_our_nodes_are_bypassed(
    page: Page, comfyui: ComfyServer, path: Path
):
    """Nothing that a node must have is missing then, and the sampler's prompt is the same text."""
    page.evaluate(VUE_NODES, False)
    page.evaluate(LOAD, json.loads(in_editors_format(path).read_text(encoding="utf-8")))
    page.evaluate(MODE, [BEFORE, 4])
    page.wait_for_timeout(500)
    sent = json.loads(page.evaluate(SENT))
    assert not {*BEFORE} & {each["class_type"] for each in sent.values()}
    known = comfyui.get("/object_info")
    for each in sent.values():
        needed = known[each["class_type"]]["input"].get("required", {}).keys()
        assert needed <= each["inputs"].keys(), each
    guided = [each["inputs"] for each in sent.values() if "positive" in each["inputs"]]
    wanted = json.loads(path.read_text(encoding="utf-8"))
    [text] = {each["inputs"]["target_prompt"][0] for each in wanted.values() if asks(each)}
    prompts = {sent[origin(sent, one)]["inputs"]["text"][0] for one in guided}
    assert text in prompts, "the sampler has another prompt"


def asks(each: dict[str, Any]) -> bool:
    return each["class_type"] == OURS[0]


def origin(sent: dict[str, Any], inputs: dict[str, Any]) -> str:
    """The node that has encoded a positive prompt, ControlNets aside."""
    at = inputs["positive"][0]
    return origin(sent, sent[at]["inputs"]) if "positive" in sent[at]["inputs"] else at
