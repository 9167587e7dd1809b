"""The pack in a real ComfyUI server. Skipped, with the reason, where there is none."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import drawn_people
import numpy as np
import pytest
import torch
from comfyui_server import ComfyServer, PromptRefused, Run, wait_for
from PIL import Image
from tracking_models import tiny_sam
from whole_edit import edit_workflow, save_tiny_model

from evenframe.miniature import demo, scenes
from evenframe.nodes import node_classes
from evenframe.pipelines.common.pictures import to_image
from example_workflows import EXPERTS, OWN_WAN, WAN, api_examples, check_video, light, provide_files

ROOT = Path(__file__).resolve().parents[1]


def probe(**inputs: Any) -> dict[str, Any]:
    """A workflow of the probe pack, which uses nothing but the host door."""
    defaults = {"model": ["1", 0], "steps": 5, "pause": 0.0, "fail": ""}
    return {
        "1": {"class_type": "ProbeModel", "inputs": {"width": 64}},
        "2": {"class_type": "ProbeRun", "inputs": defaults | inputs},
    }


def failure(run: Run) -> list[str]:
    """What went wrong, for a failed assertion to show."""
    return [error["exception_message"] for error in run.of("execution_error")]


def test_the_pack_is_imported(comfyui: ComfyServer):
    assert "IMPORT FAILED" not in comfyui.log
    assert "Error while calling comfy_entrypoint" not in comfyui.log
    assert "/custom_nodes/evenframe" in comfyui.log


def test_every_node_is_registered_with_a_tooltip_on_every_input(comfyui: ComfyServer):
    known = comfyui.get("/object_info")
    missing = []
    for cls in node_classes():
        node_id = cls.GET_SCHEMA().node_id
        info = known[node_id]
        assert info["category"].split("/")[0] == "Evenframe", node_id
        assert info["python_module"] == "custom_nodes.evenframe"
        assert info["display_name"] and info["description"], node_id
        for group in ("required", "optional"):
            for name, (_, options) in info["input"].get(group, {}).items():
                if not options.get("tooltip"):
                    missing.append(f"{node_id}.{name}")
    assert missing == [], "no tooltip"


def test_every_node_has_a_help_page(comfyui: ComfyServer):
    for cls in node_classes():
        page = comfyui.text(f"/extensions/evenframe/docs/{cls.GET_SCHEMA().node_id}.md")
        assert page.startswith("# ")


@pytest.mark.parametrize("pack", ["evenframe", "evenframe_cloned"])
def test_every_template_is_listed_and_served(comfyui: ComfyServer, pack: str):
    expected = sorted(path.stem for path in (ROOT / "examples_workflows").glob("*.json"))
    listed = comfyui.get("/workflow_templates").get(pack, [])
    assert sorted(listed) == expected
    for name in expected:
        graph = comfyui.get(f"/api/workflow_templates/{pack}/{quote(name)}.json")
        assert graph["nodes"], f"{name} is not in the editor's format"


def test_the_blueprint_is_listed_and_made_of_nodes_that_are_there(comfyui: ComfyServer):
    ours = {
        node_id: entry
        for node_id, entry in comfyui.get("/global_subgraphs").items()
        if entry["info"]["node_pack"] == "custom_nodes.evenframe"
    }
    [(node_id, entry)] = ours.items()
    assert (entry["name"], entry["source"]) == ("Only there", "custom_node")
    graph = json.loads(comfyui.get(f"/global_subgraphs/{node_id}")["data"])
    subgraphs = {each["id"]: each for each in graph["definitions"]["subgraphs"]}
    [whole] = graph["nodes"]  # the editor takes no other blueprint
    assert subgraphs[whole["type"]]["name"] == entry["name"] == whole["title"]
    inside = {node["type"] for each in subgraphs.values() for node in each["nodes"]}
    known = set(comfyui.get("/object_info")) | set(subgraphs) | {"MarkdownNote"}
    assert {"EvenframePasteSource", "ImageInvert"} <= inside <= known


def test_track_region_offers_the_models_of_a_folder_that_need_not_exist(comfyui: ComfyServer):
    sams = comfyui.base / "models" / "sams"

    def offered() -> list[list[str]]:
        [schema] = comfyui.get("/object_info/EvenframeTrackRegion").values()
        required = schema["input"]["required"]
        return [required[name][1]["options"] for name in ("segmenter", "tracker")]

    always = ["optical flow", "person"]
    assert not sams.exists() and offered() == [["none"], always]
    sams.touch()
    assert offered() == [["none"], always], "a file in its place"
    sams.unlink()
    sams.symlink_to("elsewhere")
    assert offered() == [["none"], always], "a dead link"
    sams.unlink()
    (sams / "tiny").mkdir(parents=True)
    for name in ("vit_b.pth", "tiny/config.json"):
        (sams / name).touch()
    assert offered() == [["none", "vit_b.pth"], [*always, "tiny"]]
    shutil.rmtree(sams)


def test_the_door_leads_to_the_servers_own_services(comfyui: ComfyServer):
    (comfyui.base / "input" / "note.txt").touch()
    (comfyui.base / "models" / "checkpoints" / "sd.safetensors").touch()
    run = comfyui.run(probe())
    assert run.outcome == "execution_success", run.messages
    [path] = comfyui.files(run)
    assert path == comfyui.base / "output" / "probe" / "told_00001_.json"
    told = json.loads(path.read_text())
    assert told["host"] == "comfyui"
    assert told["device"] == told["weights"] == "cpu"
    assert told["dtype"] == "torch.float32"
    assert told["free"] > 2**20
    assert told["inference"]
    assert "sd.safetensors" in told["checkpoints"]
    assert told["inputs"] == ["note.txt"]
    assert Path(told["cache"]).is_relative_to(comfyui.base / "user")
    assert told["prompt"] == probe()


def test_progress_and_previews_reach_the_client(comfyui: ComfyServer):
    run = comfyui.run(probe(steps=6, pause=0.01))
    steps = [data["value"] for data in run.of("progress") if data["node"] == "2"]
    assert steps == sorted(steps)
    assert steps[0] == 1 and steps[-1] == 6
    assert {data["max"] for data in run.of("progress")} == {6}
    assert run.previews >= 3


def test_an_interrupt_ends_within_a_step_and_the_next_run_works(comfyui: ComfyServer):
    run = comfyui.queue(probe(steps=300, pause=0.2))
    wait_for(lambda: run.of("progress"))
    comfyui.interrupt()
    asked = time.monotonic()
    assert run.ended.wait(10)
    assert time.monotonic() - asked < 2
    assert run.outcome == "execution_interrupted"
    assert comfyui.run(probe(steps=2)).outcome == "execution_success"


def test_the_first_line_of_an_error_reaches_the_client(comfyui: ComfyServer):
    run = comfyui.run(probe(fail="steps is 0: choose a value from 1 to 1000."))
    assert run.outcome == "execution_error"
    [error] = run.of("execution_error")
    assert error["exception_message"].splitlines()[0].startswith("steps is 0: choose a value")
    assert error["node_id"] == "2"


def test_values_out_of_range_are_refused_before_anything_runs(comfyui: ComfyServer):
    with pytest.raises(PromptRefused) as refused:
        comfyui.run(probe(steps=0))
    [error] = refused.value.body["node_errors"]["2"]["errors"]
    assert error["type"] == "value_smaller_than_min"


def test_a_word_that_no_prompt_has_is_told_at_its_node_before_anything_runs(comfyui: ComfyServer):
    graph = json.loads((api_examples()[0].parent / "FateZero style edit.json").read_text("utf-8"))
    graph["7"]["inputs"]["new_words"] = "owl"
    run = comfyui.queue(graph)  # the prompts are fine, and run
    assert run.ended.wait(60)
    assert {data["node"] for data in run.of("executed")} == {"2", "4", "5"}
    told = run.refused
    assert list(told) == ["7"]
    assert {error["extra_info"]["input_name"] for error in told["7"]["errors"]} >= {"new_words"}
    text = "In Attention Fusion Preset, new_words: The word 'owl' is not in the prompt 'a red"
    assert all(text in error["details"] for error in told["7"]["errors"])


def test_an_edit_that_a_switch_leaves_out_may_have_any_words(comfyui: ComfyServer):
    graph = json.loads((api_examples()[0].parent / "FateZero style edit.json").read_text("utf-8"))
    graph["7"]["inputs"]["new_words"] = "owl"
    switch = {"switch": False, "on_true": ["9", 0], "on_false": ["3", 0]}
    graph["90"] = {"class_type": "ComfySwitchNode", "inputs": switch}
    graph["10"]["inputs"]["frames"] = ["90", 0]
    saving = {id: graph[id] for id in ("2", "3", "4", "5", "6", "7", "8", "9", "10", "90")}
    run = comfyui.run(saving)
    assert run.outcome == "execution_success" and run.refused == {}, failure(run)
    assert "8" not in {data["node"] for data in run.of("executing")}


def test_a_model_is_loaded_once_and_unloaded_when_asked(comfyui: ComfyServer):
    def loads() -> int:
        return comfyui.log.count("Requested to load Holder")

    comfyui.run(probe(steps=11))
    before = loads()
    assert before >= 1
    comfyui.run(probe(steps=12))
    assert loads() == before, "still loaded"
    comfyui.free()
    comfyui.run(probe(steps=13))
    assert loads() == before + 1, "unloaded, so loaded again"


def test_memory_that_is_lent_is_taken_back_when_room_is_needed(comfyui: ComfyServer):
    run = comfyui.run({"1": {"class_type": "ProbeLoan", "inputs": {}}})
    assert run.outcome == "execution_success", failure(run)
    told = json.loads(comfyui.outputs(run)["1"]["text"][0])
    assert told == {
        "counted": [True],
        "elsewhere": 0,
        "no_need": 3,
        "need": 0,
        "held": 0,
        "counted_after": 0,
        "gives_all_where_less_is_wanted": [True, 0],
        "dropped": 0,
    }


AROUND = '{"version": 1, "unit": "pixel", "box": [9, 20, 61, 72]}'
"""The red circle of the built-in clip, on its first frame."""


def tracking(**start: Any) -> dict[str, Any]:
    """The built-in clip made negative where the object is that Track Region follows."""
    told = {"name": "circle", "words": "", "grow": 0, "soften": 0}
    pasted = {"source": ["clip", 0], "regions": ["track", 0], "feather": 0, "linear_light": False}
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "clip": ("EvenframeDemoClip", {"max_frames": 16}),
        "painted": ("LoadImageMask", {"image": "painted.png", "channel": "red"}),
        "track": (
            "EvenframeTrackRegion",
            {"frames": ["clip", 0], "segmenter": "none", "tracker": "optical flow"} | told | start,
        ),
        "mask": ("MaskToImage", {"mask": ["track", 1]}),
        "masks": ("PreviewImage", {"images": ["mask", 0]}),
        "negative": ("ImageInvert", {"image": ["clip", 0]}),
        "paste": ("EvenframePasteSource", {"frames": ["negative", 0]} | pasted),
        "pasted": ("PreviewImage", {"images": ["paste", 0]}),
        "picture": ("PreviewImage", {"images": ["track", 2]}),
    }
    return {key: {"class_type": name, "inputs": given} for key, (name, given) in nodes.items()}


def pictures(comfyui: ComfyServer, run: Run, node: str) -> np.ndarray:
    """(f, h, w, 3) in 0..1: what a node of ComfyUI's own shows."""
    shown = comfyui.outputs(run)[node]["images"]
    paths = [comfyui.base / at["type"] / at["subfolder"] / at["filename"] for at in shown]
    return np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths]) / 255


