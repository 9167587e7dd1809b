"""Pasting what does not fit, from files that change, onto disks that are full."""

import math
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.pasting.edge import Edge
from evenframe.pipelines.pasting.only_there import only_there, pasted_images
from evenframe.pipelines.pasting.source_masks import Places
from evenframe.pipelines.regions.region import box_region, mask_region
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.video import (
    Audio,
    Choice,
    Clip,
    Film,
    Fitting,
    clip_from_images,
    film_of,
    fit_clip,
    load,
    save,
)
from evenframe.pipelines.video.film import Shot, trimmed
from evenframe.pipelines.video.placement import Placement
from evenframe.tests.test_video_load import write_video

HARD = Edge(feather=0)
BOX = (20, 16, 60, 48)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_video(tmp_path / "a.mp4")


@pytest.fixture
def clip(path: Path) -> Clip:
    """Frames 2 to 7 of twelve, 96x64."""
    return load(path, Choice(6, skip=2))


def here(clip: Clip, size: tuple[int, int] | None = None, frames: int = 0, box=BOX) -> Regions:
    """A box on all frames."""
    size, count = size or (clip.height, clip.width), frames or len(clip)
    return Regions((box_region([box] * count, size, name="it"),), count, size)


def changed(clip: Clip, edited: Tensor, regions: Regions, edge: Edge = HARD) -> list[int]:
    """Which frames of the whole file are not as they were."""
    assert clip.footage is not None
    film, source = only_there(clip, edited, regions, edge), load(clip.footage.path).frames
    shots, frames = list(film.shots()), source.mul(255).round().numpy()
    assert len(shots) == len(frames)
    return [
        index
        for index, (shot, frame) in enumerate(zip(shots, frames, strict=True))
        if (shot.pixels != frame).any()
    ]


def told(clip: Clip, edited: Tensor, regions: Regions) -> tuple[str, ...]:
    return only_there(clip, edited, regions).said


def test_an_edit_of_fewer_frames(clip: Clip):
    edited = 1 - clip.frames[:4]
    assert changed(clip, edited, here(clip)) == [2, 3, 4, 5]
    assert changed(clip, edited, here(clip, frames=4)) == [2, 3, 4, 5]
    assert told(clip, edited, here(clip)) == (
        "4 of 12 frames of 96x64 are edited in the regions; all else is as it was.",
        "The edit has 4 frames, the clip 6: the last are the source's.",
    )


def test_an_edit_of_more_frames(clip: Clip):
    edited = torch.ones(9, 64, 96, 3)
    assert changed(clip, edited, here(clip)) == [2, 3, 4, 5, 6, 7]
    assert changed(clip, edited, here(clip, frames=9)) == [2, 3, 4, 5, 6, 7]
    assert told(clip, edited, here(clip))[1] == (
        "The edit has 3 frames more than the clip: they were left out."
    )


def test_a_film_of_more_frames_than_it_promises(clip: Clip):
    film = replace(film_of(torch.ones(6, 64, 96, 3), 10), expected=3)
    pasted = only_there(clip, film, here(clip, frames=3), HARD)
    bright = [shot.pixels[30, 40].min() == 255 for shot in pasted.shots()]
    assert [index for index, it in enumerate(bright) if it] == [2, 3, 4]


def test_an_edit_of_another_shape_is_stretched_and_told(clip: Clip):
    edited = torch.ones(6, 64, 64, 3)
    assert changed(clip, edited, here(clip)) == [2, 3, 4, 5, 6, 7]
    assert told(clip, edited, here(clip))[1:] == (
        "The edit is 64x64, the frames that were edited 96x64: it was stretched to their "
        "proportions.",
    )
    # Sides that are made whole change proportions a little: not worth a word.
    assert len(told(clip, torch.ones(6, 640, 957, 3), here(clip))) == 1


