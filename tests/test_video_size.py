"""Clips at the size that is edited: the whole frame, brought to it while the file is decoded."""

import gc
import weakref
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch import Tensor
from undone import unfit_clip

from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.video import (
    Choice,
    Fitting,
    clip_from_images,
    decode,
    film_of,
    fit,
    fit_clip,
    load,
    save,
    undo_clip,
)
from evenframe.pipelines.video.film import images
from evenframe.pipelines.video.pixels import PixelReader
from evenframe.pipelines.video.undo import Undo

COMMON = [
    (1920, 1080),
    (1080, 1920),
    (640, 480),
    (1024, 1024),
    (1920, 804),
    (854, 480),
    (3840, 2160),
]


def picture(index: int, height: int, width: int) -> np.ndarray:
    """(h, w, 3) in 0..1, of detail that scaling has to filter."""
    rows, columns = np.mgrid[:height, :width]
    waves = [
        0.5 + 0.4 * np.sin(rows / (3 + c) + index) * np.cos(columns / (2 + c)) for c in range(3)
    ]
    return np.stack(waves, -1).astype(np.float32)


def written(path: Path, count: int = 5, size: tuple[int, int] = (200, 120), deep: bool = False):
    """A lossless video of some frames, of 8 or 10 bits a channel."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height = size
        stream.pix_fmt = "gbrp10le" if deep else "bgr0"
        for index in range(count):
            pixels = (picture(index, size[1], size[0]) * 65535).astype(np.uint16)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb48le")
            container.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("size", COMMON)
def test_usual_frames_are_edited_whole(size: tuple[int, int]) -> None:
    how = Fitting(max_side=768).plan(size)
    assert how.box() == (0, 0, *size) and not how.cuts and how.unedited() == ""
    assert max(how.size) <= 768 and how.size[0] % 16 == how.size[1] % 16 == 0
    change = how.size[0] * size[1] / (how.size[1] * size[0])
    assert 1 / 1.025 < change < 1.025


def test_wide_frames_keep_their_proportions() -> None:
    assert Fitting(max_side=768).plan((1920, 1080)).size == (768, 432)
    assert str(Fitting(max_side=768).plan((1920, 1080))) == "1920x1080 -> 768x432: resized"
    assert Fitting(width=832, height=480).plan((1920, 1080)).size == (832, 480)
    assert Fitting(multiple=8, max_side=776).plan((1940, 1090)).size == (776, 432)
    assert "proportions changed by 0.5%" in str(Fitting(max_side=768).plan((1920, 804)))


@pytest.mark.parametrize("mode", ["stretch", "pad"])
def test_an_edit_reaches_every_pixel(mode: str) -> None:
    clip = fit_clip(clip_from_images(torch.zeros(2, 108, 192, 3), 8), Fitting(mode, max_side=80))
    whole, _ = unfit_clip(torch.ones_like(clip.frames), clip)
    assert whole.shape == (2, 108, 192, 3) and float(whole.min()) > 0.999


def test_what_a_crop_leaves_out_is_said_before_and_after() -> None:
    clip = clip_from_images(torch.zeros(1, 270, 480, 3), 8)
    cropped = fit_clip(clip, Fitting("crop", 64, max_side=256))
    assert "0 columns and 16 rows cropped" in cropped.describe()
    assert "rows 0-14 and 255-269 of the source will not be edited" in cropped.describe()
    whole, said = unfit_clip(torch.ones_like(cropped.frames), cropped)
    assert "rows 0-14 and 255-269 are unedited" in said
    untouched = (whole == 0).all(-1).all(-1)[0].nonzero().flatten().tolist()
    assert untouched == [*range(15), *range(255, 270)]
    exact = fit_clip(clip, Fitting("crop", 8, max_side=128))  # 128x72: nothing is cut away
    assert "not be edited" not in exact.describe()


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(
    "fitting",
    [
        Fitting(max_side=96),
        Fitting("crop", max_side=96),
        Fitting("pad", 64, max_side=128),
        Fitting("crop", 64),
        Fitting(width=320, height=192),
        Fitting(multiple=8),
    ],
    ids=str,
)
def test_fitted_while_decoding_or_afterwards(tmp_path: Path, fitting: Fitting, deep: bool) -> None:
    path = written(tmp_path / "clip.mkv", deep=deep)
    at_once, afterwards = load(path, fitting=fitting), load(path)
    frames, how = fit(afterwards.frames, fitting)
    assert at_once.fit == how
    assert float((at_once.frames - frames).abs().max()) < 1e-6
    clip = fit_clip(afterwards, fitting)
    assert (at_once.original is None) == (clip.original is None)
    if at_once.original is not None:
        assert at_once.original.dtype == (torch.uint16 if deep else torch.uint8)
    edits = [unfit_clip(1 - frames, each) for each in (at_once, clip)]
    assert edits[0][1] == edits[1][1]
    assert float((edits[0][0] - edits[1][0]).abs().max()) < 1e-6


def test_no_frame_outlives_its_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the source there is what the decoder holds, the frame at work, and its pixels."""
    path = written(tmp_path / "clip.mkv", count=12)
    pixels: list[weakref.ref] = []
    held: list[tuple[int, int]] = []
    read = PixelReader.read

    def watched(self: PixelReader, frame: av.VideoFrame) -> np.ndarray:
        array = read(self, frame)
        pixels.append(weakref.ref(array))
        return array

    def count(_: int) -> None:
        alive = sum(each() is not None for each in pixels)
        frames = [each for each in gc.get_objects() if type(each) is av.VideoFrame]
        held.append((sum(frame.width == 200 for frame in frames), alive))

    monkeypatch.setattr(PixelReader, "read", watched)
    monkeypatch.setattr(decode, "DECODER_BYTES", 0)  # more threads deliver more frames at once
    gc.collect()
    gc.disable()  # nothing may wait for it
    try:
        load(path, fitting=Fitting(max_side=96), on_frame=count)
    finally:
        gc.enable()
    frames, arrays = (max(each) for each in zip(*held, strict=True))
    assert len(held) == 12 and arrays == 0
    # The one that came, its neighbours in time, one that the decoder has ready, and the first.
    assert frames <= 5


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
@pytest.mark.parametrize("mode", ["stretch", "crop", "pad"])
def test_a_fit_is_undone_frame_by_frame_while_saving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, suffix: str
) -> None:
    clip = fit_clip(clip_from_images(torch.rand(6, 71, 141, 3), 8), Fitting(mode, 64))
    edited = 1 - clip.frames
    whole = save(tmp_path / f"whole{suffix}", unfit_clip(edited, clip)[0], 8).read_bytes()
    made: list[weakref.ref] = []
    frame = Undo.frame

    def watched(self: Undo, index: int, fitted: Tensor) -> Tensor:
        assert sum(each() is not None for each in made) <= 1  # the one before
        made.append(weakref.ref(out := frame(self, index, fitted)))
        return out

    monkeypatch.setattr(Undo, "frame", watched)
    back = undo_clip(edited, clip)
    assert back.size == (141, 71)
    path = save(tmp_path / f"each{suffix}", edited, 8, undo=back)
    assert path.read_bytes() == whole and len(made) == 6