def centres(masks: np.ndarray) -> np.ndarray:
    """(f, 2): the mean column and row of each mask (f, h, w) of 0 and 1."""
    return np.array([[indices.mean() for indices in np.nonzero(mask)[::-1]] for mask in masks])


@pytest.mark.parametrize("start", ["box", "mask"])
def test_a_region_follows_its_object_and_is_used(comfyui: ComfyServer, start: str):
    drawn = [scenes.render(demo.demo_scene(), frame) for frame in range(16)]
    frames = np.stack([frame for frame, _ in drawn])
    truth = np.stack([masks[0] > 0.5 for _, masks in drawn])  # the red circle
    Image.fromarray(truth[8].astype(np.uint8) * 255).save(comfyui.base / "input" / "painted.png")
    given: dict[str, Any] = {"text": AROUND}
    if start == "mask":
        given = {"text": '{"version": 1, "frame": 8}', "mask": ["painted", 0]}
    run = comfyui.run(tracking(**given))
    assert run.outcome == "execution_success", failure(run)
    reported = [data["value"] for data in run.of("progress") if data["node"] == "track"]
    assert reported and reported[-1] == 16

    masks = pictures(comfyui, run, "masks")[..., 0]
    assert masks.shape == truth.shape and set(np.unique(masks)) == {0, 1}
    off = np.abs(centres(masks) - centres(truth)).max()
    assert off < (3 if start == "box" else 1), "pixels: a box drifts a little with each frame"
    assert np.abs(centres(truth)[15] - centres(truth)[0]).max() > 30, "and it moves far"
    covered = (masks * truth).sum((1, 2)) / truth.sum((1, 2))
    assert covered.min() > 0.95
    share = masks.sum((1, 2)) / truth.sum((1, 2))  # a box of the circle has 4 / pi of its area
    assert share.max() < (1.45 if start == "box" else 1.05)

    inside = masks[..., None] == 1
    expected = np.where(inside, 1 - frames, frames)
    assert np.abs(pictures(comfyui, run, "pasted") - expected).max() < 1.5 / 255