def test_transparent_pixels_of_an_edit_are_put_on_black(clip: Clip):
    edited = torch.ones(6, 64, 96, 4)
    edited[..., 3] = 0.5
    assert told(clip, edited, here(clip))[0] == (
        "The frames have transparent pixels: they were put on black."
    )
    shots = list(only_there(clip, edited, here(clip), HARD).shots())
    assert shots[2].pixels[30, 40].tolist() == [128, 128, 128]
    grey = torch.ones(6, 64, 96, 1)
    assert list(only_there(clip, grey, here(clip), HARD).shots())[2].pixels[30, 40].min() == 255


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_pixels_that_are_no_numbers(clip: Clip, value: float):
    edited = clip.frames.clone()
    edited[3, 5, 5, 1] = value
    with pytest.raises(EvenframeError, match=r"^Frame 3 has pixels that are not numbers"):
        only_there(clip, edited, here(clip))


def test_frames_on_which_a_region_is_nowhere_are_the_sources(clip: Clip):
    masks = torch.zeros(6, 64, 96)
    masks[1, 20:40, 30:50] = masks[4, 20:40, 30:50] = 1
    regions = Regions((mask_region(masks, 6, (64, 96), name="it"),), 6, (64, 96))
    for edge in (HARD, Edge(3, 8, True, True)):
        assert changed(clip, 1 - clip.frames, regions, edge) == [3, 6]


@pytest.mark.parametrize(
    ("frames", "size"), [(5, (64, 96)), (6, (64, 90)), (12, (64, 96)), (6, (96, 64))]
)
def test_regions_of_another_clip(clip: Clip, frames: int, size: tuple[int, int]):
    with pytest.raises(EvenframeError) as caught:
        only_there(clip, torch.ones(6, 32, 48, 3), here(clip, size, frames))
    assert str(caught.value) == (
        f"The regions are for {frames} frames of {size[1]}x{size[0]} pixels, but the clip has 6 "
        "frames of 96x64 pixels, and the edit 6 frames of 48x32 pixels: draw them on the frames "
        "that were edited."
    )


def test_regions_drawn_on_the_clip_its_edit_and_its_source_lie_at_one_place(path: Path):
    clip = load(path, Choice(2), Fitting("crop", 16, width=48, height=48))
    edited = torch.ones(2, 96, 96, 3)
    drawn = [
        here(clip, box=(12, 12, 36, 24)),
        here(clip, (96, 96), box=(24, 24, 72, 48)),
        here(clip, (64, 96), box=(32, 16, 64, 32)),
    ]
    first, *others = (
        (
            np.stack([shot.pixels for shot in only_there(clip, edited, each, HARD).shots()]),
            pasted_images(clip, edited, each, HARD),
        )
        for each in drawn
    )
    assert (first[0][0, 16:32, 32:64] == 255).all() and (first[0][2:, 20, 40] < 255).all()
    assert first[1].shape == (2, 48, 48, 3) and bool((first[1][:, 12:24, 12:36] == 1).all())
    assert torch.equal(first[1][:, 24:], clip.frames[:, 24:])
    for film, images in others:
        assert (film == first[0]).all() and torch.equal(images, first[1])


@pytest.mark.parametrize("drawn_on", ["clip", "source"])
def test_regions_spread_no_further_than_what_the_edit_shows(path: Path, drawn_on: str):
    clip = load(path, fitting=Fitting("crop", 16, width=48, height=48))
    regions = here(clip, None if drawn_on == "clip" else (64, 96), box=(2, 2, 46, 46))
    [shot, *_] = only_there(clip, torch.ones(12, 48, 48, 3), regions, Edge(30, 0)).shots()
    edited = torch.from_numpy((shot.pixels == 255).all(2))
    beyond = clip.placement.visible(0, (0, 0, 96, 64)) == 0
    assert edited.any() and beyond.any() and not edited[beyond].any()


