"""ReAtCo's nodes: one graph with all of them, and each by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from whole_edit import edit_workflow, save_tiny_model

from evenframe.nodes import node_classes
from evenframe.nodes.control import EvenframeJointSampling, EvenframeRefocus
from evenframe.nodes.host import host, workflow
from evenframe.nodes.host.executor import Executor
from evenframe.nodes.host.standalone import Session, StandaloneHost
from evenframe.nodes.inversion import EvenframeWindows
from evenframe.nodes.paste import EvenframePasteSource
from evenframe.nodes.region import EXAMPLE, EvenframeDrawRegions, EvenframeMaskRegion
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.controls.base import Control
from evenframe.pipelines.controls.reatco.joint_sampling import JointSampling
from evenframe.pipelines.controls.reatco.refocus import Refocus
from evenframe.pipelines.controls.span import Span

BOX = {"name": "left", "words": "blue circle", "box": [0, 0.25, 0.5, 1]}
TEXT = json.dumps({"version": 1, "regions": [BOX]})


@pytest.fixture(autouse=True)
def session(tmp_path: Path) -> Iterator[Session]:
    assert isinstance(host, StandaloneHost)
    folders = Session(
        models=(tmp_path / "models",),
        output=tmp_path / "output",
        temp=tmp_path / "temp",
        cache=tmp_path / "cache",
    )
    with host.using(folders):
        yield folders


def node(name: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": f"Evenframe{name}", "inputs": inputs}


def reatco_workflow() -> dict[str, Any]:
    """Two regions, RAD, IRJS and fusion, in windows, with the source pasted outside."""
    graph = edit_workflow(steps=2)
    graph["clip"]["inputs"]["max_frames"] = 3
    del graph["invert"]["inputs"]["store"], graph["store"]
    graph["windows"] = node("Windows", size=2, stride=1, weights="triangular")
    graph["invert"]["inputs"]["windows"] = ["windows", 0]
    graph["draw"] = node("DrawRegions", frames=["clip", 0], text=TEXT)
    graph["refocus"] = node(
        "Refocus",
        regions=["draw", 0],
        scale=20.0,
        start=0.0,
        end=1.0,
        top_fraction=0.2,
        refine=False,
        rule="code",
        outer_count="complement",
        sharpen=True,
        smooth=True,
        checkpointing="auto",
        controls=["fusion", 0],
    )
    graph["joint"] = node(
        "JointSampling",
        regions=["draw", 0],
        noise="inversion",
        repeats=1,
        controls=["refocus", 0],
    )
    graph["edit"]["inputs"]["controls"] = ["joint", 0]
    graph["paste"] = node(
        "PasteSource",
        frames=["decode", 0],
        source=["clip", 0],
        regions=["draw", 0],
        feather=4,
        linear_light=True,
    )
    graph["save"]["inputs"]["frames"] = ["paste", 0]
    return graph


def test_a_graph_with_all_of_reatco(tmp_path: Path):
    assert isinstance(host, StandaloneHost)
    save_tiny_model(tmp_path / "models" / "diffusers" / "tiny")
    result = Executor(host, node_classes()).run(workflow.parse(reatco_workflow()))
    [source] = [result.results["clip"].values[0]]
    [pasted, *_] = result.results["paste"].values
    latents = result.results["edit"].values[0]["samples"]
    assert latents.shape == (3, 4, 16, 16) and latents.isfinite().all()
    assert torch.equal(pasted[:, :, 64:], source[:, :, 64:])
    assert torch.equal(pasted[:, :32], source[:, :32])
    assert not torch.equal(pasted[:, 32:, :64], source[:, 32:, :64])


def test_regions_are_drawn_one_above_the_other(clip: Tensor):
    below = EvenframeDrawRegions.execute(clip, EXAMPLE)
    drawn = EvenframeDrawRegions.execute(clip, TEXT, below[0])
    assert [region.name for region in drawn[0].items] == ["left", "right", "left"]
    assert drawn[1].shape == (3, 64, 128) and drawn[1][0, 63, 0] == 1
    assert drawn[2].shape == clip.shape
    assert drawn.ui["text"] == ["left: no words; right: no words; left: blue circle"]
    assert len(drawn.ui["images"]) == 3


def test_the_editor_shows_its_regions_itself_but_not_those_of_others(
    clip: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(type(host), "strips_folder", lambda self: tmp_path)
    monkeypatch.setattr(type(host), "saved", lambda self, path: {"subfolder": "s", "type": "temp"})
    alone = EvenframeDrawRegions.execute(clip, EXAMPLE)
    assert alone.ui.keys() == {"text", "evenframe_strips"}
    over = EvenframeDrawRegions.execute(clip, EXAMPLE, alone[0])
    assert len(over.ui["images"]) == 3


def test_key_frames_behind_the_end_are_named_by_the_node(clip: Tensor):
    keys = [{"frame": frame, "box": BOX["box"]} for frame in (0, 3, 9)]
    told = json.dumps({"version": 1, "regions": [{"name": "left", "keyframes": keys}]})
    drawn = EvenframeDrawRegions.execute(clip, told)
    assert drawn.ui["text"][0].startswith("left: no words\nRegion 'left' has key frames behind")
    assert "2: 3, 9." in drawn.ui["text"][0]


FOUND = {"x": 32, "y": 16, "width": 64, "height": 32, "metadata": {"desc": "blue circle"}}


@pytest.mark.parametrize("boxes", [FOUND, [FOUND], [[FOUND]]])
def test_boxes_of_other_nodes_become_regions(clip: Tensor, boxes: Any):
    drawn = EvenframeDrawRegions.execute(clip, TEXT, boxes=boxes)
    assert drawn.ui["text"] == ["left: blue circle; blue circle: blue circle"]
    alone = EvenframeDrawRegions.execute(clip, " ", boxes=boxes)
    [region] = alone[0].items
    assert region.boxes.tolist() == [[32, 16, 96, 48]] * 3


def test_boxes_without_a_word_and_one_that_moves(clip: Tensor):
    plain = {name: FOUND[name] for name in ("x", "y", "width", "height")}
    drawn = EvenframeDrawRegions.execute(clip, "", boxes=[plain, plain | {"label": "car"}])
    assert drawn.ui["text"] == ["box 1: no words; car: car"]
    moving = [[plain | {"x": 8 * frame, "score": 0.9}] for frame in range(3)]
    [region] = EvenframeDrawRegions.execute(clip, "", boxes=moving)[0].items
    assert region.boxes[:, 0].tolist() == [0, 8, 16]


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([], "boxes is empty: give 1"),
        ("here", "boxes is 'here': give 1"),
        ([5], "boxes\\[0\\] is 5: give boxes such as"),
        ([FOUND] * 33, "boxes has 33 boxes: give 1 to 32"),
        ([[FOUND]] * 2, "boxes are of 2 frames, but the clip has 3"),
        ([[FOUND], [FOUND, FOUND], [FOUND]], "boxes\\[1\\] has 2 boxes: give one on each frame"),
        (FOUND | {"width": 0}, "is reversed or empty"),
        (FOUND | {"x": "1"}, "boxes\\[0\\].x has the text '1'"),
        (FOUND | {"x": 500}, "lies outside the frame of 128x64 pixels"),
        (FOUND | {"metadata": {"desc": 3}}, "metadata.desc is 3: give a text"),
        (FOUND | {"metadata": {"desc": "x" * 2000}}, "metadata.desc has 2000 characters"),
    ],
)
def test_what_are_no_boxes(clip: Tensor, boxes: Any, message: str):
    with pytest.raises(EvenframeError, match=message):
        EvenframeDrawRegions.execute(clip, "", boxes=boxes)


def test_a_box_is_looked_at_alone(tmp_path: Path):
    """No model is loaded, and nothing else has to be there."""
    graph = {
        "clip": node("DemoClip", max_frames=3, scene="two shapes"),
        "draw": node("DrawRegions", frames=["clip", 0], text=TEXT),
    }
    assert isinstance(host, StandaloneHost)
    result = Executor(host, node_classes()).run(workflow.parse(graph))
    assert set(result.results) == {"clip", "draw"}


def test_a_mask_becomes_a_region(clip: Tensor):
    mask = torch.zeros(1, 64, 128)
    mask[0, 30, 60] = 1
    regions, covered, _ = EvenframeMaskRegion.execute(
        clip, mask, name="dot", words="circle", grow=2, soften=0
    ).args
    [region] = regions.items
    assert (region.name, region.words, regions.frames) == ("dot", "circle", 3)
    assert covered.sum() == 3 * 25


def given(node: Any, values: list[Any], chain: tuple[Any, ...]) -> dict[str, Any]:
    """Values of a node's inputs in their order, the last of which is the chain."""
    names = [each.id for each in node.GET_SCHEMA().inputs]
    return dict(zip(names, [*values, chain], strict=True))


