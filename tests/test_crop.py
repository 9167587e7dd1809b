"""Clips cropped to their regions, and the crops put back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from comfyui_server import ComfyServer

from evenframe.benchmarks.registration import displaced, textured, windows
from evenframe.nodes import node_classes
from evenframe.nodes.host import host, workflow
from evenframe.nodes.host.executor import Executor, RunResult
from evenframe.nodes.host.standalone import Session, StandaloneHost
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.pasting import paster, source_masks
from evenframe.pipelines.pasting.crop import crop_around, whole_crop
from evenframe.pipelines.pasting.crop_window import Framing
from evenframe.pipelines.pasting.edge import Edge
from evenframe.pipelines.pasting.only_there import only_there
from evenframe.pipelines.regions.region import BoxRegion, MaskRegion, box_region, mask_region
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.video import (
    Choice,
    Clip,
    Film,
    Fitting,
    Length,
    clip_from_images,
    fit_clip,
    load,
    save,
)
from evenframe.pipelines.video.resample import Resampler

WIDE, HIGH, COUNT = 246, 178, 10
AREA = Fitting(pixels=300**2)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that moves by 2 pixels a frame."""
    picture = textured(WIDE + 40, HIGH)
    frames = torch.stack([picture[:, 2 * at : 2 * at + WIDE] for at in range(COUNT)])
    path = tmp_path_factory.mktemp("source") / "clip.mp4"
    return save(path, frames, 10, crf=0, disclose=False)


@pytest.fixture(scope="module")
def decoded(source: Path) -> torch.Tensor:
    """(f, h, w, 3) uint8"""
    return (load(source).frames * 255).round().byte()


def shown(film: Film) -> torch.Tensor:
    """(f, h, w, 3) uint8"""
    return torch.stack([torch.from_numpy(shot.pixels.copy()) for shot in film.shots()])


def boxes_on(clip: Clip, name: str = "box") -> Regions:
    """A box that runs to the right, on the clip's frames."""
    wide, high = clip.width, clip.height
    x = np.linspace(0.1, 0.55, len(clip)) * wide
    boxes = [(at, 0.4 * high, at + 0.2 * wide, 0.7 * high) for at in x]
    return Regions((box_region(boxes, (high, wide), name=name),), len(clip), (high, wide))


def masks_on(clip: Clip) -> Regions:
    """A disk that runs to the right, and is away on the third frame."""
    wide, high = clip.width, clip.height
    y, x = torch.arange(high)[:, None] + 0.5, torch.arange(wide)[None] + 0.5
    middles = torch.linspace(0.2, 0.6, len(clip)) * wide
    masks = torch.stack(
        [((x - at) ** 2 + (y - high / 2) ** 2 < (0.15 * high) ** 2).float() for at in middles]
    )
    masks[2] = 0
    region = mask_region(masks, len(clip), (high, wide), name="disk")
    return Regions((region,), len(clip), (high, wide))


def on_source(regions: Regions, clip: Clip) -> torch.Tensor:
    """(f, h, w): the regions in the source's pixels, by the clip's pixel that each lies in."""
    left, top, right, bottom = clip.placement.box(0)
    x = ((torch.arange(WIDE) + 0.5 - left) / (right - left) * clip.width).long()
    y = ((torch.arange(HIGH) + 0.5 - top) / (bottom - top) * clip.height).long()
    here = ((x >= 0) & (x < clip.width))[None] & ((y >= 0) & (y < clip.height))[:, None]
    drawn = regions.coverage(regions.frame_size)
    return drawn[:, y.clamp(0, clip.height - 1)][:, :, x.clamp(0, clip.width - 1)] * here


CROP, PAD, SQUARE = (
    Fitting("crop", 64, max_side=192),
    Fitting("pad", 64),
    Fitting(width=256, height=256),
)