@pytest.mark.parametrize("mode", ["crop", "pad", "stretch"])
def test_a_clip_of_images(mode: str):
    images = torch.randint(0, 256, (3, 70, 101, 3)) / 255
    clip = fit_clip(clip_from_images(images, 8), Fitting(mode, 16, width=64, height=64))
    film = only_there(clip, torch.zeros(3, 64, 64, 3), here(clip, box=(20, 20, 44, 44)), HARD)
    assert film.size == (101, 70) and film.frame_rate == 8 and film.sound() is None
    for shot, image in zip(film.shots(), images.mul(255).round().numpy(), strict=True):
        black = (shot.pixels == 0).all(2)
        assert (shot.pixels == image)[~black].all()
        rows, columns = (np.flatnonzero(black[5:-5].any(axis)) for axis in (1, 0))
        assert len(rows) < 45 and len(columns) < 50 and black[30:40, 45:55].all()


def test_a_region_that_is_the_whole_frame(clip: Clip):
    regions = here(clip, box=(0, 0, 96, 64))
    for edge in (HARD, Edge(8, 8, False, True)):
        shots = list(only_there(clip, torch.ones(6, 64, 96, 3), regions, edge).shots())
        assert all((shot.pixels == 255).all() for shot in shots[2:8])
        assert all((shot.pixels < 255).all() for shot in shots[:2])


def test_a_region_does_not_spread_beyond_what_was_edited(path: Path):
    clip = load(path, Choice(2), Fitting("crop", 16, width=48, height=48))
    regions = here(clip, box=(0, 0, 48, 30))  # rows 0 to 40, columns 16 to 80 of the source
    edited, source = torch.ones(2, 48, 48, 3), load(path, Choice(2)).frames
    for edge in (Edge(10, 0), Edge(10, 6, True, True)):
        for shot, frame in zip(
            only_there(clip, edited, regions, edge, whole=False).shots(), source, strict=True
        ):
            changed = (shot.pixels != frame.mul(255).round().numpy()).any(2)
            rows, columns = (np.flatnonzero(changed.any(axis)) for axis in (1, 0))
            assert (rows[0], columns[0], columns[-1]) == (0, 16, 79) and 40 < rows[-1] < 50


@pytest.mark.parametrize("as_mask", [False, True])
@pytest.mark.parametrize("edge", [HARD, Edge(0, 1024), Edge(2, 30, True)])
def test_a_soft_edge_leaves_the_middle_of_a_region(clip: Clip, edge: Edge, as_mask: bool):
    """Whether it is the region's own or the paste's: the edit is seen where it was asked for."""
    region = box_region([(40, 20, 52, 30)] * 6, (64, 96), name="it", soften=200)
    if as_mask:
        masks = torch.zeros(6, 64, 96)
        masks[:, 20:30, 40:52] = 1
        region = mask_region(masks, 6, (64, 96), name="it", soften=200)
    shots = list(
        only_there(clip, torch.ones(6, 64, 96, 3), Regions((region,), 6, (64, 96)), edge).shots()
    )
    assert shots[3].pixels[24:26, 45:47].min() == 255
    assert shots[3].pixels[20, 40].max() < 255


@pytest.mark.parametrize("soften", [0, 5, 16])
def test_what_is_computed_of_a_frame_is_as_of_all_of_it(soften: int):
    """Edges next to the part that is computed look no further than it."""
    shape = torch.zeros(1, 40, 60)
    shape[:, 12:30, 15:40] = 1
    items = (
        box_region([(8, 6, 30, 33)], (40, 60), name="box", soften=soften),
        mask_region(shape, 1, (40, 60), name="mask", soften=soften),
    )
    placement = Placement.whole((150, 100), (60, 40))
    for edge in (HARD, Edge(3, 7), Edge(0, 40)):
        places = Places(Regions(items, 1, (40, 60)), placement)
        whole = edge.inside(places.masks(0, (0, 0, 150, 100)))[0]
        area = places.area(0, edge.reach)
        assert area is not None
        left, top, right, bottom = area
        part = torch.zeros(100, 150)
        part[top:bottom, left:right] = edge.inside(places.masks(0, area))[0]
        assert torch.allclose(part, whole, atol=1e-5)


