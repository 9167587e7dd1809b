"""The clip nodes: in a plain process, and in a real ComfyUI server where there is one."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from comfyui_server import ComfyServer, PromptRefused

from evenframe.miniature.demo import SCENES
from evenframe.nodes import clip_load, clip_save
from evenframe.nodes.demo import EvenframeDemoClip
from evenframe.nodes.host import ModelHandle, host, io, workflow
from evenframe.nodes.host.executor import Executor, RunResult
from evenframe.nodes.host.standalone import Interrupted, Session, StandaloneHost
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.video import Audio, Choice, load, read_metadata, save

CLIP_NODES = [*clip_load.NODES, *clip_save.NODES]


def write_source(path: Path, count: int = 20) -> Path:
    """Two seconds of 130x70 pixels, ten frames a second, with sound."""
    frames = torch.linspace(0.2, 0.8, 130)[None, None, :, None].repeat(count, 70, 1, 3)
    frames += torch.arange(count)[:, None, None, None] / 200
    tone = 0.5 * torch.sin(2 * math.pi * 440 * torch.arange(32000) / 16000)
    return save(path, frames, 10, Audio(tone[None], 16000), disclose=False)


def load_and_save(
    loading: dict[str, Any] | None = None, saving: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A workflow that loads `clip.mp4` and saves it, in API format."""
    choices = {"max_frames": 6, "skip": 2, "stride": 2, "frame_rate": 0.0}
    fits = {"fit": "crop", "max_side": 0, "width": 0, "height": 0, "multiple": "64"}
    output = {"filename_prefix": "try/clip", "format": "mp4", "frame_rate": 0.0}
    output |= {"undo_fit": True, "crf": -1, "frames": ["1", 0], "clip": ["1", 1]}
    return {
        "1": {
            "class_type": "EvenframeLoadVideo",
            "inputs": {"file": "clip.mp4"} | choices | fits | (loading or {}),
        },
        "2": {"class_type": "EvenframeSaveVideo", "inputs": output | (saving or {})},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with a video in `input`, the session's for as long as a test runs."""
    assert isinstance(host, StandaloneHost)
    for name in ("input", "output", "temp"):
        (tmp_path / name).mkdir()
    write_source(tmp_path / "input" / "clip.mp4")
    session = Session(
        inputs=(tmp_path / "input",), output=tmp_path / "output", temp=tmp_path / "temp"
    )
    with host.using(session):
        yield tmp_path


def run(prompt: dict[str, Any]) -> RunResult:
    assert isinstance(host, StandaloneHost)
    return Executor(host, CLIP_NODES).run(workflow.parse(prompt))


def test_load_and_save(folder: Path) -> None:
    result = run(load_and_save())
    frames, clip, audio, rate, info = result.results["1"].values
    assert frames.shape == (6, 64, 128, 3) and clip.original.shape == (6, 70, 130, 3)
    assert rate == 5.0 and audio["waveform"].shape == (1, 1, 19200)
    assert "2 columns and 6 rows cropped" in info and "clip.mp4" in info
    shown = result.results["2"].ui
    assert shown["images"] == [
        {"filename": "clip_00001_.mp4", "subfolder": "try", "type": "output"}
    ]
    path = folder / "output" / "try" / "clip_00001_.mp4"
    saved, source = load(path), load(folder / "input" / "clip.mp4", Choice(6, 2, 2))
    assert saved.frames.shape == source.frames.shape and saved.frame_rate == 5
    assert float((saved.frames - source.frames).abs().mean()) < 0.01
    assert saved.audio is not None and saved.audio.seconds == pytest.approx(1.2, abs=0.05)
    read = read_metadata(path)
    written = json.loads(read["prompt"])
    assert written["1"]["inputs"] == load_and_save()["1"]["inputs"]
    assert "generative AI" in read["comment"]


def test_nothing_is_overwritten(folder: Path) -> None:
    for _ in range(2):
        run(load_and_save())
    names = sorted(path.name for path in (folder / "output" / "try").iterdir())
    assert names == [f"clip_0000{n}_.{suffix}" for n in (1, 2) for suffix in ("json", "mp4")]


@pytest.mark.parametrize(
    ("saving", "message"),
    [
        ({"filename_prefix": "../x"}, "'../x' is not a name inside the output folder"),
        ({"filename_prefix": "x" * 300}, "is too long for this disk"),
        ({"filename_prefix": "clip.mp4/x"}, "no file can be written to '.*clip.mp4'"),
        ({"filename_prefix": "%EvenframeLoadVideo.file%/../.."}, "is not a name inside"),
        ({"crf": 52}, "crf is 52: give 0 .best. to 51 for .mp4"),
        ({"crf": 60, "format": "mov"}, "crf is 60: give 0 .best. to 51 for .mov"),
        ({"crf": 64, "format": "webm"}, "crf is 64: give 0 .best. to 63 for .webm"),
        ({"crf": -2}, "crf is -2: give 0"),
        ({"format": "avi"}, "'.avi' is an ending that cannot be written: use .mp4"),
        ({"log": "x" * 2**19}, "The log has 524288 bytes"),
    ],
)
def test_what_cannot_be_saved_is_said_before_anything_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, saving: dict[str, Any], message: str
) -> None:
    (folder / "output" / "clip.mp4").touch()
    monkeypatch.setattr(
        clip_load.EvenframeLoadVideo, "execute", lambda **_: pytest.fail("loaded all the same")
    )
    with pytest.raises(EvenframeError, match=f"^node 2 .EvenframeSaveVideo.: .*{message}"):
        run(load_and_save(saving=saving))
    assert [path.name for path in (folder / "output").iterdir()] == ["clip.mp4"]


