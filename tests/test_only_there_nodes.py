"""The nodes around a paste: in a plain process, and in a real ComfyUI between its own nodes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import torch
from comfyui_server import ComfyServer, Run, wait_for
from PIL import Image

from evenframe.nodes.clip_load import EvenframeClipFromVideo
from evenframe.nodes.clip_save import EvenframeSaveVideo
from evenframe.nodes.crop import EvenframeCropRegion, EvenframePasteCrop
from evenframe.nodes.host import host
from evenframe.nodes.host.standalone import Session, StandaloneHost
from evenframe.nodes.paste import EvenframePasteSource
from evenframe.nodes.region import EvenframeDrawRegions
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.video import Audio, Choice, Fitting, clip_from_images, load, save

COUNT, RATE = 16, 10
TEXT = '{"version": 1, "regions": [{"name": "it", "words": "", "box": [0.25, 0.25, 0.75, 0.75]}]}'
BOX = np.s_[:, 16:48, 32:64]
"""Of the source's pixels, what TEXT is of the middle square."""
SAVING: dict[str, Any] = {"filename_prefix": "there/clip", "format": "mp4", "frame_rate": 0.0}
SAVING |= {"undo_fit": True, "crf": 1}
CHOICE: dict[str, Any] = {"max_frames": 6, "skip": 2, "stride": 1, "frame_rate": 0.0}
HARD: dict[str, Any] = {"feather": 0}
FIT: dict[str, Any] = {"fit": "crop", "max_side": 0, "width": 128, "height": 128}


def write_source(path: Path) -> Path:
    """96x64, dark, a little brighter to the right and with each frame, with a tone."""
    frames = torch.linspace(0.1, 0.3, 96)[None, None, :, None].repeat(COUNT, 64, 1, 3)
    frames += torch.arange(COUNT)[:, None, None, None] / 200
    tone = 0.5 * torch.sin(2 * math.pi * 440 * torch.arange(32000) / 16000)
    return save(path, frames, RATE, Audio(tone[None], 16000), disclose=False)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    assert isinstance(host, StandaloneHost)
    with host.using(Session(output=tmp_path / "output", temp=tmp_path / "temp")):
        yield tmp_path


class Foreign:
    """A VIDEO of some other node, as ComfyUI documents it."""

    def __init__(self, frames: torch.Tensor, rate: float, sound: torch.Tensor | None = None):
        audio = None if sound is None else {"waveform": sound[None, None], "sample_rate": 16000}
        self.parts = SimpleNamespace(images=frames, frame_rate=Fraction(rate), audio=audio)

    def get_components(self) -> Any:
        return self.parts


def saved_by(frames: Any, **given: Any) -> Any:
    shown = EvenframeSaveVideo.execute(frames, **(SAVING | given))
    return load(shown[0]), shown[1]


@pytest.mark.parametrize("sound", [None, 0.3 * torch.ones(16000)])
def test_a_video_of_another_node_is_saved(folder: Path, sound: torch.Tensor | None):
    saved, info = saved_by(Foreign(torch.rand(5, 33, 47, 3), 12.5, sound))
    assert saved.frames.shape == (5, 34, 48, 3) and saved.frame_rate == 12.5
    assert (saved.audio is None) == (sound is None) and "5 frames" in info
    assert "even sides" in info
    saved, _ = saved_by(Foreign(torch.rand(5, 32, 48, 4), 12.5), frame_rate=5.0)
    assert saved.frame_rate == 5


def test_a_film_is_saved_at_its_own_rate_or_another_and_without_sound_too(folder: Path):
    silent = save(folder / "a.mp4", load(write_source(folder / "b.mp4")).frames, RATE)
    clip = load(silent, Choice(6, skip=2), Fitting("crop", 16, 128, 128))
    regions = EvenframeDrawRegions.execute(clip.frames, TEXT)[0]
    pasted = EvenframePasteSource.execute(1 - clip.frames, regions, clip=clip, **HARD)
    saved, info = saved_by(pasted[1])
    assert len(saved) == COUNT and saved.frame_rate == RATE and saved.audio is None
    assert "6 of 16 frames of 96x64 are edited" in info
    assert saved_by(pasted[1], frame_rate=25.0)[0].frame_rate == 25
    part = EvenframePasteSource.execute(
        1 - clip.frames, regions, clip=clip, whole_video=False, **HARD
    )
    assert len(saved_by(part[1])[0]) == 6


