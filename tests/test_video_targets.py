"""Sizes and numbers of frames that other video editors take, there and back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_video_nodes import load_and_save, run, write_source
from undone import unfit_clip

from evenframe.nodes.host import host
from evenframe.nodes.host.standalone import Session, StandaloneHost
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.pasting.only_there import only_there
from evenframe.pipelines.regions.region import box_region
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.video import (
    Audio,
    Choice,
    Fitting,
    Length,
    clip_from_images,
    fit_clip,
    load,
    select,
    undo_clip,
    without_repeated,
)
from evenframe.pipelines.video.sizes import best_size
from evenframe.pipelines.video.targets import target, targets

FOURTH = Length(4, 1)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 frames of 130x70, ten a second, with sound."""
    return write_source(tmp_path_factory.mktemp("source") / "clip.mp4")


def test_the_table_is_sound() -> None:
    names = [found.name for found in targets()]
    assert names[0] == "own" and len(set(names)) == len(names)
    assert {"SD", "Wan 480p", "Wan 720p", "LTX"} <= set(names)
    for found in targets()[1:]:
        assert found.size is not None
        wide, high = found.size
        assert wide % found.multiple == high % found.multiple == 0
        assert Fitting(pixels=wide * high, multiple=found.multiple).plan((wide, high)).untouched
        assert found.fitting(Fitting(multiple=8)).plan((high, wide)).size == (high, wide)
    with pytest.raises(EvenframeError, match="target is 'Wam': choose one of own, SD"):
        target("Wam")


@pytest.mark.parametrize(
    ("name", "source", "size"),
    [
        ("Wan 480p", (1920, 1080), (832, 480)),
        ("Wan 480p", (854, 480), (832, 480)),
        ("Wan 480p", (1080, 1920), (480, 832)),
        ("Wan 480p", (64, 64), (624, 624)),
        ("Wan 720p", (1920, 1080), (1280, 720)),
        ("LTX", (1920, 1080), (800, 448)),
        ("HunyuanVideo 480p", (1280, 720), (848, 480)),
        ("SD", (512, 512), (512, 512)),
    ],
)
def test_sizes_of_usual_videos(name: str, source: tuple[int, int], size: tuple[int, int]) -> None:
    assert target(name).fitting(Fitting(max_side=16)).plan(source).size == size


def test_a_side_that_is_given_stays() -> None:
    wan, ltx = target("Wan 480p"), target("LTX")
    assert wan.fitting(Fitting(width=512)).plan((1920, 1080)).size == (512, 288)
    assert wan.fitting(Fitting(width=640, height=640)).plan((1920, 1080)).size == (640, 640)
    with pytest.raises(EvenframeError, match="width is 848: give a multiple of 32"):
        ltx.fitting(Fitting(width=848))
    assert wan.fitting(Fitting(multiple=64)).multiple == 64  # the larger one holds
    asked = Fitting("crop", 8, max_side=640)
    assert target("own").fitting(asked) == asked