def room_for(frames: int, size: tuple[int, int] = (96, 64)):
    """Free memory in which so many fitted frames of a 200x120 video find room."""
    return lambda _: int((frames + 0.5) * size[0] * size[1] * 12 / 0.8 + 1e6)


def test_a_budget_is_told_before_decoding(tmp_path: Path) -> None:
    def never(_: int) -> None:
        raise AssertionError("a frame was decoded")

    path = save(tmp_path / "clip.mp4", torch.rand(60, 120, 200, 3), 10, disclose=False)
    fitting = Fitting(max_side=96)
    words = "'clip.mp4': 60 frames of 96x64 need .* Set max_frames to (\\d+) or less, or max_side"
    with pytest.raises(EvenframeError, match=words) as refused:
        load(path, fitting=fitting, on_frame=never, free=room_for(20))
    assert "\n" not in str(refused.value)
    most = int(str(refused.value).partition("max_frames to ")[2].split()[0])
    clip = load(path, Choice(max_frames=most), fitting, free=room_for(20))
    assert len(clip) == most < 60
    with pytest.raises(EvenframeError, match="60 frames of 4096x2048 .* take smaller"):
        load(path, fitting=Fitting(width=4096, height=2048), on_frame=never, free=room_for(20))
    # Asked for more than there are, only those that there are count.
    assert len(load(path, Choice(100_000), fitting, free=room_for(120))) == 60


def test_a_budget_holds_where_no_number_is_known(tmp_path: Path) -> None:
    path = written(tmp_path / "clip.mkv", count=60)  # Matroska does not count its frames
    decoded: list[int] = []
    words = "'clip.mkv': .* frames of 96x64 need"
    with pytest.raises(EvenframeError, match=words):
        load(path, fitting=Fitting(max_side=96), on_frame=decoded.append, free=room_for(20))
    assert 0 < len(decoded) < 60


def test_frames_that_find_no_room_at_the_source_size() -> None:
    clip = fit_clip(clip_from_images(torch.zeros(4, 108, 192, 3), 8), Fitting(max_side=80))
    film = film_of(clip.frames, 8, undo=undo_clip(clip.frames, clip))
    with pytest.raises(EvenframeError, match="More than . frames of 192x108 find no room in mem"):
        images(film, free=lambda _: 10**6)
    assert images(film).shape == (4, 108, 192, 3)


def test_images_that_would_be_enlarged_beyond_memory() -> None:
    small = torch.rand(4, 8, 8, 3)
    with pytest.raises(EvenframeError, match="The images: 4 frames of 16384x16384 need 16.1 GB"):
        fit(small, Fitting(width=16384, height=16384), free=lambda _: 10**9)
    assert Fitting(width=16384).plan((1, 16000)).size == (16384, 16384)


@pytest.mark.parametrize(
    ("form", "threads"), [((640, 360), None), ((1920, 1080), 5), ((3840, 2160), 1)]
)
def test_large_frames_are_decoded_by_few_threads(
    monkeypatch: pytest.MonkeyPatch, form: tuple[int, int], threads: int | None
) -> None:
    """Each thread of the decoder holds a frame."""
    monkeypatch.setattr(decode.os, "cpu_count", lambda: 32)
    context = av.CodecContext.create("h264", "r")
    context.width, context.height, context.pix_fmt = *form, "yuv420p"
    before = context.thread_count
    decode.limit_threads(context)
    assert context.thread_count == (threads or before)