def test_a_cut_video_is_a_clip_of_images_and_pasted_as_one(folder: Path):
    frames, sound = 0.4 * torch.rand(8, 64, 96, 3), 0.3 * torch.ones(16000)
    made = EvenframeClipFromVideo.execute(Foreign(frames, 10, sound), **FIT, **CHOICE)
    clip = made[1]
    assert clip.footage is None and len(clip) == 6
    regions = EvenframeDrawRegions.execute(made[0], TEXT)[0]
    pasted = EvenframePasteSource.execute(
        1 - made[0], regions, clip=clip, whole_video=False, **HARD
    )
    video = pasted[1]
    result = np.stack([shot.pixels for shot in video.shots()])
    source = frames[2:8].mul(255).round().numpy()
    outside = np.ones(source.shape[:3], bool)
    outside[BOX] = False
    assert (result == source)[outside].all() and result[BOX].min() > 120
    assert video.sound().seconds == pytest.approx(0.6, abs=1e-3)


def test_edges_of_the_frames_are_as_wide_as_the_videos(folder: Path):
    clip = load(write_source(folder / "a.mp4"), Choice(2), Fitting("crop", 16, 128, 128))
    regions = EvenframeDrawRegions.execute(clip.frames, TEXT)[0]
    frames, video, _ = EvenframePasteSource.execute(
        torch.ones_like(clip.frames), regions, clip=clip, feather=12, grow=2
    ).args
    [shot, *_] = video.shots()
    small, large = frames[0, 64, :, 0], torch.from_numpy(shot.pixels)[32, 16:80, 0] / 255
    assert float((small.reshape(64, 2).mean(1) - large).abs().max()) < 0.06  # twice the size


def test_neither_clip_nor_source(folder: Path):
    regions = EvenframeDrawRegions.execute(torch.rand(2, 64, 64, 3), TEXT)[0]
    with pytest.raises(EvenframeError, match=r"^There is neither a clip nor a source"):
        EvenframePasteSource.execute(torch.rand(2, 64, 64, 3), regions, **HARD)


def test_what_was_not_used_and_what_was_assumed_is_said(folder: Path):
    images = torch.rand(2, 64, 96, 3)
    regions = EvenframeDrawRegions.execute(images, TEXT)[0]
    rate = "Images have no rate: the video plays at 8 frames a second. For another, give the clip"
    pasted = EvenframePasteSource.execute(images, regions, source=images, **HARD)
    assert rate in pasted[2] and rate in "\n".join(pasted[1].said) and "not used" not in pasted[2]
    clip = clip_from_images(images, 8)
    both = EvenframePasteSource.execute(images, regions, source=images, clip=clip, **HARD)
    assert "`source` was not used" in both[2] and rate not in both[2]
    assert "not used" not in EvenframePasteSource.execute(images, regions, clip=clip, **HARD)[2]

    crops, crop, kept, _, info = EvenframeCropRegion.execute(regions, "own", frames=images).args
    assert rate in info
    assert rate not in EvenframeCropRegion.execute(regions, "own", clip=clip)[4]
    unmatched = "rim_match did nothing"
    video, info = EvenframePasteCrop.execute(crops, crop, rim_match=True).args
    assert unmatched in info and unmatched in "\n".join(video.said)
    for given in ({}, {"regions": kept, "rim_match": True}):
        assert unmatched not in EvenframePasteCrop.execute(crops, crop, **given)[1]


def graph() -> dict[str, Any]:
    """An edit that inverts all colours, pasted, and given to all that takes a VIDEO."""
    pasted = {"frames": ["edit", 0], "regions": ["draw", 0], "feather": 0, "linear_light": False}
    pasted |= {"clip": ["load", 1]}
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "load": ("EvenframeLoadVideo", {"file": "there.mp4"} | CHOICE | FIT),
        "draw": ("EvenframeDrawRegions", {"frames": ["load", 0], "text": TEXT}),
        "edit": ("ImageInvert", {"image": ["load", 0]}),
        "paste": ("EvenframePasteSource", pasted),
        "ours": ("EvenframeSaveVideo", SAVING | {"frames": ["paste", 1]}),
        "its": (
            "SaveVideo",
            {"video": ["paste", 1], "filename_prefix": "there/its", "format": "mp4"}
            | {"format.codec": "h264", "format.codec.encoding": "re-encode"}
            | {"format.codec.encoding.crf": 1.0, "format.codec.encoding.color_space": "auto"},
        ),
        "parts": ("GetVideoComponents", {"video": ["paste", 1]}),
        "seen": ("PreviewImage", {"images": ["parts", 0]}),
        "made": (
            "CreateVideo",
            {"images": ["parts", 0], "audio": ["parts", 1], "fps": ["parts", 2], "bit_depth": 8},
        ),
        "some": ("EvenframePasteSource", pasted | {"whole_video": False}),
        "parts of some": ("GetVideoComponents", {"video": ["some", 1]}),
        "heard": ("SaveAudio", {"audio": ["parts of some", 1], "filename_prefix": "there/heard"}),
        "foreign": (
            "EvenframeSaveVideo",
            SAVING | {"frames": ["made", 0], "filename_prefix": "there/foreign"},
        ),
        "cut": (
            "Video Slice",
            {"video": ["paste", 1], "start_time": 0.2, "duration": 0.6, "strict_duration": False},
        ),
        "cut parts": ("GetVideoComponents", {"video": ["cut", 0]}),
        "cut seen": ("PreviewImage", {"images": ["cut parts", 0]}),
        "again": (
            "EvenframeClipFromVideo",
            {"video": ["cut", 0]} | CHOICE | FIT | {"skip": 0, "max_frames": 0},
        ),
        "short": (
            "EvenframeSaveVideo",
            SAVING | {"frames": ["cut", 0], "filename_prefix": "there/short"},
        ),
        "clip": (
            "EvenframeSaveVideo",
            SAVING
            | {"frames": ["again", 0], "clip": ["again", 1], "filename_prefix": "there/clip_of"},
        ),
    }
    return {key: {"class_type": name, "inputs": given} for key, (name, given) in nodes.items()}


