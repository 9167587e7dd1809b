"""The host door in a plain process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from evenframe.nodes.host import folders, host, io
from evenframe.nodes.host import schema as standalone_schema
from evenframe.nodes.host.standalone import Interrupted, Session, StandaloneHost
from evenframe.nodes.host.validate import InvalidValue, checked
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.common.whole_file import Numbered, write_new


@pytest.fixture
def session(tmp_path: Path):
    """The host with folders of this test's own."""
    for folder in ("input", "models/checkpoints", "models/diffusers"):
        (tmp_path / folder).mkdir(parents=True)
    assert isinstance(host, StandaloneHost)
    settings = Session(
        models=(tmp_path / "models",),
        inputs=(tmp_path / "input",),
        output=tmp_path / "output",
        temp=tmp_path / "temp",
        cache=tmp_path / "cache",
    )
    with host.using(settings):
        yield settings


def test_a_plain_process_gets_the_standalone_door():
    assert host.name == "standalone"
    assert io is standalone_schema


def test_progress_reports_and_stops_when_cancelled(session: Session):
    seen: list[tuple[str, int, int]] = []
    told = Session(report=lambda *event: seen.append(event), cancel=session.cancel)
    assert isinstance(host, StandaloneHost)
    with host.using(told):
        bar = host.progress(3, "Inverting")
        bar.step(1)
        told.cancel.set()
        with pytest.raises(Interrupted):
            bar.step(2)
        with pytest.raises(Interrupted):
            host.check_interrupt()
    assert seen == [("Inverting", 1, 3)]
    assert not issubclass(Interrupted, Exception), "a node's `except Exception` would swallow it"


def test_a_preview_that_nobody_sees_is_not_drawn(session: Session):
    drawn = list[int]()
    assert isinstance(host, StandaloneHost)
    with host.using(session):
        host.progress(2, "Editing").step(1, lambda: drawn.append(1) or Image.new("RGB", (8, 8)))
    assert not drawn


def test_a_held_model_is_loaded_whole_and_returned(session: Session):
    layer = torch.nn.Linear(2, 2)
    handle = host.hold("model", [layer])
    assert host.load(handle) == "model"
    assert layer.weight.device.type == host.device().type
    assert handle.patcher is None
    with pytest.raises(EvenframeError, match="only be adopted inside ComfyUI"):
        host.adopt(object(), None, None)


def test_models_are_listed_and_found_by_name(session: Session):
    checkpoint = session.models[0] / "checkpoints" / "sd" / "v1.safetensors"
    checkpoint.parent.mkdir()
    checkpoint.touch()
    folder = session.models[0] / "diffusers" / "sd21"
    folder.mkdir()
    (folder / "model_index.json").touch()
    (session.models[0] / "diffusers" / "empty").mkdir()
    assert host.model_names("checkpoints") == ["sd/v1.safetensors"]
    assert host.model_names("diffusers") == ["sd21"]
    assert host.model_path("checkpoints", "sd/v1.safetensors") == checkpoint
    assert host.model_path("diffusers", "sd21") == folder
    for name in ("v2.safetensors", "../checkpoints/sd/v1.safetensors", str(checkpoint)):
        with pytest.raises(EvenframeError, match=r"there are sd/v1\.safetensors"):
            host.model_path("checkpoints", name)


def test_models_in_linked_folders_are_found(session: Session, tmp_path: Path):
    (tmp_path / "disk" / "sd15").mkdir(parents=True)
    (tmp_path / "disk" / "sd15" / "model_index.json").touch()
    (tmp_path / "disk" / "v1.safetensors").touch()
    for kind in ("checkpoints", "diffusers"):
        (session.models[0] / kind / "disk").symlink_to(tmp_path / "disk")
    assert host.model_names("checkpoints") == ["disk/v1.safetensors"]
    assert host.model_names("diffusers") == ["disk/sd15"]


def test_a_folder_of_models_with_links_onto_itself_is_listed_once(
    session: Session, monkeypatch: pytest.MonkeyPatch
):
    diffusers = session.models[0] / "diffusers"
    inner = [diffusers / f"part{index}" for index in range(8)]
    for folder in inner:
        folder.mkdir()
        (folder / "model_index.json").touch()
    for folder in (diffusers, *inner):
        for index, target in enumerate((diffusers, *inner)):
            (folder / f"again{index}").symlink_to(target)
    read: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: read.append(str(path)) or scandir(path))
    assert host.model_names("diffusers") == [folder.name for folder in inner]
    assert len(read) == len(inner) + 1
    assert folders.list_files(diffusers, [".json"], follow=True) == [
        f"{folder.name}/model_index.json" for folder in inner
    ]