def test_what_is_linked_is_not_known_before(folder: Path) -> None:
    given = {"filename_prefix": None, "format": None, "crf": 60, "log": None}
    assert clip_save.EvenframeSaveVideo.validate_inputs(**given) is True
    assert clip_save.EvenframeSaveVideo.validate_inputs() is True
    not_converted: Any = "good"  # which ComfyUI has refused before it asks
    assert clip_save.EvenframeSaveVideo.validate_inputs(crf=not_converted) is True


def test_a_name_is_filled_in(folder: Path) -> None:
    prefix = "%year%/%EvenframeLoadVideo.file%_%width%x%height%_%2.crf%"
    result = run(load_and_save(saving={"filename_prefix": prefix}))
    year = str(datetime.now().year)
    assert result.results["2"].ui["images"] == [
        {"filename": "clip.mp4_130x70_%2.crf%_00001_.mp4", "subfolder": year, "type": "output"}
    ]


@pytest.mark.parametrize("kind", ["webm", "gif", "mov", "mkv"])
def test_other_formats(folder: Path, kind: str) -> None:
    run(load_and_save({"fit": "pad"}, {"format": kind, "crf": 30}))
    saved = load(folder / "output" / "try" / f"clip_00001_.{kind}")
    assert saved.frames.shape == (6, 70, 130, 3) and float(saved.frame_rate) == 5


def test_the_fit_can_be_kept(folder: Path) -> None:
    run(load_and_save({"fit": "stretch", "width": 192}, {"undo_fit": False, "frame_rate": 12.5}))
    saved = load(folder / "output" / "try" / "clip_00001_.mp4")
    assert (saved.width, saved.height) == (192, 128) and float(saved.frame_rate) == 12.5


def test_no_edit_is_lost_for_its_size_or_number(folder: Path) -> None:
    """Frames that the clip's fit does not suit are saved as they are, and the node says so."""
    _, clip, *_ = run(load_and_save()).results["1"].values

    def saved(frames: torch.Tensor) -> tuple[torch.Size, str]:
        video, info = clip_save.EvenframeSaveVideo.execute(
            frames, "odd", "mp4", 0.0, True, -1, clip=clip
        ).args
        return load(video).frames.shape[1:3], info

    size, info = saved(torch.rand(6, 32, 32, 3))
    assert size == (32, 32) and "not undone" in info
    size, info = saved(torch.rand(3, 64, 128, 3))
    assert size == (64, 128) and "stays cropped" in info