def test_controls_are_added_to_the_chain(clip: Tensor):
    regions = EvenframeDrawRegions.execute(clip, TEXT)[0]
    before = Control()
    values = [regions, 20.0, 0.1, 0.6, 0.3, True, "paper", "region", False, True, "on"]
    values += ["gradient", 2.0, "worst", "both"]
    chain = EvenframeRefocus.execute(**given(EvenframeRefocus, values, (before,)))[0]
    values = [regions, "fresh", 3, 0.4, 2, "before"]
    chain = EvenframeJointSampling.execute(**given(EvenframeJointSampling, values, chain))[0]
    first, refocus, joint = chain
    assert first is before and isinstance(refocus, Refocus) and isinstance(joint, JointSampling)
    assert refocus.steps == Span(0.1, 0.6) and refocus.rule == "paper" and refocus.refine
    assert (refocus.outer_count, refocus.sharpen, refocus.smooth) == ("region", False, True)
    assert (refocus.top_fraction, refocus.checkpointing) == (0.3, "on")
    assert (refocus.guide_by, refocus.boost) == ("gradient", 2.0)
    assert (refocus.refine_by, refocus.overlap) == ("worst", "both")
    assert (joint.noise, joint.repeats) == ("fresh", 3)
    assert (joint.repeat_steps, joint.inset, joint.place) == (0.4, 2, "before")


