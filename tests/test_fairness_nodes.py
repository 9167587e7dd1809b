"""The nodes of fairness-aware editing, in graphs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from evenframe.nodes import node_classes
from evenframe.nodes.control import EvenframeAttentionFusion
from evenframe.nodes.fairness import EvenframeFairnessPrompt
from evenframe.nodes.fairness_controls import EvenframeCrossReweighter, EvenframeSelfModulator
from evenframe.nodes.fairness_targets import EvenframeFairnessTargets
from evenframe.nodes.host import host, workflow
from evenframe.nodes.host.executor import Executor
from evenframe.nodes.host.standalone import Session, StandaloneHost
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.controls.fame.cross_reweighter import CrossReweighter
from evenframe.pipelines.controls.fame.self_modulator import SelfModulator
from evenframe.pipelines.controls.span import Span
from evenframe.pipelines.regions.region import box_region
from evenframe.pipelines.regions.regions import Regions


@pytest.fixture(autouse=True)
def session(tmp_path: Path) -> Iterator[None]:
    assert isinstance(host, StandaloneHost)
    with host.using(Session(output=tmp_path / "output", temp=tmp_path / "temp")):
        yield


def defaults(node: Any) -> dict[str, Any]:
    """What a node's widgets start with."""
    return {
        socket.id: socket.default
        for socket in node.GET_SCHEMA().inputs
        if hasattr(socket, "default")
    }