def test_folders_are_looked_into_to_a_depth(session: Session):
    deep = session.models[0] / "diffusers"
    for index in range(folders.MAX_DEPTH + 4):
        deep = deep / f"{index}"
        deep.mkdir()
        (deep / "model_index.json").touch()
    assert len(host.model_names("diffusers")) == folders.MAX_DEPTH


def test_what_is_hidden_or_no_file_is_not_listed(session: Session):
    checkpoints = session.models[0] / "checkpoints"
    (checkpoints / ".trash").mkdir()
    for name in ("a.ckpt", ".b.ckpt", ".trash/c.ckpt"):
        (checkpoints / name).touch()
    (checkpoints / "folder.ckpt").mkdir()
    (checkpoints / "dead.ckpt").symlink_to("nowhere")
    (checkpoints / "round.ckpt").symlink_to("round.ckpt")
    if hasattr(os, "mkfifo"):
        os.mkfifo(checkpoints / "pipe.ckpt")
    assert host.model_names("checkpoints") == ["a.ckpt"]


def test_sam_files_and_folders_share_a_folder(session: Session):
    sams = session.models[0] / "sams"
    (sams / "tiny").mkdir(parents=True)
    for name in ("vit_b.pth", "tiny/config.json", "tiny/model.safetensors"):
        (sams / name).touch()
    assert host.model_names("sams") == ["vit_b.pth"]
    assert host.model_names("sam2") == ["tiny"]
    assert host.model_path("sam2", "tiny") == sams / "tiny"


@pytest.mark.parametrize("place", ["nothing", "a file", "a dead link", "an empty folder", "a loop"])
def test_where_there_is_no_model_of_sam_none_is_listed(session: Session, place: str):
    sams = session.models[0] / "sams"
    if place == "a file":
        sams.touch()
    elif place == "a dead link":
        sams.symlink_to("elsewhere")
    elif place != "nothing":
        sams.mkdir()
    if place == "a loop":
        (sams / "again").symlink_to(sams)
    assert host.model_names("sams") == host.model_names("sam2") == []
    for kind in ("sams", "sam2"):
        with pytest.raises(EvenframeError, match=f"No model 'tiny' among the {kind} .* are none"):
            host.model_path(kind, "tiny")


def test_folders_of_models_need_not_exist(tmp_path: Path):
    assert isinstance(host, StandaloneHost)
    with host.using(Session(models=(tmp_path / "nowhere",))):
        for kind in ("checkpoints", "diffusers", "sams", "sam2"):
            assert host.model_names(kind) == []


def test_input_files_stay_inside_the_allowed_folders(session: Session, tmp_path: Path):
    clip = session.inputs[0] / "a" / "clip.mp4"
    clip.parent.mkdir()
    clip.touch()
    secret = tmp_path / "secret.mp4"
    secret.touch()
    (session.inputs[0] / "link.mp4").symlink_to(secret)
    assert host.input_names([".mp4"]) == ["a/clip.mp4", "link.mp4"]
    assert host.input_path("a/clip.mp4") == clip
    for name in ("../secret.mp4", str(secret), "link.mp4", "a/../../secret.mp4", "a\0.mp4"):
        with pytest.raises(EvenframeError, match="outside the folders"):
            host.input_path(name)
    with pytest.raises(EvenframeError, match="No such input file: 'b.mp4'"):
        host.input_path("b.mp4")
    with pytest.raises(EvenframeError, match="No such input file: 'a'"):
        host.input_path("a")


def test_saved_files_are_read_by_marked_names(session: Session, tmp_path: Path):
    saved = session.output / "a" / "x_00001_.safetensors"
    saved.parent.mkdir(parents=True)
    saved.touch()
    (session.inputs[0] / "y.safetensors").touch()
    (tmp_path / "secret").touch()
    name = "a/x_00001_.safetensors [output]"
    assert host.input_names([".safetensors"]) == ["y.safetensors"]
    assert host.input_names([".safetensors"], saved=True) == ["y.safetensors", name]
    assert host.input_path(name) == saved
    with pytest.raises(EvenframeError, match="outside the folders"):
        host.input_path("../secret [output]")
    for absent in ("y.safetensors [output]", "a/x_00001_.safetensors"):
        with pytest.raises(EvenframeError, match="No such input file"):
            host.input_path(absent)