def test_the_source_is_pasted_around_each_region(clip: Tensor):
    edited = 1 - clip
    boxes = [[0, 0, 0.5, 1], [0.8, 0.4, 0.85, 0.5]]  # the second is 6 pixels wide and high
    items = [{"name": str(box), "box": box} for box in boxes]
    regions = EvenframeDrawRegions.execute(clip, json.dumps({"version": 1, "regions": items}))[0]
    pasted = EvenframePasteSource.execute(edited, regions, clip)[0]
    assert torch.equal(pasted[:, 28, 104], edited[:, 28, 104])
    assert torch.equal(pasted[:, 32, 20], edited[:, 32, 20])
    assert torch.equal(pasted[:, :, 64:100], clip[:, :, 64:100])


def test_what_is_wrong_is_said_where_it_is_set(clip: Tensor):
    with pytest.raises(EvenframeError, match="The stride of the windows is 9: choose 1 to 4"):
        EvenframeWindows.execute(4, 9, "uniform")
    with pytest.raises(EvenframeError, match="The regions are not JSON"):
        EvenframeDrawRegions.execute(clip, "left")
    regions = EvenframeDrawRegions.execute(clip, TEXT)[0]
    with pytest.raises(EvenframeError, match="The regions are for 3 frames of 128x64 pixels"):
        EvenframePasteSource.execute(clip[:2], regions, clip[:2])