def node(name: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": f"Evenframe{name}", "inputs": inputs}


def test_settings_become_controls_at_the_end_of_the_chain():
    named: dict[str, Any] = defaults(EvenframeSelfModulator) | {"subject": "man"}
    output = EvenframeSelfModulator.execute(**named)
    assert output.args[0] == (SelfModulator(subject=("man",)),)
    changed = defaults(EvenframeSelfModulator) | {"frame_decay": 0.0, "subject": "man, dog"}
    output = EvenframeSelfModulator.execute(**changed, controls=output.args[0])
    first, second = output.args[0]
    assert first == SelfModulator(subject=("man",))
    assert second == SelfModulator(frame_decay=math.inf, subject=("man", "dog"))
    output = EvenframeCrossReweighter.execute(**defaults(EvenframeCrossReweighter))
    assert output.args[0] == (CrossReweighter(),)


@pytest.mark.parametrize("node", [EvenframeSelfModulator, EvenframeCrossReweighter])
def test_both_controls_take_where_and_when_alike(node: Any):
    box = box_region([(0, 0, 64, 64)], (64, 64), name="all")
    regions = Regions((box,), 1, (64, 64))
    placed = {"schedule": "power", "start": 0.1, "end": 0.7, "threshold": 0.4}
    given = defaults(node) | placed | {"subject": " man,dog", "regions": regions}
    (control,) = node.execute(**given).args[0]
    assert (control.schedule, control.threshold) == ("power", 0.4)
    assert control.window == Span(0.1, 0.7)
    assert control.subject == ("man", "dog") and control.regions is regions


def test_the_menu_keeps_its_order():
    names = [cls.GET_SCHEMA().node_id for cls in node_classes()]
    start = names.index("EvenframeFairnessPrompt")
    assert names[start : start + 4] == [
        "EvenframeFairnessPrompt",
        "EvenframeSelfModulator",
        "EvenframeCrossReweighter",
        "EvenframeFairnessTargets",
    ]


def test_targets_give_each_clip_its_attribute_and_the_log():
    seen = []
    for index in range(10):
        attribute, log = EvenframeFairnessTargets.execute(
            "female: 0.5\nmale: 0.5", 10, index, 4
        ).args
        assert json.loads(log)["attributes"][index] == attribute
        seen.append(attribute)
    assert seen.count("female") == seen.count("male") == 5
    with pytest.raises(EvenframeError, match="^index is 10: choose one from 0 to 9"):
        EvenframeFairnessTargets.execute("female: 1", 10, 10, 0)


def test_targets_show_that_shares_were_scaled():
    with pytest.warns(UserWarning):
        output = EvenframeFairnessTargets.execute("female: 3, male: 3", 10, 1, 4)
    assert output.ui is not None
    first, second, log = output.ui["text"][0].splitlines()  # pyright: ignore
    assert first.startswith("clip 2 of 10: ")
    assert second == "The shares sum to 6: they are scaled to 1." and log == output.args[1]


def test_a_saved_clip_of_a_batch_holds_its_log():
    import av

    graph = {
        "targets": node("FairnessTargets", shares="a: 0.75, b: 0.25", count=4, index=2, seed=5),
        "clip": node("DemoClip", max_frames=2),
        "save": node(
            "SaveVideo",
            frames=["clip", 0],
            log=["targets", 1],
            filename_prefix="one",
            format="mp4",
            frame_rate=8.0,
            undo_fit=False,
            crf=-1,
        ),
    }
    assert isinstance(host, StandaloneHost)
    results = Executor(host, node_classes()).run(workflow.parse(graph)).results
    attribute, log = results["targets"].values
    with av.open(str(host.session.output / "one_00001_.mp4")) as container:
        kept = json.loads(container.metadata["evenframe_log"])
    assert kept == json.loads(log) and kept["seed"] == 5
    assert (kept["index"], kept["attribute"]) == (2, attribute)
    assert kept["counts"] == {"a": 3, "b": 1} and kept["attributes"][2] == attribute


def test_presets_are_offered_by_name():
    preset = EvenframeFairnessPrompt.GET_SCHEMA().inputs[2]
    options = preset.options  # type: ignore[attr-defined]
    assert options[0] == "none" and "gender presentation: female" in options
    assert "skin tone: Monk 10" in options


def inverted() -> dict[str, Any]:
    """A clip, inverted in two steps with the built-in model, and a target."""
    return {
        "model": node("LoadModel", model="miniature (built in)", dtype="fp32", prediction="auto"),
        "clip": node("DemoClip", max_frames=2),
        "source": node("Prompt", model=["model", 0], text="a red circle on a gray background"),
        "target": node("Prompt", model=["model", 0], text="a doctor on a gray background"),
        "invert": node(
            "Invert",
            model=["model", 0],
            frames=["clip", 0],
            source_prompt=["source", 0],
            steps=2,
            key_frames="all",
            check=False,
            cache_gb=0,
            sample_seed=-1,
        ),
    }


def fair(strength: float) -> dict[str, Any]:
    """The prompt encoder and both controls at a strength."""
    return {
        "targets": node("FairnessTargets", shares="female: 1", count=1, index=0, seed=0),
        f"prompt {strength}": node(
            "FairnessPrompt",
            model=["model", 0],
            target_prompt=["target", 0],
            **defaults(EvenframeFairnessPrompt)
            | {"attribute": ["targets", 0], "strength": strength, "mask": "soft"},
        ),
        f"modulator {strength}": node(
            "SelfModulator",
            **defaults(EvenframeSelfModulator)
            | {"subject": "circle", "strength": strength, "threshold": 0.2},
        ),
        f"controls {strength}": node(
            "CrossReweighter",
            **defaults(EvenframeCrossReweighter) | {"strength": strength, "subject": "circle"},
            controls=[f"modulator {strength}", 0],
        ),
    }


def edited(name: str, prompt: str, controls: str | None) -> dict[str, Any]:
    """An edit, decoded and saved."""
    linked = {} if controls is None else {"controls": [controls, 0]}
    return {
        f"edit {name}": node(
            "Edit",
            model=["model", 0],
            inversion=["invert", 0],
            target_prompt=[prompt, 0],
            guidance_scale=3.0,
            start_step=0,
            eta=0.0,
            seed=0,
            preview_every=0,
            **linked,
        ),
        f"decode {name}": node(
            "Decode", model=["model", 0], latents=[f"edit {name}", 0], slice_size=2
        ),
        name: node(
            "SaveVideo",
            frames=[f"decode {name}", 0],
            filename_prefix=name,
            format="mp4",
            frame_rate=8.0,
            undo_fit=False,
            crf=0,
        ),
    }


def test_a_whole_edit_runs_and_neutral_settings_change_nothing():
    from evenframe.pipelines.video import load

    graph = inverted() | fair(0.5) | fair(0.0)
    graph |= edited("fair", "prompt 0.5", "controls 0.5")
    graph |= edited("plain", "target", None) | edited("neutral", "prompt 0.0", "controls 0.0")
    assert isinstance(host, StandaloneHost)
    results = Executor(host, node_classes()).run(workflow.parse(graph)).results

    def frames(name: str) -> torch.Tensor:
        [saved] = results[name].ui["images"]
        folder = host.session.output  # type: ignore[attr-defined]
        return torch.as_tensor(load(folder / saved["subfolder"] / saved["filename"]).frames)

    shown = results["prompt 0.5"].ui["text"][0]
    assert "a female doctor on a gray background" in shown
    assert "doctor[2] <- 0.497 doctor[3]" in shown
    assert torch.equal(frames("plain"), frames("neutral"))
    assert not torch.equal(frames("plain"), frames("fair"))


def test_the_attributes_own_words_are_found_by_what_follows():
    graph = inverted() | fair(0.5)
    graph["prompt 0.5"]["inputs"]["explicit"] = True
    weighted = {"method": "reweight", "weights": "female: 2"}
    graph["fusion"] = node("AttentionFusion", **defaults(EvenframeAttentionFusion) | weighted)
    graph |= edited("said", "prompt 0.5", "fusion")
    results = Executor(host, node_classes()).run(workflow.parse(graph)).results  # type: ignore[arg-type]
    assert results["prompt 0.5"].values[0].tokens.text == "a female doctor on a gray background"
    assert "doctor[2] <- 0.5 female[2]" in results["prompt 0.5"].ui["text"][0]
    assert results["said"].ui["images"]