def test_images_and_videos_of_other_nodes(folder: Path) -> None:
    """An image batch with sound, and a VIDEO that is a file, give the same clip as the file."""
    fits = {"fit": "crop", "max_side": 0, "width": 0, "height": 0, "multiple": "64"}
    choices = {"max_frames": 4, "skip": 1, "stride": 2, "frame_rate": 0.0}
    prompt = load_and_save({"max_frames": 0, "skip": 0, "stride": 1})
    prompt["3"] = {
        "class_type": "EvenframeClipFromImages",
        "inputs": {"images": ["1", 0], "frame_rate": 10.0, "audio": ["1", 2]} | fits,
    }
    prompt["4"] = {
        "class_type": "EvenframeClipFromVideo",
        "inputs": {"video": ["2", 0]} | choices | fits,
    }
    prompt["5"] = prompt["2"] | {"inputs": prompt["2"]["inputs"] | {"clip": ["4", 1]}}
    prompt["5"]["inputs"]["frames"] = ["4", 0]
    prompt["6"] = prompt["2"] | {"inputs": prompt["2"]["inputs"] | {"clip": ["3", 1]}}
    results = run(prompt).results
    images, video = results["3"].values, results["4"].values
    assert torch.equal(images[0], results["1"].values[0]) and images[3] == 10.0
    assert images[2]["waveform"].shape == (1, 1, 32000)
    assert video[0].shape == (4, 64, 128, 3) and video[3] == 5.0
    assert float((video[0] - images[0][1:8:2]).abs().mean()) < 0.01


def test_a_video_made_of_images(folder: Path) -> None:
    """As another node's VIDEO that is no file: its frames are chosen as a file's are."""

    class Parts:
        images = torch.rand(10, 64, 64, 3)
        frame_rate = 10
        audio = {"waveform": torch.arange(16000.0)[None, None] / 16000, "sample_rate": 16000}

    class Video:
        def get_components(self) -> type[Parts]:
            return Parts

    def clip_of(**choice: Any) -> io.NodeOutput:
        size = {"fit": "crop", "max_side": 0, "width": 0, "height": 0}
        return clip_load.EvenframeClipFromVideo.execute(Video(), **size, **choice)

    output = clip_of(max_frames=3, skip=2, stride=2, frame_rate=0.0)
    frames, clip, audio, rate, _ = output.args
    assert torch.equal(frames, Parts.images[[2, 4, 6]]) and rate == 5.0
    assert audio["waveform"].shape == (1, 1, 9600)
    assert float(audio["waveform"][0, 0, 0]) == pytest.approx(0.2)
    assert clip.timestamps == pytest.approx((0.2, 0.4, 0.6))
    faster = clip_of(frame_rate=5.0)
    assert torch.equal(faster.args[0], Parts.images[::2]) and faster.args[3] == 5.0
    with pytest.raises(EvenframeError, match="skip is 10"):
        clip_of(skip=10)


@pytest.mark.parametrize(
    ("loading", "saving", "words"),
    [
        ({"file": "absent.mp4"}, {}, "No such input file"),
        ({"file": "../secret.mp4"}, {}, "outside"),
        ({"skip": 20}, {}, "No frames are left"),
        ({"width": 100}, {}, "width is 100"),
        ({"fit": "squash"}, {}, "fit"),
        ({}, {"filename_prefix": "../out"}, "output folder"),
        ({}, {"crf": 60}, "crf is 60"),
    ],
)
def test_what_cannot_be(
    folder: Path, loading: dict[str, Any], saving: dict[str, Any], words: str
) -> None:
    (folder / "secret.mp4").write_bytes((folder / "input" / "clip.mp4").read_bytes())
    with pytest.raises(EvenframeError, match=words):
        run(load_and_save(loading, saving))
    assert not list((folder / "output").rglob("*.*"))


@pytest.mark.parametrize("at", ["Loading", "Saving"])
def test_an_interrupt_ends_it_and_the_next_run_works(folder: Path, at: str) -> None:
    assert isinstance(host, StandaloneHost)
    session = host.session

    def report(label: str, done: int, total: int) -> None:
        if label == at and done == 2:
            session.cancel.set()

    with host.using(replace(session, report=report)), pytest.raises(Interrupted):
        run(load_and_save())
    assert not list((folder / "output").rglob("*.*"))
    session.cancel.clear()
    run(load_and_save())


def test_a_changed_file_is_loaded_again(folder: Path) -> None:
    assert isinstance(host, StandaloneHost)
    executor = Executor(host, CLIP_NODES)
    prompt = workflow.parse(load_and_save())
    executor.run(prompt)
    assert executor.run(prompt).executed == ()
    source = folder / "input" / "clip.mp4"
    source.unlink()
    write_source(source, 15)
    assert "1" in executor.run(prompt).executed


