"""An edit back into its source: outside of the regions the file's own frames, inside the edit."""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from evenframe.benchmarks.displacement import displaced
from evenframe.benchmarks.registration import textured
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.common.grids import Box
from evenframe.pipelines.pasting.edge import Edge
from evenframe.pipelines.pasting.only_there import only_there
from evenframe.pipelines.pasting.paster import in_bytes
from evenframe.pipelines.regions.region import box_region, mask_region
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.video import (
    Choice,
    Clip,
    Fit,
    Fitting,
    clip_from_images,
    fit_clip,
    load,
    save,
)
from evenframe.pipelines.video.fit import resize
from evenframe.tests.flash_and_beep import FLASHES, RATE, found_by_ffmpeg, found_in, write
from evenframe.tests.test_video_load import CLIPS, write_video

COLOUR = torch.tensor([230, 20, 200]) / 255
"""Of the edits here: no source has it."""
HARD = Edge(feather=0)


def leaves(index: int, width: int, height: int, alpha: bool = False) -> np.ndarray:
    """A texture of its own for each frame, coarse enough for 4:2:0."""
    noise = np.random.default_rng(index).integers(0, 255, (-(-height // 4), -(-width // 4), 3))
    frame = noise.repeat(4, 0).repeat(4, 1)[:height, :width].astype(np.uint8)
    if not alpha:
        return frame
    seen = np.full((height, width, 1), 255, np.uint8)
    seen[: height // 2, : width // 2] = 128
    return np.concatenate([frame, seen], 2)


@dataclass(frozen=True)
class Source:
    """A kind of file: what `write_video` is given, and how many frames come of 12."""

    ending: str = "mp4"
    given: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        given: dict[str, Any] = {"draw": leaves} | self.given
        return write_video(folder / f"a.{self.ending}", **given)


def turned(how: float, flip: bool = False) -> dict[str, Any]:
    return {"prepare": lambda stream: stream.set_display_rotation(how, hflip=flip)}


def wide_pixels(stream: Any) -> None:
    stream.codec_context.sample_aspect_ratio = Fraction(4, 3)


SOURCES = {
    "plain": Source(),
    "odd": Source("mkv", {"size": (97, 63), "codec": "ffv1", "pixels": "yuv444p"}),
    "quarter turn": Source("mp4", turned(90.0)),
    "half turn": Source("mov", turned(180.0)),
    "mirrored": Source("mp4", turned(0.0, flip=True)),
    "uneven": Source("mkv", {"times": [0.1 * index**1.3 for index in range(12)]}),
    "deep": Source("mkv", {"codec": "ffv1", "pixels": "yuv444p10le"}),
    "gif": Source("gif", {"codec": "gif", "pixels": "rgb8"}),
    "webm": Source("webm", {"codec": "libvpx-vp9"}),
    "see-through": Source(
        "mov",
        {
            "codec": "qtrle",
            "pixels": "argb",
            "draw": lambda index, width, height: leaves(index, width, height, True),
        },
    ),
    "wide pixels": Source("mp4", {"prepare": wide_pixels}),
    "interlaced": Source("mkv", {"options": {"flags": "+ildct+ilme", "x264-params": "tff=1"}}),
}
FITS = {
    "as it is": None,
    "crop": Fitting("crop", 16, width=48, height=48),
    "pad": Fitting("pad", 16, width=80, height=80),
    "smaller": Fitting("stretch", 8, max_side=40),
    "larger": Fitting("stretch", 16, width=160, height=144),
}
CHOICES = [
    Choice(),
    Choice(4, skip=3),
    Choice(3, skip=3, stride=2),
    Choice(5, skip=1, frame_rate=7),
    Choice(max_frames=2),
]
CASES = [
    pytest.param(name, fitting, CHOICES[(row + column) % 5], row % 2, id=f"{name}-{how}")
    for row, name in enumerate(SOURCES)
    for column, (how, fitting) in enumerate(FITS.items())
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each kind of source, written once."""
    return {name: source.write(tmp_path_factory.mktemp("a")) for name, source in SOURCES.items()}


def frames_of(path: Path, choice: Choice) -> np.ndarray:
    """(f, h, w, 3) uint8: as the loader decodes them, at their own size."""
    return in_bytes(load(path, choice, audio=False).frames.numpy())


def in_source(fit: Fit | None, box: Box) -> Box:
    """A box of the clip's pixels in its source's, worked out from what the fit says of itself."""
    if fit is None:
        return box
    sign = {"crop": 1, "pad": -1, "stretch": 0}[fit.mode]
    x, y = (fit.source[i] / fit.scaled[i] for i in (0, 1))
    left, top = sign * fit.left, sign * fit.top
    return (box[0] + left) * x, (box[1] + top) * y, (box[2] + left) * x, (box[3] + top) * y


def within(box: Box, size: tuple[int, int], more: float) -> np.ndarray:
    """(h, w): pixels whose middle lies in a box that is so much larger on all sides."""
    y, x = np.mgrid[: size[1], : size[0]] + 0.5
    columns = (x > box[0] - more) & (x < box[2] + more)
    return columns & (y > box[1] - more) & (y < box[3] + more)


def moving_boxes(clip: Clip) -> list[Box]:
    wide, high = clip.width, clip.height
    steps = np.linspace(0.1, 0.4, len(clip))
    return [(at * wide, 0.3 * high, (at + 0.5) * wide, 0.85 * high) for at in steps]


def regions_of(clip: Clip, boxes: list[Box], as_masks: bool = False) -> Regions:
    size = (clip.height, clip.width)
    if not as_masks:
        return Regions((box_region(boxes, size, name="it"),), len(clip), size)
    masks = torch.zeros(len(clip), *size)
    for mask, box in zip(masks, boxes, strict=True):
        mask[:] = torch.from_numpy(within(box, (clip.width, clip.height), 0))
    return Regions((mask_region(masks, len(clip), size, name="it"),), len(clip), size)


def coloured(clip: Clip, scale: float = 1) -> Tensor:
    """An edit that has one colour everywhere, perhaps at another size."""
    size = (len(clip), round(clip.height * scale), round(clip.width * scale), 3)
    return COLOUR.expand(size).clone()


def assert_only_there(
    clip: Clip, path: Path, choice: Choice, *, whole: bool, as_masks: bool = False
) -> None:
    """Every frame of the result against the file's, decoded for itself."""
    boxes = moving_boxes(clip)
    # The outline of a mask is only known to a pixel of the clip.
    about = 1 + (max(clip.placement.source) / min(clip.placement.size) if as_masks else 0)
    edited = coloured(clip, [0.5, 1, 2][len(clip) % 3])
    film = only_there(clip, edited, regions_of(clip, boxes, as_masks), HARD, whole=whole)
    every = Choice(0, choice.skip % choice.stride, choice.stride, choice.frame_rate)
    expected = frames_of(path, every if whole else choice)
    first = choice.skip // choice.stride if whole else 0
    shots = list(film.shots())
    assert len(shots) == len(expected) and film.size == clip.placement.source
    for index, (shot, frame) in enumerate(zip(shots, expected, strict=True)):
        assert shot.pixels.dtype == np.uint8 and shot.pixels.shape == frame.shape
        if not 0 <= index - first < len(clip):
            assert (shot.pixels == frame).all()
            continue
        box = in_source(clip.fit, boxes[index - first])
        outside, inside = ~within(box, film.size, about), within(box, film.size, -about)
        assert outside.any() and (shot.pixels == frame)[outside].all()
        assert inside.any() and (shot.pixels[inside] == COLOUR.mul(255).round().numpy()).all()


@pytest.mark.parametrize(("name", "fitting", "choice", "as_masks"), CASES)
def test_outside_is_the_files_and_inside_the_edit(
    files: dict[str, Path], name: str, fitting: Fitting | None, choice: Choice, as_masks: int
) -> None:
    clip = load(files[name], choice, fitting)
    assert_only_there(clip, files[name], choice, whole=True, as_masks=bool(as_masks))
    assert_only_there(clip, files[name], choice, whole=False)


@pytest.mark.parametrize("name", SOURCES)
def test_it_is_said_where_the_source_has_more_than_8_bits(files: dict[str, Path], name: str):
    clip = load(files[name], Choice(2))
    said = only_there(clip, coloured(clip), regions_of(clip, moving_boxes(clip))).said
    assert ("The source has more than 8 bits a channel: the result has 8." in said) == (
        name == "deep"
    )


@pytest.mark.parametrize(
    "name", ["birds-standing", "dolphins-swimming", "hares-grazing", "man-surfing", "woman-running"]
)
def test_outside_of_real_clips_is_the_files(name: str):
    path = CLIPS / f"{name}.mp4"
    if not path.exists():
        pytest.skip(f"{path.name} is not here: it lies in shared/clips beside the checkout")
    choice = Choice(2, skip=1)
    clip = load(path, choice, Fitting("crop", 16, width=320, height=256))
    assert_only_there(clip, path, choice, whole=False)


FRAME = 1 / RATE + 0.003  # and what containers round off


@pytest.mark.parametrize(("ending", "gap"), [("mp4", False), ("mp4", True), ("webm", True)])
def test_flashes_and_beeps_keep_their_times(tmp_path: Path, ending: str, gap: bool):
    """Where some frames of an uneven file are edited, at its own rate and another."""
    path = write(tmp_path / f"a.{ending}", gap=gap)
    before = found_by_ffmpeg(path)
    assert len(before.flashes) == len(before.beeps) == len(FLASHES)
    clip = load(path, Choice(6, skip=2), Fitting("pad", 16, width=96, height=80))
    film = only_there(clip, clip.frames, regions_of(clip, moving_boxes(clip)))
    after = found_by_ffmpeg(save(tmp_path / f"b.{ending}", film))
    assert after.flashes == pytest.approx(before.flashes, abs=FRAME)
    assert after.beeps == pytest.approx(before.beeps, abs=FRAME)
    clip = load(path, Choice(frame_rate=RATE), Fitting(multiple=8, max_side=32))
    film = only_there(clip, clip.frames, regions_of(clip, moving_boxes(clip)))
    even = found_in(load(save(tmp_path / f"c.{ending}", film)))
    assert even.flashes == pytest.approx(FLASHES, abs=FRAME)
    assert even.beeps == pytest.approx(FLASHES, abs=FRAME)


def test_sound_goes_on_where_frames_after_the_edited_ones_play_slower(tmp_path: Path):
    times = [0.04 * min(index, 20) + 0.5 * max(0, index - 20) for index in range(24)]
    path = write_video(
        tmp_path / "a.mp4", 24, times=times, sound=lambda at: np.sin(2000 * at) * (at > 2.35)
    )
    clip = load(path, Choice(8))
    assert clip.frame_rate == 25
    film = only_there(clip, clip.frames, regions_of(clip, moving_boxes(clip)))
    saved = load(save(tmp_path / "b.mkv", film))
    assert saved.timestamps == pytest.approx(times, abs=0.003)
    assert saved.audio is not None
    loud = saved.audio.samples[0].abs() > 0.1
    assert float(loud.nonzero()[0]) / saved.audio.sample_rate == pytest.approx(2.35, abs=0.03)
    assert saved.audio.seconds == pytest.approx(2.4, abs=0.1)


SEEN = textured(320, 240)
PLACES = {
    "middle": (0.2, 0.25, 0.8, 0.8),
    "top left": (0, 0, 0.55, 0.6),
    "bottom right": (0.43, 0.47, 1, 1),
    "left to right": (0, 0.3, 1, 0.9),
    "whole": (0, 0, 1, 1),
}
WORKED = {
    "crop": Fitting("crop", 8, width=176, height=200),
    "pad": Fitting("pad", 16, width=256, height=272),
    "stretch": Fitting("stretch", 16, width=272, height=192),
    "larger": Fitting("stretch", 16, width=400, height=384),
}


@pytest.mark.parametrize("scale", [1, 0.73])
@pytest.mark.parametrize("fitting", WORKED.values(), ids=WORKED)
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_what_was_not_edited_lies_where_it_was(place: Box, fitting: Fitting, scale: float):
    clip = fit_clip(clip_from_images(SEEN[None], 8), fitting)
    wide, high = clip.width, clip.height
    box = place[0] * wide, place[1] * high, place[2] * wide, place[3] * high
    wanted = (round(clip.width * scale), round(clip.height * scale))
    edited = clip.frames if scale == 1 else resize(clip.frames, wanted)
    [shot] = only_there(clip, edited, regions_of(clip, [box]), HARD).shots()
    left, top, right, bottom = in_source(clip.fit, box)
    inside = np.s_[max(0, round(top)) : round(bottom), max(0, round(left)) : round(right)]
    before, after = (frame[inside] for frame in (SEEN.numpy(), shot.pixels / 255))
    assert not np.array_equal(before, after)
    moved, scaled = displaced(before, after)
    assert moved < 0.05 and scaled < 1e-3
    assert np.abs(before - after).mean() < 0.01


def test_how_many_frames_are_edited_is_counted_by_the_regions():
    clip = clip_from_images(torch.zeros(4, 32, 48, 3), 8)
    masks = torch.zeros(4, 32, 48)
    masks[2, 8:24, 8:40] = 1
    regions = Regions((mask_region(masks, 4, (32, 48), name="a"),), 4, (32, 48))
    film = only_there(clip, torch.ones(4, 32, 48, 3), regions)
    assert film.said[0].startswith("1 of 4 frames of 48x32 are edited")
    with pytest.raises(EvenframeError, match="There are no regions"):
        only_there(clip, clip.frames, Regions((), 4, (32, 48)))