def test_people_are_found_without_a_prompt_and_nobody_is_told(comfyui: ComfyServer):
    frame, labels = drawn_people.drawn([drawn_people.Figure(160, 20)])
    to_image(frame).save(comfyui.base / "input" / "person.png")
    graph = tracking(text="", tracker="person")
    nobody = comfyui.run(graph)
    assert failure(nobody)[0].startswith(
        "Nobody is found on any of the 16 frames: draw a box around"
    )
    graph["clip"] = {"class_type": "LoadImage", "inputs": {"image": "person.png"}}
    run = comfyui.run(graph)
    assert run.outcome == "execution_success", failure(run)
    found = pictures(comfyui, run, "masks")[0, ..., 0] == 1
    assert drawn_people.overlap(found, labels > 0) > 0.95


def test_a_replaced_checkpoint_of_sam_tracks_again(comfyui: ComfyServer):
    pytest.importorskip("segment_anything", reason="segment-anything is not installed")
    checkpoint = comfyui.base / "models" / "sams" / "tiny.pth"
    checkpoint.parent.mkdir()
    torch.save(tiny_sam().state_dict(), checkpoint)
    graph = tracking(text=AROUND, segmenter=checkpoint.name)

    def cached() -> set[str]:
        run = comfyui.run(graph)
        assert run.outcome == "execution_success", failure(run)
        return set(run.of("execution_cached")[0]["nodes"])

    assert "track" not in cached()
    assert {"clip", "track"} <= cached()
    os.utime(checkpoint, (1, 1))
    assert {"clip", "track"} & cached() == {"clip"}
    shutil.rmtree(checkpoint.parent)