def test_in_comfyui(comfyui: ComfyServer) -> None:
    """Loaded and saved by this pack, and handed to and taken from ComfyUI's own video nodes."""
    name = "flashing.mp4"  # not that of any recipe, whose clip is another
    write_source(comfyui.base / "input" / name)
    prompt = load_and_save()
    prompt["1"]["inputs"]["file"] = name
    fits = {"fit": "pad", "max_side": 0, "width": 0, "height": 0, "multiple": "64"}
    prompt |= {
        "3": {"class_type": "LoadVideo", "inputs": {"file": name}},
        "4": {
            "class_type": "EvenframeClipFromVideo",
            "inputs": {"video": ["3", 0], "max_frames": 0, "skip": 0, "stride": 1}
            | {"frame_rate": 5.0}
            | fits,
        },
        "5": {
            "class_type": "CreateVideo",
            "inputs": {"images": ["4", 0], "audio": ["4", 2], "fps": 5.0},
        },
        "6": {
            "class_type": "EvenframeClipFromVideo",
            "inputs": {"video": ["5", 0], "max_frames": 3, "skip": 1, "stride": 1}
            | {"frame_rate": 0.0}
            | fits,
        },
        "7": {
            "class_type": "EvenframeSaveVideo",
            "inputs": prompt["2"]["inputs"]
            | {"frames": ["6", 0], "clip": ["6", 1], "filename_prefix": "try/made"},
        },
        "8": {
            "class_type": "SaveVideo",
            "inputs": {"video": ["2", 0], "filename_prefix": "try/own", "format": "auto"}
            | {"codec": "auto"},
        },
    }
    run = comfyui.run(prompt)
    assert run.outcome == "execution_success", run.of("execution_error")
    files = {path.name.rsplit("_", 2)[0]: path for path in comfyui.files(run)}
    assert load(files["clip"]).frames.shape == (6, 70, 130, 3)
    assert load(files["own"]).frames.shape == (6, 70, 130, 3)
    made = load(files["made"])
    assert made.frames.shape == (3, 128, 192, 3) and made.frame_rate == 5
    assert made.audio is not None and made.audio.seconds == pytest.approx(0.6, abs=0.05)
    written = json.loads(read_metadata(files["clip"])["prompt"])
    assert written["1"]["inputs"] == prompt["1"]["inputs"]
    assert comfyui.outputs(run)["2"]["animated"] == [True]


@pytest.mark.parametrize(
    ("saving", "message"),
    [
        ({"filename_prefix": "../x"}, "'../x' is not a name inside the output folder"),
        ({"filename_prefix": "a/" * 2000 + "x"}, "names 2000 folders"),
        ({"crf": 60}, "crf is 60: give 0 (best) to 51 for .mp4."),
        ({"format": "avi"}, "'.avi' is an ending that cannot be written"),
        ({"log": "x" * 2**19}, "The log has 524288 bytes"),
    ],
)
def test_comfyui_refuses_what_cannot_be_saved(
    comfyui: ComfyServer, saving: dict[str, Any], message: str
) -> None:
    prompt = load_and_save(saving=saving)
    prompt["1"] = {"class_type": "EvenframeDemoClip", "inputs": {"max_frames": 2}}
    with pytest.raises(PromptRefused) as refused:
        comfyui.run(prompt)
    errors = refused.value.body["node_errors"]["2"]["errors"]
    assert errors and all(message in error["details"] for error in errors)


def test_names_are_filled_in_by_comfyui_too(comfyui: ComfyServer) -> None:
    name = "%date:yyyy%/%EvenframeDemoClip.max_frames%_%Clip.scene%_%width%"
    prompt = load_and_save(saving={"filename_prefix": name})
    prompt["1"] = {
        "class_type": "EvenframeDemoClip",
        "inputs": {"max_frames": 2, "scene": "two shapes"},
        "_meta": {"title": "Clip"},
    }
    run = comfyui.run(prompt)
    assert run.outcome == "execution_success", run.of("execution_error")
    [path] = comfyui.files(run)
    year = str(datetime.now().year)
    assert path == comfyui.base / "output" / year / "2_two shapes_128_00001_.mp4"
    assert {file.stem for file in path.parent.iterdir()} == {path.stem}