@pytest.mark.parametrize("draw", [boxes_on, masks_on])
@pytest.mark.parametrize(
    ("loading", "fitting", "moving"),
    [
        (None, Fitting(), False),
        (None, AREA, True),
        (CROP, Fitting(), True),
        (CROP, SQUARE, False),
        (PAD, Fitting(), False),
        (PAD, SQUARE, True),
    ],
)
def test_crops_that_nobody_edits_change_nothing(
    source: Path,
    decoded: torch.Tensor,
    draw: Any,
    loading: Fitting | None,
    fitting: Fitting,
    moving: bool,
) -> None:
    clip, before = load(source, fitting=loading), decoded
    crop = crop_around(clip, draw(clip), fitting, Framing(moving=moving))
    placement, size = crop.clip.placement, (crop.clip.width, crop.clip.height)
    assert placement.source == (WIDE, HIGH) and placement.size == size
    assert crop.regions.frame_size == size[::-1]
    after = shown(only_there(crop.clip, crop.clip.frames, crop.regions, Edge(feather=4)))
    assert after.shape == before.shape
    assert (after.int() - before.int()).abs().max() <= 3
    gone = shown(only_there(crop.clip, 1 - crop.clip.frames, crop.regions, Edge(feather=4)))
    changed = ((gone.int() - before.int()).abs().amax(3) > 8).float()  # f h w
    share = on_source(draw(clip), clip)
    assert float((changed * (share == 0)).sum()) < 0.02 * float(share.sum())
    assert float((changed * share).sum()) > 0.75 * float(share.sum())
    if draw is masks_on:
        assert torch.equal(gone[2], before[2])


def test_own_pixels_are_cut_out_as_they_are(source: Path) -> None:
    clip, whole = load(source, fitting=Fitting(max_side=160)), load(source)
    crop = crop_around(clip, boxes_on(clip), Fitting(multiple=8))
    left, top, right, bottom = (int(edge) for edge in crop.clip.placement.boxes[0])
    assert torch.equal(crop.clip.frames, whole.frames[:, top:bottom, left:right])
    assert "pixel by pixel" in str(crop.windows)
    assert crop.clip.original is None and crop.clip.footage == clip.footage


def test_a_moving_crop_follows(source: Path) -> None:
    clip = load(source, fitting=Fitting(max_side=160))
    still = crop_around(clip, boxes_on(clip), Fitting(), Framing(0, 8))
    moving = crop_around(clip, boxes_on(clip), Fitting(), Framing(0, 8, True))
    assert moving.clip.width < still.clip.width and len(moving.clip.placement.boxes) == COUNT
    [seen] = moving.regions.items
    assert isinstance(seen, BoxRegion) and float(seen.boxes.min()) >= 0
    assert bool((seen.boxes[:, 2] <= moving.clip.width).all())


@pytest.mark.parametrize("ending", ["trim", "repeat"])
def test_frames_of_another_number_come_back(
    source: Path, decoded: torch.Tensor, ending: str
) -> None:
    clip = load(source, Choice(length=Length(4, 1, ending)), Fitting(max_side=160))
    crop = crop_around(clip, boxes_on(clip), Fitting(), Framing(moving=True))
    assert len(crop.clip) == {"trim": 9, "repeat": 13}[ending]
    film = only_there(crop.clip, 1 - crop.clip.frames, crop.regions)
    changed = (shown(film).int() - decoded.int()).abs().amax((1, 2, 3)) > 8
    assert changed.tolist() == [True] * 9 + [ending == "repeat"]


