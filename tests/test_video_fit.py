"""Clips of images, and frames to a size that fits and back."""

from fractions import Fraction

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from undone import unfit

from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.video import (
    Audio,
    Clip,
    Fit,
    Fitting,
    as_rate,
    clip_from_images,
    fit,
    fit_clip,
)


def smooth(count: int, height: int, width: int) -> Tensor:
    """Frames without detail that resizing would lose: (f, h, w, 3)."""
    rows = torch.linspace(0.1, 0.8, height)[None, :, None, None]
    columns = torch.linspace(0.0, 0.2, width)[None, None, :, None]
    frames = torch.arange(count)[:, None, None, None] / 100
    return (rows + columns + frames).expand(count, height, width, 3).contiguous()


def test_what_fits_is_untouched() -> None:
    frames = torch.rand(2, 128, 192, 3)
    for mode in ("crop", "pad", "stretch"):
        fitted, how = fit(frames, Fitting(mode))
        assert fitted is frames and how.untouched and "untouched" in str(how)
        back, said = unfit(fitted, how)
        assert back is frames and "\n" not in said


@pytest.mark.parametrize(
    ("mode", "size", "words"),
    [
        ("crop", (640, 640), "16 columns and 16 rows cropped"),
        ("pad", (704, 704), "48 columns and 48 rows of border added"),
        ("stretch", (640, 640), "656x656 -> 640x640: resized"),
    ],
)
def test_the_nearest_size(mode: str, size: tuple[int, int], words: str) -> None:
    how = Fitting(mode, 64).plan((656, 656))
    assert how.size == size and words in str(how) and "\n" not in str(how)


def test_crop_and_pad_keep_the_pixels() -> None:
    frames = torch.rand(2, 70, 140, 3)
    cropped, how = fit(frames, Fitting("crop", 64))
    assert how.size == (128, 64) and torch.equal(cropped, frames[:, 3:67, 6:134])
    padded, how = fit(frames, Fitting("pad", 64))
    assert padded.shape == (2, 128, 192, 3)
    assert torch.equal(padded[:, 29:99, 26:166], frames)
    assert torch.equal(padded[:, 0, 26:166], frames[:, 0])  # the border repeats the edge
    back, said = unfit(padded, how)
    assert torch.equal(back, frames) and "border removed" in said


def test_crop_is_pasted_back_around_the_edit() -> None:
    frames = torch.rand(2, 70, 140, 3)
    cropped, how = fit(frames, Fitting("crop", 64))
    edited = 1 - cropped
    whole, said = unfit(edited, how, frames)
    assert "pasted back" in said
    assert torch.equal(whole[:, 3:67, 6:134], edited)
    assert torch.equal(whole[:, :3], frames[:, :3]) and torch.equal(whole[:, 67:], frames[:, 67:])
    alone, said = unfit(edited, how)
    assert alone is edited and "stays cropped" in said
    with pytest.raises(EvenframeError, match="2 frames and 1 source"):
        unfit(edited, how, frames[:1])
    with pytest.raises(EvenframeError, match=r"\(frames, 70, 140, 3\)"):
        unfit(edited, how, frames[:, 1:])


@pytest.mark.parametrize("mode", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(300, 200), (200, 300), (40, 50), (65, 640)])
@pytest.mark.parametrize("wanted", [{}, {"max_side": 256}, {"width": 128, "height": 192}])
def test_there_and_back(mode: str, size: tuple[int, int], wanted: dict[str, int]) -> None:
    frames = smooth(2, size[1], size[0])
    fitted, how = fit(frames, Fitting(mode, 64, **wanted))
    assert (fitted.shape[2], fitted.shape[1]) == how.size
    assert how.size[0] % 64 == 0 and how.size[1] % 64 == 0
    back, _ = unfit(fitted, how, frames)
    assert back.shape == frames.shape
    assert float((back - frames).abs().mean()) < 0.01
    assert float((back - frames).abs().max()) < 0.2


@settings(max_examples=300, deadline=None)
@example(source=(1, 4), mode="crop", multiple=8, side=0)
@given(
    source=st.tuples(st.integers(1, 4000), st.integers(1, 4000)),
    mode=st.sampled_from(["crop", "pad", "stretch"]),
    multiple=st.sampled_from([8, 64]),
    side=st.one_of(st.just(0), st.integers(64, 2048)),
)
def test_every_plan_is_sound(source: tuple[int, int], mode: str, multiple: int, side: int) -> None:
    how = Fitting(mode, multiple, max_side=side).plan(source)
    for axis in (0, 1):
        assert how.size[axis] % multiple == 0 and how.size[axis] > 0
        offset = (how.left, how.top)[axis]
        inner, outer = how.scaled[axis], how.size[axis]
        if mode == "crop":
            inner, outer = outer, inner
        assert offset >= 0 and offset + inner <= outer
        if side:
            assert how.size[axis] <= max(side, multiple)
    left, top, right, bottom = how.box()
    assert 0 <= left < right <= source[0] and 0 <= top < bottom <= source[1]
    if not side and mode != "stretch" and min(source) >= multiple:
        assert how.scaled == source  # nothing is resized without need


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"mode": "squash"}, "stretch, crop, pad"),
        ({"width": 500}, "width is 500"),
        ({"height": 32}, "height is 32"),
        ({"max_side": 10}, "max_side is 10"),
        ({"multiple": 0}, "multiple is 0"),
    ],
)
def test_sizes_that_cannot_be(arguments: dict, words: str) -> None:
    with pytest.raises(EvenframeError, match=words):
        Fitting(**{"multiple": 64, **arguments})


