"""The record of a run: in the file, beside it, and enough to make the video again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import evenframe
from evenframe.__main__ import main
from evenframe.nodes import node_classes
from evenframe.nodes.common.demo_files import clip_of_scene
from evenframe.nodes.common.filmstrips import shown_strips
from evenframe.nodes.common.run_record import run_record
from evenframe.nodes.host import host
from evenframe.nodes.host.executor import Executor
from evenframe.nodes.host.standalone import StandaloneHost
from evenframe.nodes.host.workflow import read
from evenframe.pipelines.common import tensor_file
from evenframe.pipelines.common.tensor_file import hash_tensors
from evenframe.pipelines.video import read_metadata

SAVE = {
    "1": {"class_type": "EvenframeDemoClip", "inputs": {"max_frames": 2}},
    "2": {"class_type": "EvenframeLoadModel", "inputs": {
        "model": "miniature (built in)", "dtype": "auto", "prediction": "auto"}},
    "3": {"class_type": "EvenframeSaveVideo", "inputs": {
        "frames": ["1", 0], "clip": ["1", 1], "model": ["2", 0], "filename_prefix": "kept",
        "format": "mp4", "frame_rate": 0, "undo_fit": True, "crf": -1}},
}  # fmt: skip


@pytest.fixture
def workflow(tmp_path: Path) -> Path:
    path = tmp_path / "save.json"
    path.write_text(json.dumps(SAVE))
    return path


def test_the_record_lies_in_the_file_and_beside_it(workflow: Path, tmp_path: Path):
    from evenframe.miniature.demo import scene_clip
    from evenframe.pipelines.models.families import load

    assert main(["run", str(workflow), "--output", str(tmp_path), "--no-cache"]) == 0
    beside = json.loads((tmp_path / "kept_00001_.json").read_text())
    inside = json.loads(read_metadata(tmp_path / "kept_00001_.mp4")["evenframe_run"])
    assert beside.pop("workflow")["3"]["inputs"]["filename_prefix"] == "kept"
    assert beside == inside
    assert inside["versions"]["evenframe"] == evenframe.__version__
    assert inside["versions"]["torch"] == torch.__version__
    assert inside["threads"] == torch.get_num_threads() and len(inside["code"]) == 64
    assert inside["model"] == {"name": "miniature", "fingerprint": load("miniature").fingerprint}
    frames = torch.from_numpy(scene_clip("two shapes", 2)[0])
    assert inside["clip"]["sha256"] == hash_tensors({"frames": frames})


def test_a_clip_is_hashed_in_parts_between_which_an_interrupt_ends_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    clip, _ = clip_of_scene("two shapes", 2)
    whole, parts = hash_tensors({"frames": clip.frames}), []
    monkeypatch.setattr(tensor_file, "HASHED", 100_000)
    assert hash_tensors({"frames": clip.frames}, lambda: parts.append(1)) == whole
    assert len(parts) == 4

    class Interrupted(BaseException):
        pass

    def interrupt() -> None:
        raise Interrupted

    monkeypatch.setattr(host, "check_interrupt", interrupt)
    monkeypatch.setattr(host, "strips_folder", lambda: tmp_path)
    for hashes in (lambda: run_record(None, clip), lambda: shown_strips(clip.frames)):
        with pytest.raises(Interrupted):
            hashes()


def test_the_workflow_beside_a_video_makes_it_again(workflow: Path, tmp_path: Path):
    where = ["--output", str(tmp_path), "--no-cache"]
    assert main(["run", str(workflow), *where, "--set", "3.crf=5"]) == 0
    again = tmp_path / "again.json"
    again.write_text(
        json.dumps(json.loads((tmp_path / "kept_00001_.json").read_text())["workflow"])
    )
    assert main(["run", str(again), *where]) == 0
    first, second = ((tmp_path / f"kept_0000{number}_.mp4").read_bytes() for number in (1, 2))
    assert first == second


def test_numbers_that_are_set_stay_numbers(workflow: Path):
    assert isinstance(host, StandaloneHost)
    executor, graph = Executor(host, node_classes()), read(workflow)
    for assignment in ("3.crf=5", "3.frame_rate=12.5", "3.filename_prefix=7", "1.max_frames=two"):
        graph = executor.assign(graph, assignment)
    inputs = graph.nodes["3"].inputs
    assert (inputs["crf"], inputs["frame_rate"], inputs["filename_prefix"]) == (5, 12.5, "7")
    assert isinstance(inputs["crf"], int)
    assert graph.nodes["1"].inputs["max_frames"] == "two", "refused with all others, by its name"


def test_a_record_that_cannot_be_written_does_not_cost_the_video(
    workflow: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    from evenframe.nodes.common import run_record

    def full(*_: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(run_record, "write_new", full)
    assert main(["run", str(workflow), "--output", str(tmp_path), "--no-cache"]) == 0
    assert (tmp_path / "kept_00001_.mp4").is_file()
    assert "No record was written beside it: no room" in capsys.readouterr().out