@settings(max_examples=60, deadline=None)
@given(
    aspect=st.floats(0.02, 50),
    area=st.integers(64**2, 300**2),
    multiple=st.sampled_from([8, 16, 64]),
)
def test_no_other_size_suits_better(aspect: float, area: int, multiple: int) -> None:
    def cost(wide: int, high: int) -> float:
        return 1.5 * abs(math.log(wide / high / aspect)) - math.log(wide * high)

    sides = range(multiple, area // multiple + 1, multiple)
    least = min(cost(w, h) for w in sides for h in sides if w * h <= area)
    wide, high = best_size(aspect, area, multiple)
    assert wide * high <= area and wide % multiple == high % multiple == 0
    assert cost(wide, high) == pytest.approx(least)


@settings(max_examples=200, deadline=None)
@given(frames=st.integers(1, 300), step=st.integers(1, 20), first=st.integers(1, 9))
def test_lengths_are_the_nearest_ones(frames: int, step: int, first: int) -> None:
    taken = range(first, 400, step)
    longer = min(count for count in taken if count >= frames)
    shorter = max((count for count in taken if count <= frames), default=first)
    trimmed = Length(step, first).count(frames)
    repeated = Length(step, first, "repeat").count(frames)
    assert trimmed.kept == shorter and repeated.kept == longer
    assert trimmed.trimmed == max(0, frames - shorter) and repeated.repeated == longer - frames
    assert trimmed.chosen == frames == repeated.chosen


def test_lengths_in_words() -> None:
    assert str(FOURTH.count(83)) == "2 frames trimmed at the end: 81 of 83 = 4n+1"
    repeated = "the last frame repeated for 1 frame: 45 from 44 = 8n+5"
    assert str(Length(8, 5, "repeat").count(44)) == repeated
    assert str(FOURTH.count(81)) == "81 frames = 4n+1: none trimmed or repeated"
    wrong: dict[str, Any]
    for wrong in ({"step": 0}, {"first": 0}, {"ending": "cut"}):
        with pytest.raises(EvenframeError, match=r"frame_step is 0|first is 0|length 'cut'"):
            Length(**wrong)


@pytest.mark.parametrize("fitting", [Fitting("crop", 64), Fitting("pad", 64), None])
def test_the_last_frames_are_trimmed(source: Path, fitting: Fitting | None) -> None:
    clip = load(source, Choice(length=FOURTH), fitting)
    plain = load(source, Choice(17), fitting)
    assert torch.equal(clip.frames, plain.frames) and clip.timestamps == plain.timestamps
    assert clip.frame_rate == 10 and clip.repeated == 0
    assert clip.audio is not None and plain.audio is not None
    assert torch.equal(clip.audio.samples, plain.audio.samples)
    assert (clip.original is None) == (plain.original is None)
    assert clip.original is None or len(clip.original) == 20  # the trimmed ones come back
    back, as_plain = undo_clip(1 - clip.frames, clip), undo_clip(1 - plain.frames, plain)
    assert back.said == as_plain.said
    if clip.fit is not None:
        frame = 1 - clip.frames[16]
        assert torch.equal(back.frame(16, frame), as_plain.frame(16, frame))
    assert "3 frames trimmed at the end: 17 of 20 = 4n+1" in clip.describe()
    assert plain.count is None and "4n+1" not in plain.describe()


@pytest.mark.parametrize("mode", ["crop", "pad"])
def test_the_last_frame_is_repeated_and_left_out_again(source: Path, mode: str) -> None:
    fitting = Fitting(mode, 64)
    clip = load(source, Choice(6, length=Length(4, 1, "repeat")), fitting)
    plain = load(source, Choice(6), fitting)
    assert len(clip) == 9 and clip.repeated == 3
    assert torch.equal(clip.frames[:6], plain.frames)
    assert all(torch.equal(frame, plain.frames[5]) for frame in clip.frames[6:])
    assert clip.timestamps == plain.timestamps + plain.timestamps[-1:] * 3
    assert clip.audio is not None and plain.audio is not None
    assert torch.equal(clip.audio.samples, plain.audio.samples)
    edited, said = without_repeated(1 - clip.frames, clip)
    assert torch.equal(edited, 1 - plain.frames) and "last 3 of 9 frames only repeat" in said[0]
    back, as_plain = undo_clip(edited, clip), undo_clip(edited, plain)
    assert back.said == as_plain.said
    assert torch.equal(back.frame(5, edited[5]), as_plain.frame(5, edited[5]))
    shorter, said = without_repeated(clip.frames[:8], clip)
    assert len(shorter) == 8 and said == ()
    whole, said = unfit_clip(1 - clip.frames, clip)
    assert len(whole) == 6 and "only repeat" in said


def test_too_few_to_trim_are_repeated() -> None:
    clip = select(clip_from_images(torch.rand(3, 8, 8, 3), 10), Choice(length=Length(8, 5)))
    assert len(clip) == 5 and clip.repeated == 2


@pytest.mark.parametrize("ending", ["trim", "repeat"])
@pytest.mark.parametrize("choice", [{}, {"max_frames": 7}, {"skip": 2, "stride": 3}])
def test_images_are_counted_as_files_are(source: Path, choice: dict, ending: str) -> None:
    whole = load(source)
    wanted = Choice(**choice, length=Length(4, 1, ending))
    images = clip_from_images(whole.frames, whole.frame_rate, whole.audio)
    selected, loaded = select(images, wanted), load(source, wanted)
    assert torch.equal(selected.frames, loaded.frames)
    assert selected.count == loaded.count and selected.frame_rate == loaded.frame_rate
    clip = fit_clip(selected, Fitting("crop", 64))
    assert clip.original is not None and clip.count is not None
    assert torch.equal(clip.original, load(source, Choice(**choice)).frames)
    assert isinstance(clip.audio, Audio) and loaded.audio is not None
    assert clip.audio.seconds == pytest.approx(loaded.audio.seconds, abs=0.01)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    assert isinstance(host, StandaloneHost)
    for name in ("input", "output", "temp"):
        (tmp_path / name).mkdir()
    write_source(tmp_path / "input" / "clip.mp4")
    session = Session(
        inputs=(tmp_path / "input",), output=tmp_path / "output", temp=tmp_path / "temp"
    )
    with host.using(session):
        yield tmp_path


def loaded(**inputs: Any) -> dict[str, Any]:
    usual = {"fit": "stretch", "max_frames": 0, "skip": 0, "stride": 1, "max_side": 768}
    return load_and_save(usual | {"multiple": "16"} | inputs)


def test_a_clip_for_an_editor_and_back(folder: Path) -> None:
    result = run(loaded(target="Wan 480p", length="repeat"))
    frames, clip, _, _, info = result.results["1"].values
    assert frames.shape == (21, 464, 848, 3) and clip.repeated == 1
    assert "the last frame repeated for 1 frame: 21 from 20 = 4n+1" in info
    assert "Wan 480p makes clips of 16 frames a second, and this one has 10" in info
    assert "the last 1 of 21 frames only repeat" in result.results["2"].values[1]
    saved = load(folder / "output" / "try" / "clip_00001_.mp4")
    assert saved.frames.shape == (20, 70, 130, 3) and saved.frame_rate == 10


def test_trimmed_at_the_editors_own_rate(folder: Path) -> None:
    result = run(loaded(target="Wan 480p", frame_rate=16.0, width=128, height=64))
    frames, _, _, rate, info = result.results["1"].values
    assert frames.shape == (29, 64, 128, 3) and rate == 16
    assert "3 frames trimmed at the end: 29 of 32 = 4n+1" in info and "makes clips" not in info


def test_without_a_target_all_is_as_before(folder: Path) -> None:
    plain, named = run(loaded()).results["1"].values, run(loaded(target="own")).results["1"].values
    assert torch.equal(plain[0], named[0]) and plain[4] == named[4]
    assert plain[0].shape == (20, 64, 128, 3) and plain[1].count is None


@pytest.mark.parametrize("ending", ["trim", "repeat"])
@pytest.mark.parametrize("count", range(1, 10))
def test_a_frame_step_there_and_back(folder: Path, count: int, ending: str) -> None:
    inputs = {"max_frames": count, "frame_step": 4, "length": ending, "max_side": 64}
    result = run(loaded(**inputs))
    frames, clip, _, rate, info = result.results["1"].values
    trimmed = count - (count - 1) % 4
    kept = trimmed if ending == "trim" else trimmed + 4 * (count > trimmed)
    said = "frames" if kept == count else f"of {count}" if kept < count else f"from {count}"
    assert len(frames) == kept and rate == 10 and f"{kept} {said} = 4n+1" in info
    saved = load(folder / "output" / "try" / "clip_00001_.mp4")
    number = min(kept, count)
    assert saved.frames.shape == (number, 70, 130, 3) and saved.frame_rate == 10
    plain = load(folder / "input" / "clip.mp4", Choice(number))
    assert (saved.frames - plain.frames).abs().mean() < 0.05
    assert saved.audio is not None and plain.audio is not None
    assert saved.audio.seconds == pytest.approx(number / 10, abs=0.05)
    assert (clip.audio.samples - plain.audio.samples).abs().max() == 0


def test_a_frame_step_beside_a_target(folder: Path) -> None:
    for name, kept in {"own": 19, "SD": 19, "Wan 480p": 17}.items():
        inputs = {"target": name, "width": 64, "height": 64, "frame_step": 6}
        assert len(run(loaded(**inputs)).results["1"].values[0]) == kept
    with pytest.raises(EvenframeError, match="frame_step is 65"):
        Length(65)


@pytest.mark.parametrize("ending", ["trim", "repeat"])
@pytest.mark.parametrize("images", [False, True])
def test_what_was_trimmed_or_repeated_comes_back(source: Path, images: bool, ending: str) -> None:
    plain = load(source)
    wanted, fitting = Choice(length=Length(8, 1, ending)), Fitting("crop", 64)
    if images:
        clip = clip_from_images(plain.frames, 10, plain.audio)
        clip = fit_clip(select(clip, wanted), fitting)
    else:
        clip = load(source, wanted, fitting)
    assert len(clip) == {"trim": 17, "repeat": 25}[ending]
    boxes = [(32, 16, 96, 48)] * len(clip)
    region = box_region(boxes, (clip.height, clip.width), name="middle")
    regions = Regions((region,), len(clip), (clip.height, clip.width))
    film = only_there(clip, 1 - clip.frames, regions)
    shots = [torch.from_numpy(shot.pixels.copy()) / 255 for shot in film.shots()]
    assert len(shots) == 20
    for index, (shot, before) in enumerate(zip(shots, plain.frames, strict=True)):
        changed = bool((shot - before).abs().max() > 0.01)
        assert changed == (index < len(clip)), index
    edited = min(20, len(clip))
    assert f"{edited} of 20 frames" in film.said[0] or edited == 20
    assert not any("The edit has" in line for line in film.said)


def test_repeated_frames_edit_nothing_beyond_the_chosen_ones(source: Path) -> None:
    clip = load(source, Choice(6, skip=4, length=Length(4, 1, "repeat")))
    assert len(clip) == 9 and clip.own_frames == 6
    region = box_region([(32, 16, 96, 48)] * 9, (clip.height, clip.width), name="middle")
    film = only_there(clip, 1 - clip.frames, Regions((region,), 9, (clip.height, clip.width)))
    before = load(source).frames
    shots = torch.stack([torch.from_numpy(shot.pixels.copy()) / 255 for shot in film.shots()])
    changed = (shots - before).abs().amax((1, 2, 3)) > 0.01
    assert changed.nonzero()[:, 0].tolist() == list(range(4, 10))
    assert "6 of 20 frames" in film.said[0]
