"""The example workflows, run by the command line as they lie in the repository."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from evenframe.__main__ import main
from evenframe.nodes import node_classes
from evenframe.pipelines.video import load, read_metadata
from example_workflows import (
    ROOT,
    api_examples,
    check_video,
    in_editors_format,
    light,
    provide_files,
    runs_anywhere,
)

SCHEMAS = {cls.GET_SCHEMA().node_id: cls.GET_SCHEMA() for cls in node_classes()}
OURS = set(SCHEMAS)
SIDE_BY_SIDE = {"EvenframeCompare", "EvenframeContactSheet"}


def to_api() -> Callable[[dict[str, Any]], dict[str, Any]]:
    return runpy.run_path(str(ROOT / "examples_workflows" / "to_api.py"))["to_api"]


def test_every_example_is_there_in_both_formats_with_a_picture():
    folder = ROOT / "examples_workflows"
    editor = {path.stem for path in folder.glob("*.json")}
    assert editor == {in_editors_format(path).stem for path in api_examples()}
    pictures = {path.stem for path in folder.iterdir() if path.suffix == ".jpg"}
    assert editor == pictures
    assert len(editor) >= 4


def test_every_node_stands_in_a_recipe_and_every_recipe_in_the_readme():
    graphs = [json.loads(path.read_text(encoding="utf-8")) for path in api_examples()]
    used = {node["class_type"] for graph in graphs for node in graph.values()}
    built_in = {"EvenframeVideoMiniature"}  # what Load Model is for ComfyUI's own samplers
    assert OURS - used - built_in == set()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| ([^|]+) \|", readme.split("| Recipe |")[1].split("\n\n")[0], re.M)
    assert sorted(set(listed) - {"---"}) == [path.stem for path in api_examples()]


@pytest.mark.parametrize("path", api_examples(), ids=lambda path: path.stem)
def test_a_users_clip_needs_no_other_node(path: Path):
    """It is chosen in the loader; its size, rate and sound follow to every file that is saved."""
    graph = json.loads(path.read_text(encoding="utf-8"))
    own = {"EvenframeLoadVideo"} if path.stem != "Adopted model edit" else set[str]()
    assert own <= {node["class_type"] for node in graph.values()}
    has_model = any(node["class_type"].endswith("Model") for node in graph.values())
    for node in graph.values():
        inputs = node["inputs"]
        if node["class_type"] in ("EvenframeLoadVideo", "EvenframeClipFromVideo"):
            assert ("model" in inputs) == has_model
        elif node["class_type"] == "EvenframeSaveVideo":
            pasted = graph[inputs["frames"][0]]["class_type"].startswith("EvenframePaste")
            edit = graph[inputs["frames"][0]]["class_type"] not in SIDE_BY_SIDE
            assert inputs["undo_fit"] == edit, "an edit has the source's size"
            assert inputs["frame_rate"] == 0 and ("clip" in inputs) != pasted
            assert ("model" in inputs) == has_model
        elif "text" in inputs:
            assert '"pixel"' not in inputs["text"], "regions fit any size"


GROWN = {"LoadModel": 222, "LoadVideo": 830, "Prompt": 313, "Invert": 578, "DrawRegions": 632}
GROWN |= {"Edit": 616, "Decode": 179, "PasteSource": 350, "SaveVideo": 650, "Compare": 538}
"""How high nodes become by what they show after a run, measured in Nodes 2.0."""


@pytest.mark.parametrize("path", api_examples(), ids=lambda path: path.stem)
def test_no_node_grows_over_the_one_below(path: Path):
    nodes = json.loads(in_editors_format(path).read_text(encoding="utf-8"))["nodes"]
    for node, below in combinations(sorted(nodes, key=lambda node: node["pos"][1]), 2):
        left = max(node["pos"][0], below["pos"][0])
        right = min(each["pos"][0] + each["size"][0] for each in (node, below))
        grown = GROWN.get(node["type"].removeprefix("Evenframe"), 0)
        bottom = node["pos"][1] + max(node["size"][1], grown)
        title = 30
        assert right <= left or bottom <= below["pos"][1] - title, (node["type"], below["type"])


def test_a_recipe_crops_only_to_a_size_that_it_names():
    graphs = [json.loads(path.read_text(encoding="utf-8")) for path in api_examples()]
    inputs = [node["inputs"] for graph in graphs for node in graph.values()]
    fits = [given for given in inputs if "fit" in given]
    assert fits and all(given["fit"] != "crop" or given["width"] for given in fits)


def test_templates_finds_a_recipe_by_what_it_is():
    """Its search reads titles, which are the names of files, and no more."""
    for path in api_examples():
        title = in_editors_format(path).stem
        assert "Evenframe" in title and "video edit" in title
        assert ("fairness" in title) == path.stem.startswith("FAME")


@pytest.mark.parametrize("path", api_examples(), ids=lambda path: path.stem)
def test_both_formats_are_the_same_graph(path: Path):
    editor = json.loads(in_editors_format(path).read_text(encoding="utf-8"))
    api = json.loads(path.read_text(encoding="utf-8"))
    assert to_api()(editor) == api, "run: python examples_workflows/to_api.py"


def test_nodes_of_subgraphs_have_the_ids_and_links_that_the_editor_gives_them():
    graph = json.loads((ROOT / "subgraphs" / "Only there.json").read_text(encoding="utf-8"))
    with pytest.raises(ValueError, match="sets values of nodes inside"):
        to_api()(graph)
    graph["nodes"][0]["properties"] = {}
    api = to_api()(graph)
    assert set(api) == {"1:2", "1:3", "1:4:7", "1:4:8", "1:5"}
    assert api["1:4:7"]["inputs"]["image"] == ["1:2", 0], "into a subgraph of a subgraph"
    assert api["1:5"]["inputs"]["frames"] == ["1:4:8", 0], "and out of it"
    assert "video" not in api["1:2"]["inputs"], "nothing is linked to the whole"


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples_workflows").glob("*.json")), ids=lambda path: path.stem
)
def test_a_recipe_says_what_it_is_for_and_names_what_its_nodes_need(path: Path):
    editor = json.loads(path.read_text(encoding="utf-8"))
    [note] = [node for node in editor["nodes"] if node["type"] in ("Note", "MarkdownNote")]
    assert len(note["widgets_values"][0].split("\n\n")) == 2
    for node in editor["nodes"]:
        if node["type"] in SCHEMAS:
            known = SCHEMAS[node["type"]].inputs
            named = {socket["name"] for socket in node["inputs"]}
            assert named <= {socket.id for socket in known}, node["type"]
            assert {socket.id for socket in known if not socket.optional} <= named, node["type"]


@pytest.mark.parametrize("path", api_examples(), ids=lambda path: path.stem)
def test_a_recipe_edits_the_whole_frame_of_a_users_clip(path: Path):
    graph = json.loads(path.read_text(encoding="utf-8"))
    fits = {node["inputs"].get("fit", "stretch") for node in graph.values()}
    assert fits == {"stretch"}, "a crop leaves edges unedited"


def test_pictures_are_small_and_can_be_read():
    from PIL import Image

    for path in (ROOT / "examples_workflows").glob("*.jpg"):
        assert path.stat().st_size < 100_000, path.name
        with Image.open(path) as picture:
            picture.verify()
            assert min(picture.size) >= 256, path.name


def test_pictures_are_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    given: list[list[str]] = []

    def ran(command: list[str], check: bool) -> None:
        given.append(command)
        (tmp_path / "a.mp4").touch()

    monkeypatch.setattr(subprocess, "run", ran)
    run = runpy.run_path(str(ROOT / "examples_workflows" / "pictures.py"))["run"]
    assert run(next(filter(runs_anywhere, api_examples())), tmp_path) == tmp_path / "a.mp4"
    assert "--no-cache" in given[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", [path for path in api_examples() if runs_anywhere(path)], ids=lambda path: path.stem
)
def test_an_example_runs_without_comfyui(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("EVENFRAME_CACHE", str(tmp_path / "cache"))
    graph = light(path)
    (tmp_path / "input").mkdir()
    provide_files(graph, tmp_path / "input", tmp_path / "output")
    workflow = tmp_path / path.name
    workflow.write_text(json.dumps(graph))
    folders = ["--input", str(tmp_path / "input"), "--output", str(tmp_path / "output")]
    assert main(["run", str(workflow), *folders]) == 0, capsys.readouterr().err
    told = capsys.readouterr()
    videos = sorted((tmp_path / "output").rglob("*.mp4"))
    assert videos
    for video in videos:
        assert str(video) in told.out
        check_video(video, graph)


@pytest.mark.slow
def test_variations_are_none_of_them_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EVENFRAME_CACHE", str(tmp_path / "cache"))
    workflow = tmp_path / "variations.json"
    workflow.write_text(json.dumps(light(ROOT / "examples_workflows" / "api" / "Variations.json")))
    assert main(["run", str(workflow), "--output", str(tmp_path)]) == 0
    files = sorted((tmp_path / "evenframe").glob("variations_[a-z]*.mp4"))
    clips = [load(file).frames for file in files]
    assert len(clips) == 6
    assert all((one - other).abs().max() > 0.01 for one, other in combinations(clips, 2))


@pytest.mark.slow
def test_the_batch_recipe_keeps_its_log_in_every_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("EVENFRAME_CACHE", str(tmp_path / "cache"))
    graph = light(ROOT / "examples_workflows" / "api" / "FAME batch with targets.json")
    workflow, output = tmp_path / "batch.json", tmp_path / "output"
    workflow.write_text(json.dumps(graph))
    batch = ["--each", "Targets.index=0..3", "--output", str(output)]
    assert main(["run", str(workflow), *batch]) == 0, capsys.readouterr().err
    for prefix in ("fame_batch_0", "fame_batch_compared_0"):
        files = sorted((output / "evenframe").glob(f"{prefix}*.mp4"))
        logs = [json.loads(read_metadata(file)["evenframe_log"]) for file in files]
        assert [log["index"] for log in logs] == [0, 1, 2, 3]
        assert {tuple(log["attributes"]) for log in logs} == {
            tuple(log["attribute"] for log in logs)
        }
        assert logs[0]["counts"] == {"female": 2, "male": 2}


@pytest.mark.parametrize(
    "path", [path for path in api_examples() if not runs_anywhere(path)], ids=lambda path: path.stem
)
def test_an_example_for_comfyui_alone_says_so(path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["run", str(path)]) == 1
    assert "runs only in ComfyUI" in capsys.readouterr().err
