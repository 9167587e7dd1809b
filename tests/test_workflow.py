"""Workflows outside ComfyUI: read as untrusted, checked, run, kept."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evenframe.nodes.host import host, io, workflow
from evenframe.nodes.host.executor import Executor
from evenframe.nodes.host.standalone import Interrupted, Session, StandaloneHost
from evenframe.nodes.host.task import NodeError
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.common.whole_file import write_new


class Number(io.ComfyNode):
    calls: ClassVar[list[int]] = []

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeNumber",
            inputs=[
                io.Int.Input("value", default=1, min=0, max=9),
                io.Boolean.Input("negate", default=False, optional=True),
            ],
            outputs=[io.Int.Output("number")],
        )

    @classmethod
    def execute(cls, value: int, negate: bool = False) -> io.NodeOutput:
        cls.calls.append(value)
        return io.NodeOutput(-value if negate else value)


class Frames(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeFrames",
            inputs=[
                io.Int.Input("count"),
                io.Combo.Input("file", options=["a.mp4"], upload=io.UploadType.video),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def validate_inputs(cls, file: str) -> bool | str:
        return True if file.endswith(".mp4") else f"file is {file!r}, must end with .mp4."

    @classmethod
    def execute(cls, count: int, file: str) -> tuple[torch.Tensor]:
        assert torch.is_inference_mode_enabled()
        if count == 7:
            raise ZeroDivisionError("seven")
        if count == 8:
            raise EvenframeError("count is 8, choose another.")
        return (torch.zeros(count, 8, 8, 3),)


class Save(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EvenframeSave",
            inputs=[io.Image.Input("images"), io.String.Input("prefix")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, images: torch.Tensor, prefix: str) -> io.NodeOutput:
        told = json.dumps(cls.hidden.prompt)
        path = write_new(host.new_output(prefix, ".json"), lambda path: path.write_text(told))
        return io.NodeOutput(ui={"images": [host.saved(path)]})


GRAPH: dict[str, Any] = {
    "1": {"class_type": "EvenframeNumber", "inputs": {"value": 2}, "_meta": {"title": "How many"}},
    "2": {"class_type": "EvenframeFrames", "inputs": {"count": ["1", 0], "file": "a.mp4"}},
    "3": {"class_type": "EvenframeSave", "inputs": {"images": ["2", 0], "prefix": "x"}},
}


def changed(node: str, **inputs: Any) -> dict[str, Any]:
    graph = copy.deepcopy(GRAPH)
    graph[node]["inputs"] |= inputs
    return graph


@pytest.fixture
def executor(tmp_path: Path):
    Number.calls.clear()
    assert isinstance(host, StandaloneHost)
    with host.using(Session(output=tmp_path / "output")):
        yield Executor(host, [Number, Frames, Save])


def test_a_workflow_runs_in_order_and_saves(executor: Executor, tmp_path: Path):
    seen = []
    result = executor.run(workflow.parse(GRAPH), lambda node, *rest: seen.append((node.id, *rest)))
    assert seen == [("1", 1, 3, False), ("2", 2, 3, False), ("3", 3, 3, False)]
    assert result.executed == ("1", "2", "3")
    file = result.results["3"].ui["images"][0]
    saved = json.loads((tmp_path / "output" / file["filename"]).read_text())
    assert saved["2"]["inputs"] == GRAPH["2"]["inputs"]
    assert saved["1"]["_meta"] == {"title": "How many"}


def test_only_what_changed_runs_again(executor: Executor):
    graph = workflow.parse(GRAPH)
    executor.run(graph)
    assert executor.run(graph).executed == ()
    assert executor.run(workflow.parse(changed("3", prefix="y"))).executed == ("3",)
    assert executor.run(workflow.parse(changed("1", value=3))).executed == ("1", "2", "3")
    assert Number.calls == [2, 3]


def test_results_survive_a_failure_and_an_interrupt(executor: Executor):
    with pytest.raises(NodeError):
        executor.run(workflow.parse(changed("1", value=7)))
    with pytest.raises(NodeError):
        executor.run(workflow.parse(changed("1", value=7)))
    assert Number.calls == [7]
    assert isinstance(host, StandaloneHost)
    session = Session()
    session.cancel.set()
    with host.using(session), pytest.raises(Interrupted):
        executor.run(workflow.parse(GRAPH))
    assert executor.run(workflow.parse(GRAPH)).executed == ("1", "2", "3")


def test_a_failure_names_the_node_in_its_first_line(executor: Executor):
    with pytest.raises(NodeError, match=r"^node 2 \(EvenframeFrames\): count is 8, choose"):
        executor.run(workflow.parse(changed("1", value=8)))
    with pytest.raises(NodeError, match=r"failed: ZeroDivisionError: seven$") as caught:
        executor.run(workflow.parse(changed("1", value=7)))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("1.value=5", 5),
        ("how many.value=5", 5),
        ("EvenframeNumber.value=5", 5),
        ("number.value=5", 5),
    ],
)
def test_set_names_a_node_by_id_title_or_class(executor: Executor, assignment: str, value: int):
    graph = executor.assign(workflow.parse(GRAPH), assignment)
    assert executor.run(graph).results["1"].values == (value,)


def test_set_understands_words_and_text_with_an_equals_sign(executor: Executor):
    graph = executor.assign(workflow.parse(GRAPH), "1.negate=TRUE")
    graph = executor.assign(graph, "Save.prefix=a=b")
    assert graph.nodes["1"].inputs["negate"] is True
    assert graph.nodes["3"].inputs["prefix"] == "a=b"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("value", "not of the form Node.input=value"),
        ("1=5", "not of the form"),
        ("9.value=5", r"no node '9': it has 1 \(Number\), 2 \(Frames\), 3 \(Save\)"),
        ("1.valu=5", r"node 1 \(EvenframeNumber 'How many'\) has no input 'valu': it has value"),
    ],
)
def test_set_refuses_what_it_cannot_place(executor: Executor, assignment: str, message: str):
    with pytest.raises(EvenframeError, match=message):
        executor.assign(workflow.parse(GRAPH), assignment)


def test_set_asks_for_an_id_where_several_nodes_fit(executor: Executor):
    twins = GRAPH | {"4": GRAPH["1"]}
    with pytest.raises(EvenframeError, match="fits several nodes: name one by its id, 1, 4"):
        executor.assign(workflow.parse(twins), "number.value=1")


EDITOR = {"nodes": [], "links": [], "version": 0.4}
CYCLE = {
    "1": {"class_type": "EvenframeNumber", "inputs": {"value": ["2", 0]}},
    "2": {"class_type": "EvenframeNumber", "inputs": {"value": ["1", 0]}},
}


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (EDITOR, r"editor's format; .* choose Workflow, Export \(API\)"),
        ([], "Not a workflow: expected nodes by their ids, found"),
        ({}, "Not a workflow"),
        ({"1": {"text": ""}}, r"not a node with a class_type. In ComfyUI choose .*Export \(API\)"),
        ({"1": {"inputs": {}}}, "^Node 1 has None as its class_type: .* Remove the node"),
        (
            GRAPH | {"4": {"class_type": None, "_meta": {"title": "Lost"}}},
            r"^Node 4 'Lost' has None as its class_type: .* or export the workflow where its pack",
        ),
        ({"1": {"class_type": "X", "inputs": []}}, "must be an object"),
        (CYCLE, "circle, nodes 1 -> 2 -> 1|circle, nodes 2 -> 1 -> 2"),
        (changed("2", count=["9", 0]), "count is linked to node '9', which does not exist"),
        (changed("2", count=["1"]), r"must be \[node id, output number\]"),
        (changed("2", count=["1", True]), r"must be \[node id, output number\]"),
        ({str(i): GRAPH["1"] for i in range(1001)}, "has 1001 nodes, allowed are 1000"),
    ],
)
def test_what_is_no_workflow_is_refused(graph: Any, message: str):
    with pytest.raises(EvenframeError, match=message):
        workflow.parse(graph)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (changed("2", count=["1", 1]), "linked to output 1 of node 1, which has 1"),
        (changed("2", count=["1", -1]), "linked to output -1 of node 1, which has 1"),
        (changed("2", count=["2", 0]), "circle"),
        (changed("3", images=["1", 0]), "images takes IMAGE, but output 0 of node 1 gives INT"),
        (
            changed("1", value=12),
            r"^node 1 \(EvenframeNumber 'How many'\): value is 12, must be a ",
        ),
        (changed("2", file="a.txt"), "file is 'a.txt', must end with .mp4"),
        ({"1": GRAPH["1"]}, "saves nothing: add a node that saves or shows, such as EvenframeSave"),
        (
            GRAPH | {"4": {"class_type": "KSampler", "inputs": {}}},
            r"node 4 \(KSampler\) is not a node of Evenframe: this workflow runs only in ComfyUI",
        ),
        (
            GRAPH | {"4": {"class_type": "EvenframeTomorrow", "inputs": {}}},
            "this version of Evenframe has no such node; it has EvenframeFrames",
        ),
    ],
)
def test_what_cannot_run_is_refused_before_anything_runs(executor: Executor, graph, message):
    with pytest.raises(EvenframeError, match=message):
        executor.run(workflow.parse(graph))
    assert Number.calls == []


def test_a_missing_input_is_named(executor: Executor):
    graph = copy.deepcopy(GRAPH)
    del graph["1"]["inputs"]["value"]
    with pytest.raises(EvenframeError, match="value is missing"):
        executor.run(workflow.parse(graph))


def test_a_check_of_the_nodes_own_replaces_the_choices(executor: Executor):
    executor.run(workflow.parse(changed("2", file="uploaded later.mp4")))


def test_a_path_cannot_leave_the_output_folder(executor: Executor):
    with pytest.raises(EvenframeError, match=r"'\.\./x' is not a name inside the output folder"):
        executor.run(workflow.parse(changed("3", prefix="../x")))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not a workflow in JSON"),
        (b"\xff\xfe", "is not a workflow in JSON"),
        (b'{"1": NaN}', "is not a workflow in JSON: it holds NaN, which is no number"),
        (b'{"1": ' + b"9" * 5000 + b"}", "a number 5000 characters long, and 100 are read"),
        (b'{"1": 1.' + b"9" * 5000 + b"}", "a number 5002 characters long, and 100 are read"),
        (b'{"1": 1e999999}', "1e999999, which is too large for a number"),
        (b"[" * 100_000, "too many brackets inside each other"),
        (b'{"1": {}, "1": {}}', "'1' twice in one object"),
        (b" " * (workflow.MAX_BYTES + 1), "a workflow at most"),
        (json.dumps(EDITOR).encode(), "editor's format"),
    ],
)
def test_a_bad_file_is_refused_by_name(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(EvenframeError, match=message) as caught:
        workflow.read(path)
    assert str(caught.value).startswith((str(path), f"Cannot read {path}"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_file_may_begin_with_a_mark(tmp_path: Path, encoding: str):
    graph = changed("1", title="é")
    path = tmp_path / "workflow.json"
    path.write_text(json.dumps(graph, ensure_ascii=False), encoding=encoding)
    assert workflow.read(path) == workflow.parse(graph)


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(EvenframeError, match=r"Cannot read workflow .*none\.json: No such file"):
        workflow.read(tmp_path / "none.json")


def test_what_is_posted_to_a_server_is_read_too():
    assert list(workflow.parse({"prompt": GRAPH, "client_id": "x"}).nodes) == ["1", "2", "3"]
    assert workflow.parse(workflow.parse(GRAPH).as_prompt()) == workflow.parse(GRAPH)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["1", "2", "class_type", "inputs", "_meta", "title"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(JSON)
@settings(max_examples=200, deadline=None)
def test_any_json_is_read_or_refused_in_one_way(data: Any):
    try:
        workflow.parse(data)
    except EvenframeError as error:
        assert "\n" not in str(error)