def test_a_file_that_is_gone_or_was_changed(path: Path, clip: Clip):
    edited, regions = clip.frames, here(clip)
    film = only_there(clip, edited, regions)
    stamp = path.stat()
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))
    words = "'a.mp4' was changed since the clip was loaded: load it again"
    for again in (
        lambda: only_there(clip, edited, regions),
        lambda: list(film.shots()),
        film.sound,
    ):
        with pytest.raises(EvenframeError, match=f"^{words}"):
            again()
    path.unlink()
    with pytest.raises(
        EvenframeError, match=r"^'a.mp4' is no longer there, and the frames outside"
    ):
        only_there(clip, edited, regions)


def test_a_file_that_changes_while_it_is_read(tmp_path: Path, path: Path, clip: Clip):
    film = only_there(clip, clip.frames, here(clip))
    other = write_video(tmp_path / "other.mp4", 3).read_bytes()

    def replace_it(done: int) -> None:
        if done == 5:
            path.write_bytes(other)

    with pytest.raises(EvenframeError, match=r"^'a.mp4' was changed since the clip was loaded"):
        save(tmp_path / "b.mp4", film, on_frame=replace_it)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.mp4", "other.mp4"]


class Stopped(BaseException):
    """An interrupt, as hosts have it."""


def test_an_interrupt_leaves_nothing_and_closes_the_file(tmp_path: Path, path: Path, clip: Clip):
    film = only_there(clip, clip.frames, here(clip), Edge(2, 4, True, True))
    steps: list[int] = []

    def stop(done: int) -> None:
        steps.append(done)
        if done == 4:
            raise Stopped

    with pytest.raises(Stopped):
        save(tmp_path / "b.mp4", film, on_frame=stop)
    assert steps == [1, 2, 3, 4] and list(tmp_path.iterdir()) == [path]
    assert path not in open_files()
    assert len(load(save(tmp_path / "b.mp4", film))) == 12, "and it can be saved again"


def open_files() -> list[Path]:
    if sys.platform != "linux":
        return []
    return [Path(os.path.realpath(each)) for each in Path("/proc/self/fd").iterdir()]


@contextmanager
def room_for(nbytes: int) -> Iterator[None]:
    """A limit on the size of files fails as a full disk does, at the same calls."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_nothing_and_closes_the_file(tmp_path: Path, path: Path, clip: Clip):
    film = only_there(clip, torch.rand(6, 64, 96, 3), here(clip))
    size = save(tmp_path / "whole.mp4", film).stat().st_size
    with room_for(size // 2), pytest.raises(EvenframeError, match=r"^The disk is full: 'b.mp4'"):
        save(tmp_path / "b.mp4", film)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.mp4", "whole.mp4"]
    assert path not in open_files()


@pytest.mark.parametrize(
    ("start", "seconds", "seen"),
    [
        (0, 0, [(0, 0.0), (1, 0.1), (2, 0.2), (3, 0.7), (4, 0.8)]),
        (0.2, 0, [(2, 0.0), (3, 0.5), (4, 0.6)]),
        (0.45, 0.3, [(2, 0.0), (3, 0.25)]),
        (0.1, 0.1, [(1, 0.0)]),
        (0.75, 9, [(3, 0.0), (4, 0.05)]),
    ],
)
def test_a_film_that_is_trimmed(start: float, seconds: float, seen: list[tuple[int, float]]):
    times = [Fraction(each, 10) for each in (0, 1, 2, 7, 8)]
    shots = [Shot(np.full((8, 8, 3), index, np.uint8), at) for index, at in enumerate(times)]
    sound = Audio(torch.arange(900)[None] / 900, 1000)
    film = Film((8, 8), Fraction(10), lambda: iter(shots), Fraction(1, 1000), 9, lambda: sound)
    part = trimmed(film, start, seconds)
    assert [(int(shot.pixels[0, 0, 0]), float(shot.time)) for shot in part.shots()] == seen
    heard = part.sound()
    assert heard is not None and float(heard.samples[0, 0]) == pytest.approx(start / 0.9)
    assert heard.seconds == pytest.approx(min(0.9 - start, seconds or 9))
    assert part.expected == math.ceil(10 * min(0.9 - start, seconds or 9) - 1e-9)