@pytest.fixture(scope="module")
def tiny_model(comfyui: ComfyServer) -> str:
    """The name of a very small random model in the server's folders."""
    folder = comfyui.base / "models" / "diffusers" / "tiny"
    if not folder.exists():
        save_tiny_model(folder)
    return folder.name


@pytest.mark.slow
def test_a_whole_edit_runs_and_the_next_one_finds_its_inversion(
    comfyui: ComfyServer, tiny_model: str
):
    first = comfyui.run(edit_workflow())
    assert first.outcome == "execution_success", failure(first)
    [saved] = [path for path in comfyui.files(first) if path.suffix == ".mp4"]
    check_video(saved, edit_workflow())
    assert first.previews > 0
    second = comfyui.run(edit_workflow(target="a green square"))
    assert second.outcome == "execution_success"
    assert "invert" in second.of("execution_cached")[0]["nodes"]
    for seconds, target in ((2, "a red square"), (20, "a white square")):
        comfyui.post("/free", {"unload_models": True, "free_memory": True})
        time.sleep(seconds)  # the server frees when it gets to it, and nobody is told
        third = comfyui.run(edit_workflow(target=target))
        if "invert" not in third.of("execution_cached")[0]["nodes"]:
            break
    assert "invert" not in third.of("execution_cached")[0]["nodes"]
    inverted = [data for data in third.of("progress") if data["node"] == "invert"]
    assert inverted == [], "found on disk, so no step was computed"


@pytest.mark.slow
def test_a_saved_inversion_is_offered_and_loaded(comfyui: ComfyServer, tiny_model: str):
    graph = edit_workflow()
    inputs = {"inversion": ["invert", 0], "filename_prefix": "kept/clip"}
    graph["keep"] = {"class_type": "EvenframeSaveInversion", "inputs": inputs}
    kept = comfyui.run(graph)
    assert kept.outcome == "execution_success", failure(kept)
    [schema] = comfyui.get("/object_info/EvenframeLoadInversion").values()
    offered = json.dumps(schema["input"]["required"]["file"])
    name = next(f"kept/{p.name} [output]" for p in comfyui.files(kept) if p.suffix != ".mp4")
    assert name in offered
    graph["load"] = {"class_type": "EvenframeLoadInversion", "inputs": {"file": name}}
    graph["edit"]["inputs"]["inversion"] = ["load", 0]
    loaded = comfyui.run(graph)
    assert loaded.outcome == "execution_success", failure(loaded)