def test_one_file_can_be_allowed_by_itself(session: Session, tmp_path: Path):
    chosen, other = tmp_path / "chosen.mp4", tmp_path / "other.mp4"
    chosen.touch()
    other.touch()
    assert isinstance(host, StandaloneHost)
    with host.using(Session(inputs=session.inputs, files=(chosen,))):
        assert host.input_path(str(chosen)) == chosen
        assert str(chosen) in host.input_names([".mp4"])
        with pytest.raises(EvenframeError, match="outside the folders"):
            host.input_path(str(other))


def made(name: Numbered) -> Path:
    return write_new(name, Path.touch)


def test_output_files_are_numbered_and_stay_inside(session: Session):
    first = made(host.new_output("clips/edit", ".mp4"))
    assert first == session.output / "clips" / "edit_00001_.mp4"
    assert made(host.new_output("clips/edit", ".png")).name == "edit_00002_.png"
    assert made(host.new_output("a/../clips/./edit/", ".png")).name == "edit_00003_.png"
    assert made(host.new_output(str(session.output / "whole"), ".png")).name == "whole_00001_.png"
    assert not (session.output / "a").exists()
    assert host.saved(first) == {
        "filename": "edit_00001_.mp4",
        "subfolder": "clips",
        "type": "output",
    }
    assert host.saved(made(host.new_temp("look", ".jpg")))["type"] == "temp"


LOOP = "loop"
IMPOSSIBLE = [
    *((prefix, "is not a name inside the output folder: give a file name")
      for prefix in ("../edit", "/etc/edit", "", ".", "a/..", f"{LOOP}/x")),
    *((prefix, "has characters that no file name can have") for prefix in ("a\0b", "a\ud83d")),
    ("a/" * 2000 + "b", "names 2000 folders: choose a name in at most 100"),
    ("a" * 250, "is too long for this disk, with a number and '.mp4' at its end"),
    ("a" * 256 + "/b", "is too long for this disk"),
    ("é" * 125, "is too long for this disk"),
    (("a" * 90 + "/") * 45 + "b", "is too long for this disk"),
]  # fmt: skip


@pytest.mark.parametrize(("prefix", "message"), IMPOSSIBLE)
def test_a_name_that_no_file_can_have_is_refused(session: Session, prefix: str, message: str):
    session.output.mkdir()
    (session.output / LOOP).symlink_to(LOOP)
    for ask in (host.check_output, host.new_output):
        with pytest.raises(EvenframeError, match=message) as caught:
            ask(prefix, ".mp4")
        assert len(str(caught.value)) < 300
    assert list(session.output.iterdir()) == [session.output / LOOP]


def test_the_longest_name_can_be_saved(session: Session):
    for prefix in ("a" * (255 - len("_00001_.mp4")), "/".join(["b" * 255] * 8 + ["b"])):
        host.check_output(prefix, ".mp4")
        assert made(host.new_output(prefix, ".mp4")).is_file()


def test_a_name_of_other_systems_is_refused_where_it_cannot_be(session: Session, monkeypatch):
    assert made(host.new_output("a 12:30", ".mp4")).is_file() or os.name == "nt"
    monkeypatch.setattr(folders, "NO_NAME", '<>:"|?*')
    with pytest.raises(EvenframeError, match=r"no file name can have here \(':', '\?'\): remove"):
        host.check_output("a 12:30?", ".mp4")


@pytest.mark.parametrize("limit", [0, -1])
def test_a_disk_that_does_not_know_its_limits_takes_names(session: Session, monkeypatch, limit):
    monkeypatch.setattr(os, "pathconf", lambda folder, name: limit, raising=False)
    assert made(host.new_output("a", ".mp4")).is_file()
    with pytest.raises(EvenframeError, match="too long for this disk"):
        host.check_output("a" * 300, ".mp4")


