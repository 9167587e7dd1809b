"""Clips as pictures that a browser steps through: like the frames, whole, and made once."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from comfyui_server import ComfyServer, PromptRefused
from PIL import Image

from evenframe.nodes.common import feedback, filmstrips
from evenframe.nodes.common.plans import loaders_plan
from evenframe.nodes.host import host
from evenframe.nodes.host.standalone import Session, StandaloneHost
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.video import Choice, Fitting, Length, load, save
from evenframe.pipelines.video.filmstrip import SIDE, small, strip_of_file, strip_of_frames


def smooth(frames: int, height: int, width: int) -> torch.Tensor:
    rows, columns = torch.linspace(0, 1, height)[:, None], torch.linspace(0, 1, width)
    at = [
        torch.stack([rows * columns, (rows + columns + k / 9) / 3, 1 - rows + 0 * columns], -1)
        for k in range(frames)
    ]
    return torch.stack(at).clamp(0, 1)


def pictures(folder: Path) -> torch.Tensor:
    files = sorted(folder.glob("*.jpg"))
    return torch.stack(
        [torch.from_numpy(np.array(Image.open(file))).float() / 255 for file in files]
    )


def test_pictures_are_like_the_frames(tmp_path: Path):
    frames = smooth(3, 64, 96)
    seen = []
    strip = strip_of_frames(frames, tmp_path, 12.5, lambda: seen.append(1))
    assert strip.told() == {"frames": 3, "width": 96, "height": 64, "frame_rate": 12.5}
    assert (pictures(tmp_path) - frames).abs().max() < 0.04 and len(seen) == 3


def test_what_is_equal_in_two_clips_is_equal_in_their_pictures(tmp_path: Path):
    """So that a difference of the two shows nothing outside of what was edited."""
    before = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    after = before.clone()
    after[:, 16:32, 16:32] = 0
    for name, frames in (("before", before), ("after", after)):
        (tmp_path / name).mkdir()
        strip_of_frames(frames, tmp_path / name, 8, lambda: None)
    changed = (pictures(tmp_path / "before") != pictures(tmp_path / "after")).any(-1)[0]
    assert changed[16:32, 16:32].any()
    changed[16:32, 16:32] = False
    assert not changed.any()


def test_large_frames_make_small_pictures():
    assert small((4096, 2048)) == (SIDE, SIDE // 2) and small((300, 200)) == (300, 200)


@pytest.mark.parametrize("ending", ["trim", "repeat"])
def test_a_files_pictures_are_what_a_loader_would_give(tmp_path: Path, ending: str):
    video = save(tmp_path / "clip.mp4", smooth(9, 70, 96), Fraction(25))
    choice = Choice(6, skip=1, length=Length(4, ending=ending))
    fitting = Fitting("stretch", 16)
    (tmp_path / "strip").mkdir()
    strip = strip_of_file(video, choice, fitting, tmp_path / "strip")
    clip = load(video, choice, fitting)
    assert strip.told() == {
        "frames": len(clip), "width": clip.width, "height": clip.height, "frame_rate": 25.0
    }  # fmt: skip
    assert (pictures(tmp_path / "strip") - clip.frames).abs().mean() < 0.01


def test_no_frame_left_is_said(tmp_path: Path):
    video = save(tmp_path / "clip.mp4", smooth(2, 64, 64), Fraction(8))
    with pytest.raises(EvenframeError, match="skip is 5"):
        strip_of_file(video, Choice(skip=5), Fitting(), tmp_path)


def test_a_plain_process_shows_no_strips(clip: torch.Tensor):
    assert filmstrips.shown_strips(clip) == {}


@pytest.fixture
def browser_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(type(host), "strips_folder", lambda self: tmp_path / "strips")
    monkeypatch.setattr(
        type(host), "saved", lambda self, path: {"subfolder": path.parent.name, "type": "temp"}
    )
    return tmp_path / "strips"


def test_an_interrupt_leaves_no_half_strip(
    browser_folder: Path, clip: torch.Tensor, monkeypatch: pytest.MonkeyPatch
):
    looks = []

    def stop(self: Any) -> None:
        looks.append(1)
        if len(looks) > 2:  # the clip is hashed, and a picture written
            raise KeyboardInterrupt

    monkeypatch.setattr(type(host), "check_interrupt", stop)
    with pytest.raises(KeyboardInterrupt):
        filmstrips.shown_strips(clip)
    assert not list(browser_folder.iterdir())


def test_a_loaders_strip_is_made_once(browser_folder: Path):
    first = filmstrips.loaders_strip("EvenframeDemoClip", {"max_frames": 3})
    record = browser_folder / first["subfolder"] / filmstrips.RECORD
    before = record.stat().st_mtime_ns
    assert filmstrips.loaders_strip("EvenframeDemoClip", {"max_frames": 3}) == first
    assert record.stat().st_mtime_ns == before and first["frames"] == 3


def test_a_built_in_file_has_a_strip_like_any_other(browser_folder: Path):
    """With the loader's settings, and a model linked, which nobody loads for it."""
    asked = {"file": "demo: a doctor", "max_frames": 2, "width": 64, "model": "x"}
    told = filmstrips.loaders_strip("EvenframeLoadVideo", asked)
    assert (told["frames"], told["width"], told["height"], told["frame_rate"]) == (2, 64, 64, 8)
    other = filmstrips.loaders_strip("EvenframeLoadVideo", asked | {"file": "demo: two shapes"})
    assert other["subfolder"] != told["subfolder"]


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"max_side": 64}, "Edited at 130x70 -> 64x32: resized, proportions changed by 7.7%."),
        ({"fit": "crop"}, "Edited at 130x70 -> 128x64: 2 columns and 6 rows cropped; rows 0-2"),
        ({"model": "miniature (built in)"}, "Edited at 130x70 -> 160x96: resized"),
        ({"model": "sd.safetensors"}, "The model says at which size the 130x70 are edited: info"),
        ({"model": "sd.safetensors", "width": 64}, "Edited at 130x70 -> 64x32: resized"),
    ],
)
def test_a_plan_says_both_sizes_before_a_run(
    folder_of_clip: Path, inputs: dict[str, Any], said: str
):
    told = loaders_plan("EvenframeLoadVideo", {"file": "clip.mp4"} | inputs)["said"]
    assert told.startswith(said)
    assert told.endswith("\nSaved at 130x70, unless undo_fit of Save Video is off.")