@pytest.mark.slow
@pytest.mark.parametrize("node", ["invert", "edit"])
def test_an_interrupt_ends_inversion_and_edit_within_a_step(
    comfyui: ComfyServer, tiny_model: str, node: str
):
    run = comfyui.queue(edit_workflow(steps=200 if node == "invert" else 12, eta=0.5))
    wait_for(lambda: [data for data in run.of("progress") if data["node"] == node])
    comfyui.interrupt()
    assert run.ended.wait(10)
    assert run.outcome == "execution_interrupted"
    last = [data for data in run.of("progress") if data["node"] == node][-1]
    assert last["value"] < last["max"]
    after = comfyui.run(edit_workflow())
    assert after.outcome == "execution_success", failure(after)
    told = [told["text"] for told in run.of("evenframe.told") if told["node"] == "edit"]
    assert node == "invert" or "passes with 2 prompts" in told[0]


@pytest.mark.slow
def test_a_long_clips_edit_tells_its_windows_and_ends_within_a_pass(
    comfyui: ComfyServer, tiny_model: str
):
    graph = edit_workflow(steps=300)
    graph["clip"]["inputs"]["max_frames"] = 8
    windows = {"size": 2, "stride": 1, "weights": "uniform"}
    graph["cut"] = {"class_type": "EvenframeWindows", "inputs": windows}
    graph["invert"]["inputs"] |= {"windows": ["cut", 0], "store": "auto"}
    run = comfyui.queue(graph)

    def passes() -> list[dict[str, Any]]:
        return [told for told in run.of("evenframe.progress") if told["what"]]

    wait_for(lambda: len(passes()) > 4)
    comfyui.interrupt()
    asked = len(passes())
    assert run.ended.wait(10) and run.outcome == "execution_interrupted"
    # One that was under way, and one that the socket had yet to bring.
    assert len(passes()) - asked <= 2
    first = passes()[0]
    assert (first["node"], first["label"], first["total"]) == ("invert", "Inverting", 300)
    windows = {told["what"] for told in passes()}
    assert windows <= {f"window {at} of 7" for at in range(1, 8)} and len(windows) > 1
    assert all(0 <= told["share"] < 1 for told in passes())


@pytest.mark.slow
def test_the_pipelines_own_errors_reach_the_client(comfyui: ComfyServer, tiny_model: str):
    graph = edit_workflow(target="a large green circle")  # its preset swaps a word for a word
    run = comfyui.run(graph)
    assert run.outcome == "execution_error"
    message = run.of("execution_error")[0]["exception_message"]
    assert "prompts of equally many words" in message.splitlines()[0]


SAVED = ROOT / "tests" / "saved_workflows" / "ReAtCo tracked object.json"
EXAMPLES = [  # see test_comfyui_wan.py for those of Wan
    path for path in api_examples() if path.stem not in (WAN, OWN_WAN, EXPERTS)
]


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", [*EXAMPLES, pytest.param(SAVED, id="of before")], ids=lambda path: path.stem
)
def test_an_example_runs_to_a_video_that_decodes(
    comfyui: ComfyServer, path: Path, request: pytest.FixtureRequest
):
    graph = light(path)
    for node in graph.values():
        if node["class_type"] == "CheckpointLoaderSimple":
            node["inputs"]["ckpt_name"] = request.getfixturevalue("checkpoint")
        elif node["class_type"] == "ControlNetLoader":
            node["inputs"]["control_net_name"] = request.getfixturevalue("controlnet")
    provide_files(graph, comfyui.base / "input", comfyui.base / "output")
    missing = {node["class_type"] for node in graph.values()} - set(comfyui.get("/object_info"))
    assert missing == set()
    run = comfyui.run(graph)
    assert run.outcome == "execution_success", failure(run)
    files = [file for file in comfyui.files(run) if file.suffix == ".mp4"]
    assert files, "no video was saved"
    for file in files:
        check_video(file, graph)
    assert run.of("progress"), "no progress was shown"
