"""Looking before an edit: what runs alone, how much of it, and that no pass is made for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from evenframe.nodes import node_classes
from evenframe.nodes.edit import EvenframeEdit
from evenframe.nodes.host import ModelHandle, host, workflow
from evenframe.nodes.host.executor import Executor
from evenframe.nodes.host.standalone import Session
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.common.window import WHOLE_CLIP, Windowing
from evenframe.pipelines.controls.base import Control
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.controls.reatco.joint_sampling import JointSampling
from evenframe.pipelines.controls.reatco.refocus import Refocus
from evenframe.pipelines.editing import edit
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.models.stable_diffusion.denoiser import UNetDenoiser
from evenframe.pipelines.passes import Passes
from evenframe.pipelines.regions.region import box_region
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.source.inversion import invert
from example_workflows import ROOT

Graph = dict[str, Any]


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each pass of a model: the branches in it."""
    counted, predict = list[int](), UNetDenoiser.predict

    def counting(self: UNetDenoiser, latents: Any, level: Any, branches: Any, *rest: Any) -> Any:
        counted.append(len(branches))
        return predict(self, latents, level, branches, *rest)

    monkeypatch.setattr(UNetDenoiser, "predict", counting)
    return counted


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[Graph]:
    path = ROOT / "examples_workflows" / "api" / "ReAtCo two objects.json"
    graph: Graph = json.loads(path.read_text(encoding="utf-8"))
    loader = sole(graph, "LoadVideo")["inputs"]
    loader["max_frames"] = 2
    del loader["model"]  # which would be loaded, for its size alone
    sole(graph, "Invert")["inputs"] |= {"steps": 1, "check": False, "cache_gb": 0}
    with host.using(Session(output=tmp_path, temp=tmp_path, cache=tmp_path)):  # type: ignore
        yield graph


def sole(graph: Graph, kind: str) -> Any:
    return graph[ids(graph, kind)[0]]


def ids(graph: Graph, *kinds: str) -> list[str]:
    classes = {f"Evenframe{kind}" for kind in kinds}
    return [id for id, node in graph.items() if node["class_type"] in classes]


def only(graph: Graph, *kinds: str, left_out: tuple[str, ...] = ()) -> Graph:
    """The nodes of these kinds and what they need, less optional inputs that are left out."""
    kept, wanted = Graph(), ids(graph, *kinds)
    while wanted:
        id = wanted.pop()
        inputs = {k: v for k, v in graph[id]["inputs"].items() if k not in left_out}
        kept[id] = graph[id] | {"inputs": inputs}
        wanted += [link[0] for link in inputs.values() if isinstance(link, list)]
    return kept


def run(graph: Graph) -> set[str]:
    """The classes of the nodes that ran."""
    done = Executor(host, node_classes()).run(workflow.parse(graph))  # type: ignore[arg-type]
    return {graph[id]["class_type"].removeprefix("Evenframe") for id in done.executed}


def test_looking_at_a_box_makes_no_pass_of_the_model(graph: Graph, passes: list[int]):
    assert run(only(graph, "DrawRegions")) == {"LoadVideo", "DrawRegions"}, "nor is a model loaded"
    assert passes == []


def test_what_is_counted_are_the_passes(graph: Graph, passes: list[int]):
    run(only(graph, "Decode", left_out=("controls",)) | saved(graph))
    assert passes == [1, 2], "the inversion's; the edit's, of two branches"


def saved(graph: Graph) -> Graph:
    """A node that saves the frames that the decoder gives."""
    inputs = {"frames": [ids(graph, "Decode")[0], 0], "filename_prefix": "x", "format": "mp4"}
    inputs |= {"frame_rate": 8, "undo_fit": False, "crf": -1}
    return {"99": {"class_type": "EvenframeSaveVideo", "inputs": inputs}}


FUSED = Fusion("refine", 0.5, 0.7, blend_words=("circle",), latent_blend=True)
BOX = Regions((box_region([(8, 8, 40, 40)] * 3, (64, 64), name="a", words="blue"),), 3, (64, 64))
JOINT = JointSampling(BOX, repeats=2, repeat_steps=0.5)


@pytest.mark.parametrize(
    ("controls", "windowing", "store", "scale", "start"),
    [
        ((), WHOLE_CLIP, "recompute", 7.5, 0),
        ((), WHOLE_CLIP, "recompute", 1.0, 2),
        ((FUSED,), WHOLE_CLIP, "resident", 7.5, 0),
        ((FUSED,), WHOLE_CLIP, "recompute", 7.5, 1),
        ((FUSED, JOINT), WHOLE_CLIP, "recompute", 7.5, 0),
        ((Fusion(), Refocus(BOX), JOINT), Windowing(2, 1), "recompute", 3.0, 0),
        ((Refocus(BOX, guide_by="boost"),), Windowing(2, 1), "recompute", 3.0, 0),
    ],
)
def test_the_passes_of_an_edit_are_told_before_the_first_and_are_as_many(
    model: Model,
    passes: list[int],
    controls: tuple[Control, ...],
    windowing: Windowing,
    store: str,
    scale: float,
    start: int,
):
    torch.manual_seed(0)
    frames = torch.rand(3, 64, 64, 3)
    prompt = "a red circle"
    inversion = invert(model, frames, prompt, steps=4, store=store, windowing=windowing)
    passes.clear()
    told = list[Passes]()
    edit(
        model,
        inversion,
        "a blue circle",
        controls=controls,
        guidance_scale=scale,
        start_step=start,
        on_begin=lambda counted: told.append(counted) or passes.clear(),
    )
    [said] = told
    assert len(passes) == said.edit + said.source + said.gradient
    assert sum(passes) == said.rows
    if controls == (FUSED, JOINT):  # a step that is taken twice asks the source once
        assert (said.edit, said.source, said.gradient) == (6, 3, 0)


def test_the_editor_says_what_an_edit_takes_and_how_long_its_like_took(model: Model):
    frames = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    prompt = model.text.encode("a jeep")
    inversion = invert(model, frames, prompt, steps=2)
    host.paces.clear()

    def lines(scale: float) -> list[str]:
        handle: ModelHandle[Model] = ModelHandle(model)
        shown = EvenframeEdit.execute(handle, inversion, prompt, 0, guidance_scale=scale).ui
        return shown["text"]

    first, took = lines(7.5)
    assert first.startswith("2 passes with 2 prompts (2 steps, 1 window). ")
    assert first.endswith("asked for beside the weights.") and took.startswith("It took ")
    [pace] = host.paces.values()
    assert "; about " in lines(1.0)[0], "as fast as last time"
    assert pace > 0 and len(host.paces) == 1


def test_a_prompt_runs_alone_and_an_edit_that_nobody_saves_is_told(graph: Graph):
    assert run(only(graph, "Prompt")) == {"LoadModel", "Prompt"}
    with pytest.raises(EvenframeError, match="saves nothing: add a node.*SaveVideo"):
        run(only(graph, "Decode"))


def test_a_prompt_that_an_edit_reads_runs_only_for_it(graph: Graph):
    """That it is an output, too, costs an edit that is found again nothing."""
    graph = only(graph, "Decode", left_out=("controls",)) | saved(graph)
    executor = Executor(host, node_classes())  # type: ignore[arg-type]
    executor.run(workflow.parse(graph))
    graph["99"]["inputs"]["crf"] = 20
    again = executor.run(workflow.parse(graph))
    assert again.executed == ("99",)
    assert not set(ids(graph, "Prompt")) & set(again.results)