def test_one_side_follows_from_the_other() -> None:
    assert Fitting("crop", 64, width=512).plan((1920, 1080)).size == (512, 256)
    assert Fitting("stretch", 64, height=512).plan((1920, 1080)).size == (896, 512)
    assert Fitting("pad", 64, max_side=512).plan((1920, 1080)).size == (512, 320)
    assert Fitting("crop", 64, max_side=512).plan((1920, 1080)).size == (512, 256)


def test_unfit_needs_the_fitted_size() -> None:
    how = Fitting("pad", 64).plan((100, 100))
    with pytest.raises(EvenframeError, match="64x64, but the clip was fitted to 128x128"):
        unfit(torch.rand(1, 64, 64, 3), how)


def test_a_fitted_clip_remembers() -> None:
    clip = clip_from_images(torch.rand(3, 70, 70, 3), 10)
    for mode in ("crop", "pad", "stretch"):
        fitted = fit_clip(clip, Fitting(mode))
        assert isinstance(fitted.fit, Fit) and fitted.fit.source == (70, 70)
        assert fitted.original is clip.frames  # held for a paste at its size, never copied
        assert fitted.frame_rate == 10 and clip.fit is None
        assert str(fitted.fit) in fitted.describe()


def test_images_of_other_channels() -> None:
    grey = clip_from_images(torch.full((2, 8, 8, 1), 0.5), 12)
    assert grey.frames.shape == (2, 8, 8, 3) and grey.frames.is_contiguous()
    opaque = torch.rand(2, 8, 8, 4)
    opaque[..., 3] = 1
    clip = clip_from_images(opaque, 12)
    assert torch.equal(clip.frames, opaque[..., :3]) and clip.warnings == ()
    opaque[..., 3] = 0.5
    clip = clip_from_images(opaque, 12)
    assert torch.equal(clip.frames, opaque[..., :3] * 0.5) and "on black" in clip.warnings[0]
    whole = clip_from_images(torch.full((1, 8, 8, 3), 255, dtype=torch.uint8), 12)
    assert float(whole.frames.min()) == 1
    loud = clip_from_images(torch.full((1, 8, 8, 3), 1.5), 12)
    assert float(loud.frames.max()) == 1 and "0..1" in loud.warnings[0]


def test_images_that_are_none() -> None:
    images = torch.rand(4, 8, 8, 3)
    images[2, 1, 1, 0] = float("nan")
    with pytest.raises(EvenframeError, match="Frame 2 has pixels that are not numbers"):
        clip_from_images(images, 12)
    images[2, 1, 1, 0] = float("-inf")
    with pytest.raises(EvenframeError, match="Frame 2"):
        clip_from_images(images, 12)
    for shape in [(8, 8, 3), (2, 3, 8, 8), (2, 8, 8, 2)]:
        with pytest.raises(EvenframeError, match="shape"):
            clip_from_images(torch.rand(shape), 12)
    with pytest.raises(EvenframeError, match="at least one frame"):
        clip_from_images(torch.rand(0, 8, 8, 3), 12)


def test_a_clip_of_images_cuts_its_sound() -> None:
    audio = Audio(torch.zeros(2, 48000), 16000)
    clip = clip_from_images(torch.rand(5, 8, 8, 3), 10, audio)
    assert isinstance(clip, Clip) and clip.seconds == Fraction(1, 2)
    assert clip.audio is not None and clip.audio.samples.shape == (2, 8000)


def test_rates() -> None:
    assert as_rate(24.0) == 24 and as_rate(12.5) == Fraction(25, 2)
    assert as_rate(23.976) == Fraction(24000, 1001) == as_rate(23.98)
    assert as_rate(29.97) == Fraction(30000, 1001)
    assert as_rate(Fraction(10, 3)) == Fraction(10, 3)
    assert as_rate(Fraction(23.976)) == Fraction(24000, 1001)
    assert as_rate(0.004) == Fraction(1, 250)
    for bad in (0, -1, 1001, float("inf"), "fast", None):
        with pytest.raises(EvenframeError, match="frame rate"):
            as_rate(bad)  # type: ignore[arg-type]
    with pytest.raises(EvenframeError) as caught:
        as_rate("9" * 100_000)
    assert len(str(caught.value)) < 200