def test_a_plan_of_a_built_in_clip():
    told = loaders_plan("EvenframeLoadVideo", {"file": "demo: two shapes"})["said"]
    assert told.startswith("Edited at 128x128: already fits, untouched.\nSaved at 128x128")
    with pytest.raises(EvenframeError, match="stride"):
        loaders_plan("EvenframeLoadVideo", {"file": "demo: two shapes", "stride": 0})


@pytest.fixture
def folder_of_clip(tmp_path: Path) -> Iterator[Path]:
    assert isinstance(host, StandaloneHost)
    save(tmp_path / "clip.mp4", smooth(2, 70, 130), 10)
    with host.using(Session(inputs=(tmp_path,), output=tmp_path, temp=tmp_path)):
        yield tmp_path


@pytest.mark.parametrize(
    ("node", "inputs", "message"),
    [
        ("ImageScale", {}, "'ImageScale' gives is not known before it has run"),
        ("EvenframeDemoClip", {"max_frames": 99}, "max_frames"),
        ("EvenframeDemoClip", {"max_frames": ["3", 0]}, "max_frames of the loader is linked"),
        ("EvenframeDemoClip", {"scene": "x" * 5000}, "scene of the loader is linked"),
        ("EvenframeLoadVideo", {"file": "../../etc/passwd"}, "passwd"),
        ("EvenframeLoadVideo", {"file": "a\0b"}, "No such input file|outside"),
        ("EvenframeLoadVideo", {"file": "none.mp4", "stride": 0}, "stride"),
        ("EvenframeLoadVideo", {"file": "none.mp4", "multiple": "many"}, "multiple"),
    ],
)
def test_a_bad_question_is_refused(
    browser_folder: Path, node: str, inputs: dict[str, Any], message: str
):
    with pytest.raises(EvenframeError, match=message):
        filmstrips.loaders_strip(node, inputs)


@pytest.mark.slow
def test_the_server_makes_a_loaders_strip_and_serves_its_pictures(comfyui: ComfyServer):
    save(comfyui.base / "input" / "strip.mp4", smooth(4, 70, 96), Fraction(8))
    asked = {"node": "EvenframeLoadVideo", "inputs": {"file": "strip.mp4", "max_frames": 3}}
    strip = comfyui.post("/evenframe/filmstrip", asked)
    assert (strip["frames"], strip["width"], strip["height"]) == (3, 96, 64)
    where = f"subfolder={strip['subfolder']}&type={strip['type']}"
    url = f"http://127.0.0.1:{comfyui.port}/view?filename=00002.jpg&{where}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        assert answer.read(2) == b"\xff\xd8"


@pytest.mark.slow
@pytest.mark.parametrize("asked", [[], {"node": 3, "inputs": {}}, {"node": "a"}, {"inputs": []}])
def test_the_server_refuses_what_is_no_question(comfyui: ComfyServer, asked: Any):
    with pytest.raises(PromptRefused) as refused:
        comfyui.post("/evenframe/filmstrip", asked)
    assert "error" in refused.value.body


def test_a_look_costs_no_more_than_a_loader_may(browser_folder: Path, tmp_path: Path, monkeypatch):
    from evenframe.pipelines.video import filmstrip

    video = save(tmp_path / "clip.mp4", smooth(6, 64, 64), Fraction(8))
    monkeypatch.setattr(filmstrip, "free_memory", lambda _: 1000)
    with pytest.raises(EvenframeError, match="memory"):
        strip_of_file(video, Choice(), Fitting(), tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(filmstrip, "MOST_DECODED", 3)
    with pytest.raises(EvenframeError, match="run this node once"):
        strip_of_file(video, Choice(skip=5), Fitting(), tmp_path)


def test_a_full_disk_costs_the_look_and_not_the_work(browser_folder: Path, clip, monkeypatch):
    def full(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(filmstrips, "kept", full)
    shown = feedback.merged(
        {"text": ["left: cat"], "images": []},
        filmstrips.shown_or_said("clip", lambda: filmstrips.shown_strips(clip)),
    )
    assert shown == {"text": ["left: cat", "No clip is shown: no space left"], "images": []}


def test_a_strip_that_somebody_tidied_up_in_is_made_anew(browser_folder: Path):
    first = filmstrips.loaders_strip("EvenframeDemoClip", {"max_frames": 2})
    (browser_folder / first["subfolder"] / filmstrips.RECORD).unlink()
    assert filmstrips.loaders_strip("EvenframeDemoClip", {"max_frames": 2}) == first


def test_what_was_made_longest_ago_goes_first(browser_folder: Path, clip, monkeypatch):
    monkeypatch.setattr(filmstrips, "LIMIT_BYTES", 1)
    for brightness in (1.0, 0.5):
        filmstrips.shown_strips(clip * brightness)
    assert len(list(browser_folder.iterdir())) == 1