def file_of(comfyui: ComfyServer, run: Run, node: str) -> Path:
    shown = comfyui.outputs(run)[node]
    [shown] = shown["audio" if "audio" in shown else "images"]
    return comfyui.base / shown["type"] / shown["subfolder"] / shown["filename"]


def seen_in(comfyui: ComfyServer, run: Run, node: str) -> np.ndarray:
    """(f, h, w, 3) in bytes: what a node of ComfyUI's own shows."""
    shown = comfyui.outputs(run)[node]["images"]
    paths = [comfyui.base / at["type"] / at["subfolder"] / at["filename"] for at in shown]
    return np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])


def seconds_of(path: Path) -> float:
    """As players show it: pictures and sound."""
    with av.open(str(path)) as container:
        return (container.duration or 0) / 1e6


@pytest.mark.slow
def test_between_comfyuis_own_nodes(comfyui: ComfyServer):
    source = load(write_source(comfyui.base / "input" / "there.mp4"))
    run = comfyui.run(graph())
    assert run.outcome == "execution_success", run.of("execution_error")
    outside = np.ones((COUNT, 64, 96), bool)
    outside[2:8][BOX] = False

    pictures = seen_in(comfyui, run, "seen")
    bytes_of_source = source.frames.mul(255).round().numpy()
    assert (pictures == bytes_of_source)[outside].all(), "bit for bit"
    assert pictures[2:8][BOX].min() > 150
    assert (seen_in(comfyui, run, "cut seen") == pictures[2:8]).all()

    for node in ("ours", "its", "foreign"):
        saved = load(file_of(comfyui, run, node))
        assert saved.frames.shape == source.frames.shape and saved.frame_rate == RATE, node
        changed = (saved.frames - source.frames).abs().mean(3).numpy()
        assert changed[outside].mean() < 0.004 and changed[2:8][BOX].min() > 0.2, node
        assert saved.audio is not None and saved.audio.seconds == pytest.approx(1.6, abs=0.05)
        assert float(saved.audio.samples.abs().max()) > 0.3, node
        assert seconds_of(file_of(comfyui, run, node)) == pytest.approx(1.6, abs=0.08), node
    assert seconds_of(file_of(comfyui, run, "heard")) == pytest.approx(0.6, abs=0.01)
    for node in ("short", "clip"):
        saved = load(file_of(comfyui, run, node))
        assert len(saved) == 6 and saved.frame_rate == RATE, node
        assert saved.audio is not None and saved.audio.seconds == pytest.approx(0.6, abs=0.06)
        assert float((saved.frames - source.frames[2:8]).abs().mean((0, 3))[4, 4]) < 0.02, node


@pytest.mark.slow
def test_an_interrupt_while_a_paste_is_saved_leaves_nothing(comfyui: ComfyServer):
    grey = torch.rand(1, 240, 320, 3).expand(160, -1, -1, -1)
    save(comfyui.base / "input" / "long.mp4", grey, RATE, crf=40)
    nodes = graph()
    kept = {name: nodes[name] for name in ("load", "draw", "edit", "paste", "ours")}
    kept["load"]["inputs"] |= {"file": "long.mp4"}
    kept["ours"]["inputs"] |= {"filename_prefix": "stopped/clip"}
    run = comfyui.queue(kept)
    wait_for(lambda: [told for told in run.of("progress") if told["node"] == "ours"])
    comfyui.interrupt()
    assert run.ended.wait(10) and run.outcome == "execution_interrupted"
    assert list((comfyui.base / "output" / "stopped").iterdir()) == []
    run = comfyui.run(kept)
    assert run.outcome == "execution_success", run.of("execution_error")
    assert len(load(file_of(comfyui, run, "ours"), Choice(frame_rate=1))) == 16
