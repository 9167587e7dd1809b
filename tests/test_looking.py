"""Looking before an edit: what runs alone, how much of it, and that no pass is made for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evenframe.nodes import node_classes
from evenframe.nodes.host import host, workflow
from evenframe.nodes.host.executor import Executor
from evenframe.nodes.host.standalone import Session
from evenframe.nodes.region import EvenframeDrawRegions
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.models.stable_diffusion.denoiser import UNetDenoiser
from example_workflows import ROOT

Graph = dict[str, Any]


class Looked(EvenframeDrawRegions):
    """Draw Regions as the editor runs it alone."""

    @classmethod
    def define_schema(cls):
        schema = super().define_schema()
        schema.is_output_node = True
        return schema


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
    classes = [Looked if cls is EvenframeDrawRegions else cls for cls in node_classes()]
    done = Executor(host, classes).run(workflow.parse(graph))  # type: ignore[arg-type]
    return {graph[id]["class_type"].removeprefix("Evenframe") for id in done.executed}


def test_looking_at_a_box_makes_no_pass_of_the_model(graph: Graph, passes: list[int]):
    assert run(only(graph, "DrawRegions")) == {"DemoClip", "DrawRegions"}, "nor is a model loaded"
    assert passes == []


def test_what_is_counted_are_the_passes(graph: Graph, passes: list[int]):
    run(only(graph, "Decode", left_out=("controls",)) | saved(graph))
    assert passes == [1, 2], "the inversion's; the edit's, of two branches"


def saved(graph: Graph) -> Graph:
    """A node that saves the frames that the decoder gives."""
    inputs = {"frames": [ids(graph, "Decode")[0], 0], "filename_prefix": "x", "format": "mp4"}
    inputs |= {"frame_rate": 8, "undo_fit": False, "crf": -1}
    return {"99": {"class_type": "EvenframeSaveVideo", "inputs": inputs}}


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
