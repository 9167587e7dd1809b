"""What an edit takes, told from its workflow: as many passes as it makes, and no model for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evenframe.nodes import node_classes
from evenframe.nodes.common.estimate import UNREAD, UNSEEN, edits_estimate, submitted_upstream
from evenframe.nodes.host import host, workflow
from evenframe.nodes.host.executor import Executor
from evenframe.nodes.host.standalone import Session
from evenframe.pipelines.common.errors import EvenframeError
from example_workflows import ROOT

Graph = dict[str, Any]


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[Graph]:
    """Two objects, in two windows, with a gradient and every step taken twice."""
    path = ROOT / "examples_workflows" / "api" / "ReAtCo two objects.json"
    graph: Graph = json.loads(path.read_text(encoding="utf-8"))
    inputs(graph, "LoadVideo").update(max_frames=3)
    del inputs(graph, "LoadVideo")["model"]  # which would be loaded, for its size alone
    invert = inputs(graph, "Invert")
    invert.update(steps=2, check=False, cache_gb=0, windows=["w", 0], store=["s", 0])
    graph["w"] = node("Windows", size=2, stride=1, weights="uniform")
    graph["s"] = node("AttentionStore", mode="recompute")
    inputs(graph, "JointSampling").update(repeats=2, repeat_steps=0.5)
    host.costs.clear()
    with host.using(Session(output=tmp_path, temp=tmp_path, cache=tmp_path)):  # type: ignore
        yield graph


def node(kind: str, **inputs: Any) -> Graph:
    return {"class_type": f"Evenframe{kind}", "inputs": inputs}


def id_of(graph: Graph, kind: str) -> str:
    return next(id for id, one in graph.items() if one["class_type"] == f"Evenframe{kind}")


def inputs(graph: Graph, kind: str) -> Graph:
    return graph[id_of(graph, kind)]["inputs"]


def said(graph: Graph) -> str:
    return edits_estimate(id_of(graph, "Edit"), graph)["said"]


def ran(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the editor says of its run."""
    told = list[str]()
    monkeypatch.setattr(host, "running", lambda: id_of(graph, "Edit"))
    monkeypatch.setattr(host, "tell", told.append)
    Executor(host, node_classes()).run(workflow.parse(graph))  # type: ignore[arg-type]
    return told[0]


def test_it_counts_as_the_editor_does_and_knows_time_and_memory_after_a_run(
    graph: Graph, monkeypatch: pytest.MonkeyPatch
):
    assert said(graph).startswith("In each window: at least 3 passes with 2 prompts (2 steps")
    assert said(graph).endswith(UNSEEN)
    first = ran(graph, monkeypatch)
    assert said(graph).startswith(first.removesuffix(".")) and "2 windows" in first
    assert "; about " in said(graph) and "asked for" in said(graph)
    inputs(graph, "Edit").update(guidance_scale=1, start_step=1)
    inputs(graph, "Prompt")["text"] += ", at night"
    again = said(graph)
    assert again.split("; about")[0] == ran(graph, monkeypatch).split("; about")[0]
    assert "with 1 prompt (1 step," in again
    inputs(graph, "LoadVideo")["max_frames"] = 2
    assert said(graph).endswith(UNSEEN), "of another clip"


def test_numbers_are_the_same_as_the_host_makes_of_them(graph: Graph):
    edit = id_of(graph, "Edit")
    before = submitted_upstream(graph, edit)
    inputs(graph, "LoadVideo")["max_frames"] = 3.0
    assert submitted_upstream(graph, edit) == before != ""
    assert submitted_upstream({}, edit) == submitted_upstream(None, edit) == ""


@pytest.mark.parametrize("change", [{"steps": ["w", 0]}, {"steps": 10**9}, {"steps": "4"}])
def test_what_is_not_typed_in_is_not_guessed(graph: Graph, change: Graph):
    inputs(graph, "Invert").update(change)
    assert said(graph) == UNREAD


def test_of_an_editor_without_a_clip_nothing_is_said(graph: Graph):
    del inputs(graph, "Edit")["inversion"]
    assert said(graph) == ""


def test_a_workflow_that_goes_round_ends(graph: Graph):
    inputs(graph, "LoadVideo")["model"] = [id_of(graph, "Edit"), 0]
    inputs(graph, "Refocus")["controls"] = [id_of(graph, "Refocus"), 0]
    assert "passes" in said(graph)


@pytest.mark.parametrize(
    ("node", "prompt"),
    [("1", {}), ("1", {"1": []}), ("1", {"1": {"class_type": "EvenframeDecode", "inputs": {}}})],
)
def test_a_bad_question_is_refused(node: str, prompt: Graph):
    with pytest.raises(EvenframeError):
        edits_estimate(node, prompt)