def test_a_folder_that_takes_no_file_is_said_before_the_work(session: Session, tmp_path: Path):
    host.check_output("a/b/c", ".mp4")
    assert not session.output.exists(), "it only looked"
    session.output.mkdir()
    (session.output / "file").touch()
    with pytest.raises(EvenframeError, match=r"output/file' \(Not a directory\). Choose another"):
        host.check_output("file/b/c", ".mp4")
    assert list(session.output.iterdir()) == [session.output / "file"]
    if os.name != "nt" and Path("/proc/self").is_dir():  # which even root cannot write to
        with pytest.raises(EvenframeError, match="no file can be written to '/proc/self'"):
            folders.check_new(Path("/proc/self"), "a", ".mp4")


def test_the_cache_folder_is_made(session: Session):
    assert host.cache_dir().is_dir()


def test_a_folder_that_cannot_be_made_is_said(session: Session):
    session.output.write_text("in the way")
    session.cache.write_text("in the way")
    with pytest.raises(EvenframeError, match=r"output/clips' cannot be made: Not a directory\."):
        host.new_output("clips/edit", ".mp4")
    with pytest.raises(EvenframeError, match=r"File exists. Choose another with EVENFRAME_CACHE"):
        host.cache_dir()


def test_a_folder_may_lie_as_deep_as_the_disk_allows(tmp_path: Path):
    deep = tmp_path / "/".join("a" * 1500)
    folders.make_folder(deep)
    folders.make_folder(deep)
    made = write_new(folders.numbered(deep, "b", ".txt"), Path.touch)
    made.unlink()
    for folder in (deep, *deep.parents[:1499]):  # pytest's own way to tidy up calls itself
        folder.rmdir()
    with pytest.raises(EvenframeError, match="cannot be made: .* null byte. Choose another folder"):
        folders.make_folder(tmp_path / "a\0b")
    assert list(tmp_path.iterdir()) == []


def test_folders_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("EVENFRAME_MODELS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    settings = Session.from_environment()
    assert settings.models == (tmp_path,)
    assert settings.inputs == (Path("input"), Path("."))
    assert settings.output == Path("output")


INT = io.Int.Input("steps", min=1, max=50)
FLOAT = io.Float.Input("scale", min=0.0)
COMBO = io.Combo.Input("mode", options=["auto", "resident"])


@pytest.mark.parametrize(
    ("socket", "given", "expected"),
    [
        (INT, 5, 5),
        (INT, "7", 7),
        (INT, 8.0, 8),
        (FLOAT, 1, 1.0),
        (FLOAT, "2.5", 2.5),
        (COMBO, "auto", "auto"),
        (COMBO, {"__value__": "auto"}, "auto"),
        (io.Boolean.Input("on"), True, True),
        (io.String.Input("text"), "a", "a"),
    ],
)
def test_values_are_converted(socket, given, expected):
    value = checked(socket, given)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("socket", "given", "message"),
    [
        (INT, 0, "is 0, must be a number from 1 to 50"),
        (INT, 51, "is 51, must be a number from 1 to 50"),
        (INT, 1.5, "is 1.5, must be a whole number from 1 to 50"),
        (INT, True, "is True, must be a whole number from 1 to 50"),
        (INT, [1], r"is \[1\], must be a whole number"),
        (INT, "x", "is 'x', must be a whole number"),
        (FLOAT, -0.1, "is -0.1, must be a number, at least 0.0"),
        (FLOAT, float("nan"), "is nan, must be a number"),
        (FLOAT, None, "is None, must be a number"),
        (COMBO, "maps", "is 'maps', must be one of 'auto', 'resident'"),
        (io.Combo.Input("file", options=[]), "a", "there is nothing to choose from"),
        (io.Boolean.Input("on"), "false", "must be true or false"),
        (io.String.Input("text"), None, "is None, must be text"),
        (io.Image.Input("frames"), 3, "must be linked to an output of type IMAGE"),
    ],
)
def test_wrong_values_are_refused_with_value_and_range(socket, given, message):
    with pytest.raises(InvalidValue, match=message):
        checked(socket, given)


def test_limits_can_be_left_to_the_node():
    assert checked(COMBO, "anything", within_limits=False) == "anything"


def test_schema_names_outputs_and_refuses_twins():
    schema = io.Schema(node_id="X", outputs=[io.Image.Output()], is_output_node=True)
    schema.finalize()
    assert schema.outputs[0].id == "_0_IMAGE_"
    assert schema.hidden == [io.Hidden.prompt, io.Hidden.extra_pnginfo]
    with pytest.raises(ValueError, match="input names must be unique"):
        io.Schema(node_id="X", inputs=[INT, INT]).validate()