def test_a_workflow_saved_without_the_multiple_runs(folder: Path) -> None:
    prompt = load_and_save({"fit": "stretch", "width": 144})
    del prompt["1"]["inputs"]["multiple"]
    frames, _, _, _, info = run(prompt).results["1"].values
    assert frames.shape == (6, 80, 144, 3) and "130x70 -> 144x80: resized" in info


def test_what_is_not_edited_is_said_at_both_ends(folder: Path) -> None:
    result = run(load_and_save())
    assert "rows 0-2 and 67-69, columns 0 and 129" in result.results["1"].values[4]
    assert "rows 0-2 and 67-69, columns 0 and 129" in result.results["2"].ui["text"][0]


def loaded(**settings: Any) -> tuple[Any, ...]:
    """What Load Video gives with the inputs of a new node, apart from these."""
    inputs = load_and_save()["1"]["inputs"] | {"max_frames": 16, "skip": 0, "stride": 1}
    inputs |= {"fit": "stretch", "max_side": 768, "multiple": "16"} | settings
    return clip_load.EvenframeLoadVideo.execute(**inputs).args


@pytest.mark.parametrize("scene", SCENES)
def test_a_built_in_clip_is_a_file_among_others(folder: Path, scene: str) -> None:
    (folder / "input" / f"demo: {scene}").write_bytes(b"a file of the same name")
    [file] = [
        name for name in clip_load.EvenframeLoadVideo.GET_SCHEMA().inputs if name.id == "file"
    ]
    assert f"demo: {scene}" in file.options  # pyright: ignore[reportAttributeAccessIssue]
    frames, clip, _, rate, info = loaded(file=f"demo: {scene}", max_frames=8)
    demo, _, prompt = EvenframeDemoClip.execute(8, scene).args
    assert torch.equal(frames, demo) and rate == 8 and clip.stock is None
    assert info.startswith(f"It shows: {prompt}\n")
    assert torch.equal(loaded(file=f"demo: {scene}", skip=2, stride=3)[0], demo_of(scene)[2::3])
    assert loaded(file=f"demo: {scene}", max_frames=0, width=64)[0].shape == (16, 64, 64, 3)
    run(load_and_save({"file": f"demo: {scene}", "multiple": "16"}))
    [saved] = (folder / "output").rglob("*.mp4")
    assert load(saved).frames.shape == (6, 128, 128, 3)


def demo_of(scene: str) -> torch.Tensor:
    return EvenframeDemoClip.execute(16, scene).args[0]


@dataclass(frozen=True)
class Taking:
    """A model of so many pixels, whose codec takes such frames."""

    native_size: int
    size_multiple: int = 8
    time_stride: int = 1
    name: str = "a model"

    @property
    def codec(self) -> Taking:
        return self


@pytest.mark.parametrize(
    ("model", "settings", "shape"),
    [
        (Taking(128), {}, (16, 96, 160)),  # of 130x70 pixels
        (Taking(128, 64), {}, (16, 64, 128)),
        (Taking(256, 16, 4), {"max_side": 64}, (13, 192, 336)),
        (Taking(256, 16, 4), {"length": "repeat"}, (17, 192, 336)),
        (Taking(256, 16, 4), {"width": 64, "height": 32}, (13, 32, 64)),
        (Taking(256, 16, 4), {"target": "SD"}, (16, 368, 688)),
        (Taking(128), {"frame_step": 5}, (16, 96, 160)),
    ],
)
def test_a_model_that_is_linked_says_size_and_number(
    folder: Path, model: Taking, settings: dict[str, Any], shape: tuple[int, ...]
) -> None:
    frames, *_, info = loaded(model=ModelHandle(model), **settings)
    assert frames.shape[:3] == shape
    far = not 0.5 <= shape[1] * shape[2] / model.native_size**2 <= 2
    assert ("trained on" in info) == far


def test_footage_for_the_built_in_model_is_told_what_that_knows(folder: Path) -> None:
    model = ModelHandle(Taking(128, name="miniature"))
    assert "no footage" in loaded(model=model)[-1]
    frames, *_, info = loaded(model=model, file="demo: two shapes")
    assert "no footage" not in info and torch.equal(frames, demo_of("two shapes"))
