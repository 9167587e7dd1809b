"""The recipes that keep the source outside of their regions: at its own size, equal to the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from evenframe.__main__ import main
from evenframe.nodes import node_classes
from evenframe.nodes.host import host, workflow
from evenframe.nodes.host.executor import Executor
from evenframe.nodes.host.standalone import Session, StandaloneHost
from evenframe.pipelines.common.pictures import to_bytes
from evenframe.pipelines.video import load, save
from example_workflows import FRAMES, api_examples, light

SIDE, COUNT = 162, 5
SAVED = sorted((Path(__file__).parent / "saved_workflows").glob("*.json"))


def keeps(path: Path) -> bool:
    """Whether it is a recipe of Evenframe's own editor that pastes the source."""
    classes = {node["class_type"] for node in json.loads(path.read_text(encoding="utf-8")).values()}
    return {"EvenframeEdit", "EvenframePasteSource"} <= classes


KEPT = [path for path in api_examples() if keeps(path)]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """The session's input folder has a clip of 162x162 pixels, which is edited at 128x128."""
    assert isinstance(host, StandaloneHost)
    (tmp_path / "input").mkdir()
    noise = torch.rand(COUNT, SIDE, SIDE, 3, generator=torch.Generator().manual_seed(0))
    save(tmp_path / "input" / "clip.mp4", noise, 10)
    folders = Session(
        inputs=(tmp_path / "input",),
        output=tmp_path / "output",
        temp=tmp_path / "temp",
        cache=tmp_path / "cache",
    )
    with host.using(folders):
        yield folders


def on_own_clip(path: Path) -> dict[str, Any]:
    """A recipe as its note says for a clip of one's own: chosen in Load Video."""
    graph = light(path)
    [loader] = [node for node in graph.values() if node["class_type"] == "EvenframeLoadVideo"]
    loader["inputs"] |= {"file": "clip.mp4", "skip": 1}
    [paste] = [node for node in graph.values() if node["class_type"] == "EvenframePasteSource"]
    paste["inputs"]["whole_video"] = True  # as in the recipe
    return graph


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_recipe_saves_what_is_pasted_into_the_clip(path: Path):
    graph = json.loads(path.read_text(encoding="utf-8"))
    [(paste, inputs)] = [
        (node_id, node["inputs"])
        for node_id, node in graph.items()
        if node["class_type"] == "EvenframePasteSource"
    ]
    [loader] = [key for key, node in graph.items() if node["class_type"] == "EvenframeLoadVideo"]
    assert inputs["clip"] == [loader, 1] and "source" not in inputs
    saved = [node["inputs"] for node in graph.values() if node["class_type"].endswith("SaveVideo")]
    assert [paste, 1] in [node["frames"] for node in saved]


@pytest.mark.slow
@pytest.mark.parametrize("path", [KEPT[0], KEPT[-2]], ids=lambda path: path.stem)
def test_a_recipe_keeps_the_file_around_its_regions(path: Path, session: Session):
    assert isinstance(host, StandaloneHost)
    result = Executor(host, node_classes()).run(workflow.parse(on_own_clip(path)))
    graph = workflow.parse(on_own_clip(path))
    [paste] = [n for n in graph.nodes.values() if n.class_type == "EvenframePasteSource"]
    regions = result.results[paste.inputs["regions"].node].values[0]
    inside = F.interpolate(regions.coverage((128, 128))[None], (SIDE, SIDE), mode="bilinear")[0] > 0
    source = to_bytes(load(session.inputs[0] / "clip.mp4").frames).numpy()
    pasted = np.stack([shot.pixels for shot in result.results[paste.id].values[1].shots()])
    assert pasted.shape == (COUNT, SIDE, SIDE, 3)
    changed = (pasted != source).any(-1)
    assert not changed[[0, 4]].any(), "frames that were not loaded"
    assert changed[1:4].any() and not (changed[1:4] & ~inside.numpy()).any()
    [saved] = [file for file in session.output.rglob("*.mp4") if "compared" not in file.name]
    assert load(saved).frames.shape == pasted.shape


@pytest.mark.slow
@pytest.mark.parametrize("path", SAVED, ids=lambda path: path.stem)
def test_a_recipe_that_was_saved_before_pastes_had_clips_still_runs(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Frames of the demo clip are linked as `source`, and Save Video takes frames and the clip."""
    monkeypatch.setenv("EVENFRAME_CACHE", str(tmp_path / "cache"))
    saved = tmp_path / path.name
    saved.write_text(json.dumps(light(path)))
    assert main(["run", str(saved), "--output", str(tmp_path)]) == 0, capsys.readouterr().err
    [file] = [file for file in tmp_path.rglob("*.mp4") if "compared" not in file.name]
    assert load(file).frames.shape == (FRAMES, 128, 128, 3)


def with_demo_clip(path: Path) -> dict[str, Any]:
    """A recipe as it was when a node of its own gave the built-in clip."""
    graph = light(path)
    [loader] = [node for node in graph.values() if node["class_type"] == "EvenframeLoadVideo"]
    scene = loader["inputs"]["file"].removeprefix("demo: ")
    loader["inputs"] = {"max_frames": FRAMES, "scene": scene}
    loader["class_type"] = "EvenframeDemoClip"
    return graph


@pytest.mark.slow
@pytest.mark.parametrize("name", ["FateZero style edit", "ReAtCo two objects"])
def test_the_built_in_file_is_edited_as_the_demo_clip(name: str, session: Session):
    [path] = [path for path in api_examples() if path.stem == name]
    assert isinstance(host, StandaloneHost)
    for graph in (with_demo_clip(path), light(path)):
        Executor(host, node_classes()).run(workflow.parse(graph))
    edits = sorted(file for file in session.output.rglob("*.mp4") if "compared" not in file.name)
    before, after = (load(file).frames for file in edits)
    assert torch.equal(before, after)
