"""The example workflows in API format, made light enough for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from drawn_people import Figure, drawn

from evenframe.miniature import demo
from evenframe.nodes import node_classes
from evenframe.nodes.common.demo_files import DEMO_FILES
from evenframe.nodes.host.folders import SAVED
from evenframe.pipelines.common.window import Windowing
from evenframe.pipelines.models import families
from evenframe.pipelines.source.file import save as save_inversion
from evenframe.pipelines.source.inversion import invert
from evenframe.pipelines.tuning.file import save as save_tuning
from evenframe.pipelines.tuning.one_shot import tune
from evenframe.pipelines.tuning.settings import Tuning
from evenframe.pipelines.video import load, read_metadata, save

ROOT = Path(__file__).resolve().parents[1]
FRAMES = 3
WAN, OWN_WAN, EXPERTS = "Wan video edit", "Own sampler Wan", "Own sampler two experts"
"""The recipes whose model is in files of its own."""
LIGHT = {
    "steps": 2,
    "tuning_steps": 2,
    "max_frames": FRAMES,
    "preview_every": 1,
    "start_step": 1,
    "max_side": 128,
    "width": 64,
    "height": 64,
    "size": 2,  # so that windows overlap
    "stride": 1,
    "whole_video": False,
}


def api_examples() -> list[Path]:
    return sorted((ROOT / "examples_workflows" / "api").glob("*.json"))


def in_editors_format(path: Path) -> Path:
    """The same recipe as Templates lists it, under a name by which that is found."""
    [found] = (ROOT / "examples_workflows").glob(f"{path.stem} - *.json")
    return found


def runs_anywhere(path: Path) -> bool:
    """Whether all nodes of a workflow are this pack's, so that it needs no checkpoint."""
    graph = json.loads(path.read_text(encoding="utf-8"))
    ours = {cls.GET_SCHEMA().node_id for cls in node_classes()}
    return {node["class_type"] for node in graph.values()} <= ours


def light(path: Path) -> dict[str, Any]:
    """The workflow with few steps and frames; links and everything else as they are."""
    graph = json.loads(path.read_text(encoding="utf-8"))
    host = any(node["class_type"] == "EvenframeAdoptModel" for node in graph.values())
    for node in graph.values():
        inputs = node["inputs"]
        for name in inputs.keys() & LIGHT.keys():
            if inputs[name] and not isinstance(inputs[name], list):  # 0 means "as it comes"
                inputs[name] = LIGHT[name]
        sized = (host and "model" in inputs) or inputs.get("target", "own") != "own"
        if sized and inputs.get("width") == 0:  # else frames get a real model's size
            inputs |= {"width": LIGHT["width"], "height": LIGHT["height"]}
    return graph


def provide_files(graph: dict[str, Any], folder: Path, output: Path) -> None:
    """Write a small video for every input file that a workflow names, and every inversion."""
    with_people = finds_people(graph)
    for node in graph.values():
        name = node["inputs"].get("file")
        if node["class_type"] == "EvenframeLoadInversion":
            _save_inversion(output / name.removesuffix(SAVED))
        elif node["class_type"] == "EvenframeLoadTuning":
            _save_tuning(output / name.removesuffix(SAVED))
        elif isinstance(name, str) and name in DEMO_FILES:
            continue
        elif isinstance(name, str) and with_people:
            (folder / name).unlink(missing_ok=True)
            save(folder / name, walking(8), 8)
        elif isinstance(name, str) and not (folder / name).exists():
            rows = torch.linspace(0, 1, 96)[None, :, None, None]
            moving = torch.linspace(0, 0.5, 8)[:, None, None, None]
            save(folder / name, (rows + moving).remainder(1).expand(8, 96, 130, 3).contiguous(), 8)


def finds_people(graph: dict[str, Any]) -> bool:
    """Whether a workflow is of no use where nobody is seen."""
    return any(node["inputs"].get("tracker") == "person" for node in graph.values())


def walking(count: int, size: tuple[int, int] = (180, 240)) -> torch.Tensor:
    """Somebody drawn who walks to the right: (count, h, w, 3) in 0..1."""
    return torch.stack([drawn([Figure(60 + 14 * n, 24)], size)[0] for n in range(count)])


def _save_inversion(path: Path) -> None:
    """What *ReAtCo long clip* saves, made light."""
    if path.exists():
        return
    frames, prompt = demo.scene_clip("two shapes", FRAMES)
    windows = Windowing(LIGHT["size"], LIGHT["stride"])
    clip, steps = torch.from_numpy(frames), LIGHT["steps"]
    path.parent.mkdir(parents=True, exist_ok=True)
    save_inversion(
        invert(families.load("miniature"), clip, prompt, steps=steps, windowing=windows), path
    )


def _save_tuning(path: Path) -> None:
    """What *Tune-A-Video shape edit* saves, made light."""
    if not path.exists():
        frames, prompt = demo.scene_clip("two shapes", FRAMES)
        path.parent.mkdir(parents=True, exist_ok=True)
        tuning = Tuning(steps=1, learning_rate=3e-4)
        save_tuning(
            tune(families.load("miniature"), torch.from_numpy(frames), prompt, tuning), path
        )


def check_video(path: Path, graph: dict[str, Any]) -> None:
    """The file decodes to the frames that were asked for, and carries its workflow."""
    clip = load(path)
    assert 1 <= len(clip.frames) <= FRAMES
    assert clip.frames.isfinite().all()
    fields = read_metadata(path)
    classes = {node["class_type"] for node in json.loads(fields["prompt"]).values()}
    assert classes == {node["class_type"] for node in graph.values()}
    assert "generative AI" in fields["comment"]