@pytest.mark.parametrize(("box", "size"), windows()[::4])
def test_an_unchanged_crop_lies_where_it_was(
    box: tuple[float, float, float, float], size: tuple[int, int]
) -> None:
    frame = textured(480, 360)
    clip = clip_from_images(frame[None], 8)
    left, top, right, bottom = box
    inner = (left + 8, top + 8, right - 8, bottom - 8)
    regions = Regions((box_region([inner], (360, 480), name="it"),), 1, (360, 480))
    fitting = Fitting(multiple=8, width=size[0] // 8 * 8, height=size[1] // 8 * 8)
    crop = crop_around(clip, regions, fitting, Framing(0, 8))
    film = only_there(crop.clip, crop.clip.frames, whole_crop(crop.clip), Edge(feather=0))
    after = shown(film)[0].numpy() / 255
    left, top, right, bottom = (round(edge) for edge in crop.clip.placement.boxes[0])
    inside = np.s_[top:bottom, left:right]
    moved, scaled = displaced(frame.numpy()[inside], after[inside])
    assert moved < 0.05 and scaled < 1e-3


@pytest.mark.parametrize("draw", ["box", "mask", "window"])
@pytest.mark.parametrize("moving", [False, True])
def test_regions_spread_no_further_than_the_crop(
    source: Path, decoded: torch.Tensor, draw: str, moving: bool
) -> None:
    clip = load(source)
    regions = masks_on(clip) if draw == "mask" else boxes_on(clip)
    crop = crop_around(clip, regions, Fitting(multiple=8), Framing(0, 8, moving))
    kept = whole_crop(crop.clip) if draw == "window" else crop.regions
    film = only_there(crop.clip, crop.clip.frames, kept, Edge(40, 3))
    assert (shown(film).int() - decoded.int()).abs().max() <= 3


def test_regions_of_the_source_count_where_a_moving_window_shows_them(source: Path) -> None:
    """They stand still, it does not."""
    clip = load(source)
    window = crop_around(clip, boxes_on(clip), Fitting(multiple=8), Framing(0, 8, True)).clip
    size = (HIGH, WIDE)
    still = Regions((box_region([(0, 0, WIDE, HIGH)] * COUNT, size, name="all"),), COUNT, size)
    film = only_there(window, torch.ones(COUNT, 64, 64, 3), still, Edge(0, 0))
    for index, frame in enumerate(shown(film)):
        edited = (frame == 255).all(2)
        assert torch.equal(edited, window.placement.visible(index, (0, 0, WIDE, HIGH)) == 1)


def made(monkeypatch: pytest.MonkeyPatch, module: Any) -> list[Any]:
    """The resamplers that a module makes from now on."""
    found = []

    class Counted(Resampler):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            found.append(self)

    monkeypatch.setattr(module, "Resampler", Counted)
    return found


@pytest.mark.parametrize("rim_match", [False, True])
@pytest.mark.parametrize("moving", [False, True])
def test_ways_are_made_where_they_are_gone(
    source: Path, monkeypatch: pytest.MonkeyPatch, moving: bool, rim_match: bool
) -> None:
    clip = load(source)
    crop = crop_around(clip, boxes_on(clip), Fitting(multiple=8), Framing(0, 16, moving))
    places = len(set(crop.clip.placement.boxes))
    ways = made(monkeypatch, paster)
    list(only_there(crop.clip, crop.clip.frames, crop.regions, Edge(rim_match=rim_match)).shots())
    assert len(ways) == places * (2 if rim_match else 1)


def test_hard_and_grey_masks_keep_a_way_each(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = fit_clip(clip_from_images(torch.rand(COUNT, HIGH, WIDE, 3), 8), Fitting(max_side=160))
    hard = masks_on(clip).items[0]
    assert isinstance(hard, MaskRegion)
    grey = replace(hard, masks=hard.masks / 2)
    regions = Regions((hard, grey), COUNT, (clip.height, clip.width))
    ways = made(monkeypatch, source_masks)
    list(only_there(clip, clip.frames, regions).shots())
    assert len(ways) == 2


def square(side: int) -> Regions:
    box = (0.3 * side, 0.3 * side, 0.5 * side, 0.5 * side)
    return Regions((box_region([box] * 2, (side, side), name="it"),), 2, (side, side))


def test_regions_of_the_clip_are_not_taken_for_those_of_its_crops() -> None:
    clip = clip_from_images(torch.rand(2, 96, 96, 3), 8)
    fitting = Fitting(multiple=8, width=96, height=96)
    crop = crop_around(clip, square(96), fitting, Framing(0, 4))
    edited = torch.ones(2, 96, 96, 3)
    for wrong in (square(96), replace(crop.regions, window=None)):
        with pytest.raises(EvenframeError, match="link the regions of Crop Around Region"):
            only_there(crop.clip, edited, wrong)
        with pytest.raises(EvenframeError, match="link the regions of Crop Around Region"):
            crop_around(crop.clip, wrong, fitting)
    for large in (96, 192):
        with pytest.raises(EvenframeError, match="link the regions of Crop Around Region"):
            only_there(crop.clip, torch.ones(2, 192, 192, 3), square(96))
        only_there(crop.clip, torch.ones(2, large, large, 3), crop.regions)
    again = crop_around(crop.clip, crop.regions, fitting)
    assert again.regions.window == again.clip.window


def test_regions_may_be_drawn_on_crops_of_another_size() -> None:
    clip = clip_from_images(torch.rand(2, 96, 96, 3), 8)
    crop = crop_around(clip, square(96), Fitting(multiple=8, width=64, height=64), Framing(0, 4))
    own = square(64)
    mixed = own.over(crop.regions)
    assert mixed.window == crop.regions.window and len(mixed.items) == 2
    for regions in (own, mixed):
        [shot, _] = only_there(crop.clip, torch.ones(2, 64, 64, 3), regions, Edge(0, 0)).shots()
        assert (shot.pixels == 255).all(2).any()


def test_regions_of_crops_belong_to_their_clip() -> None:
    clip = clip_from_images(torch.rand(2, 96, 96, 3), 8)
    fitting = Fitting(multiple=8, width=96, height=96)
    one, other = (crop_around(clip, square(96), fitting, Framing(0, each)) for each in (4, 20))
    for wrong in (clip, other.clip):
        with pytest.raises(EvenframeError, match="of the same Crop Around Region"):
            only_there(wrong, torch.ones(2, 96, 96, 3), one.regions)
    with pytest.raises(EvenframeError, match="those of one Crop Around Region"):
        one.regions.over(other.regions)


def test_what_is_refused(source: Path, tmp_path: Path) -> None:
    clip = load(source, fitting=Fitting(max_side=160))
    other = clip_from_images(torch.rand(COUNT, 40, 60, 3), 8)
    with pytest.raises(EvenframeError, match="The regions are for 10 frames of 60x40 pixels, but"):
        crop_around(clip, boxes_on(other), Fitting())
    with pytest.raises(EvenframeError, match="The crops: .* need .* of memory"):
        crop_around(clip, boxes_on(clip), Fitting(), free=lambda _: 10**6)
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(source.read_bytes())
    loaded = load(copy, fitting=Fitting(max_side=160))
    copy.write_bytes(source.read_bytes() + b"x")
    with pytest.raises(EvenframeError, match="'copy.mp4' was changed since the clip was loaded"):
        crop_around(loaded, boxes_on(loaded), Fitting())


def test_an_interrupt_ends_it(source: Path) -> None:
    clip, seen = load(source, fitting=Fitting(max_side=160)), []

    def stop(done: int) -> None:
        seen.append(done)
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crop_around(clip, boxes_on(clip), Fitting(), on_frame=stop)
    assert seen == [1, 2, 3]


@pytest.fixture
def folder(tmp_path: Path, source: Path) -> Iterator[Path]:
    """A folder with the video in `input`, the session's for as long as a test runs."""
    assert isinstance(host, StandaloneHost)
    for name in ("input", "output", "temp"):
        (tmp_path / name).mkdir()
    (tmp_path / "input" / "clip.mp4").write_bytes(source.read_bytes())
    session = Session(
        inputs=(tmp_path / "input",), output=tmp_path / "output", temp=tmp_path / "temp"
    )
    with host.using(session):
        yield tmp_path


TEXT = """{"version": 1, "unit": "fraction", "regions": [
  {"name": "it", "words": "", "box": [0.3, 0.3, 0.5, 0.6]}
]}"""


def graph(cropping: dict[str, Any], pasting: dict[str, Any]) -> dict[str, Any]:
    loading = {"file": "clip.mp4", "max_frames": 0, "skip": 0, "stride": 1, "frame_rate": 0.0}
    loading |= {"fit": "stretch", "max_side": 160, "width": 0, "height": 0}
    saving = {"filename_prefix": "try/clip", "format": "mp4", "frame_rate": 0.0, "crf": 0}
    return {
        "1": {"class_type": "EvenframeLoadVideo", "inputs": loading},
        "2": {
            "class_type": "EvenframeDrawRegions",
            "inputs": {"frames": ["1", 0], "text": TEXT},
        },
        "3": {
            "class_type": "EvenframeCropRegion",
            "inputs": {
                "regions": ["2", 0],
                "clip": ["1", 1],
                "context": 0.25,
                "moving": False,
                "smooth": 24,
                "target": "own",
                **cropping,
            },
        },
        "4": {
            "class_type": "EvenframePasteCrop",
            "inputs": {"frames": ["3", 0], "clip": ["3", 1], "feather": 4, **pasting},
        },
        "5": {
            "class_type": "EvenframeSaveVideo",
            "inputs": saving | {"frames": ["4", 0], "undo_fit": True},
        },
    }


def run(prompt: dict[str, Any]) -> RunResult:
    assert isinstance(host, StandaloneHost)
    return Executor(host, node_classes()).run(workflow.parse(prompt))


@pytest.mark.parametrize("pasting", [{}, {"regions": ["3", 2], "rim_match": True}])
def test_crop_and_paste_in_a_graph(folder: Path, pasting: dict[str, Any]) -> None:
    result = run(graph({"target": "SD"}, pasting))
    frames, _, regions, mask, info = result.results["3"].values
    assert frames.shape[0] == COUNT and frames.shape[1] * frames.shape[2] <= 512 * 512
    assert mask.shape == frames.shape[:3] and regions.frame_size == frames.shape[1:3]
    assert 0.05 < float(mask.mean()) < 0.6 and "Window of" in info and "in 246x178" in info
    saved = load(folder / "output" / "try" / "clip_00001_.mp4")
    before = load(folder / "input" / "clip.mp4")
    assert saved.frames.shape == before.frames.shape and saved.frame_rate == 10
    assert float((saved.frames - before.frames).abs().mean()) < 0.02
    assert "10 frames of 246x178 are edited" in result.results["4"].values[1]


def test_images_without_a_clip(folder: Path) -> None:
    prompt = graph({"frames": ["1", 0]}, {})
    del prompt["3"]["inputs"]["clip"]
    frames, clip, *_ = run(prompt).results["3"].values
    assert clip.placement.source == (160, 112) and frames.shape[0] == COUNT
    del prompt["3"]["inputs"]["frames"]
    with pytest.raises(EvenframeError, match="There is neither a clip nor frames"):
        run(prompt)


def test_in_comfyui(comfyui: ComfyServer, source: Path) -> None:
    """With an editor of ComfyUI's own nodes between, and its own video nodes behind."""
    (comfyui.base / "input" / "moving.mp4").write_bytes(source.read_bytes())
    prompt = graph({"target": "LTX", "moving": True}, {"regions": ["3", 2]})
    prompt["1"]["inputs"] |= {"file": "moving.mp4", "target": "Wan 480p"}
    prompt["4"]["inputs"]["frames"] = ["6", 0]
    saving = {"filename_prefix": "try/own", "format": "auto", "codec": "auto"}
    prompt |= {
        "6": {"class_type": "ImageInvert", "inputs": {"image": ["3", 0]}},
        "7": {"class_type": "SaveVideo", "inputs": saving | {"video": ["4", 0]}},
        "8": {"class_type": "MaskToImage", "inputs": {"mask": ["3", 3]}},
        "9": {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}},
    }
    run = comfyui.run(prompt)
    assert run.outcome == "execution_success", run.of("execution_error")
    before = load(source).frames
    for path in comfyui.files(run):
        if path.suffix == ".mp4":
            saved = load(path)
            assert saved.frames.shape == before.shape and saved.frame_rate == 10
            changed = (saved.frames - before).abs().mean(3) > 0.15
            assert 0.01 < float(changed[:9].float().mean()) < 0.1  # the box, where it is not grey
            assert not changed[9].any()  # trimmed, and back
