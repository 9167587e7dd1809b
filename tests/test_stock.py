"""Clips chosen from images and films: all frames of these stay known, and no more are made than
are needed."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from evenframe.nodes.clip_load import EvenframeClipFromVideo
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.pasting.edge import Edge
from evenframe.pipelines.pasting.only_there import only_there
from evenframe.pipelines.regions.region import box_region
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.video import (
    Audio,
    Choice,
    Clip,
    Film,
    Fitting,
    clip_from_film,
    clip_from_images,
    fit_clip,
    load,
    select,
)
from evenframe.pipelines.video.film import Shot
from evenframe.pipelines.video.lengths import Length
from evenframe.pipelines.video.original import original
from evenframe.pipelines.video.placement import Placement
from evenframe.tests.test_video_load import write_video

COUNT, RATE = 30, 10
INPUTS: dict[str, Any] = {"fit": "crop", "max_side": 0, "width": 64, "height": 64, "skip": 4}
INPUTS |= {"stride": 1, "frame_rate": 0.0, "max_frames": 8}
EVERY = {"skip": 0, "stride": 1}


def pictures() -> torch.Tensor:
    """30 of 96x64, each of one grey."""
    return (torch.arange(COUNT) / 60)[:, None, None, None].repeat(1, 64, 96, 3)


def tone() -> Audio:
    """Three seconds, whose samples tell their time."""
    return Audio(torch.arange(3000)[None] / 3000, 1000)


class Filmed:
    """A film of `pictures` that counts how many frames it made."""

    def __init__(self, expected: int = COUNT):
        self.made = 0
        frames = pictures().mul(255).round().byte().numpy()

        def shots() -> Iterator[Shot]:
            for index, pixels in enumerate(frames):
                self.made += 1
                yield Shot(pixels, Fraction(index, RATE))

        size, tick = (96, 64), Fraction(1, RATE)
        self.film = Film(size, Fraction(RATE), shots, tick, expected, tone)


def greys(film: Film) -> list[int]:
    """The numbers of the pictures that a film shows, in its corner."""
    pixels = [shot.pixels[0, 0, 0] for shot in film.shots()]
    return [round(float(p) * 60 / (255 if p.dtype == np.uint8 else 1)) for p in pixels]


def edited(clip: Clip, whole: bool = True) -> Film:
    """White in the middle of all frames of the clip."""
    size = (clip.height, clip.width)
    box = (clip.width / 4, clip.height / 4, clip.width / 2, clip.height / 2)
    regions = Regions((box_region([box] * len(clip), size, name="it"),), len(clip), size)
    return only_there(clip, torch.ones_like(clip.frames), regions, Edge(feather=0), whole=whole)


def white(film: Film) -> list[int]:
    """Which frames were edited."""
    return [index for index, shot in enumerate(film.shots()) if (shot.pixels == 255).any()]


@pytest.mark.parametrize("fitting", [None, Fitting("stretch", 64), Fitting("crop", 64)])
@pytest.mark.parametrize("filmed", [False, True])
def test_frames_that_were_not_chosen_stay(filmed: bool, fitting: Fitting | None):
    choice = Choice(8, skip=4)
    if filmed:
        clip = clip_from_film(Filmed().film, choice, fitting)
    else:
        clip = select(clip_from_images(pictures(), RATE, tone()), choice)
        clip = clip if fitting is None else fit_clip(clip, fitting)
    film = edited(clip)
    assert film.size == (96, 64) and film.frame_rate == RATE and film.expected == COUNT
    assert greys(film) == list(range(COUNT)) and white(film) == list(range(4, 12))
    assert [shot.time * RATE for shot in film.shots()] == list(range(COUNT))
    assert "8 of 30 frames" in film.said[0]
    sound = film.sound()
    assert sound is not None and sound.samples.shape == (1, 3000)
    part = edited(clip, whole=False)
    assert greys(part) == list(range(4, 12)) and white(part) == list(range(8))
    sound = part.sound()
    assert sound is not None and sound.samples.shape == (1, 800)
    assert float(sound.samples[0, 0]) == pytest.approx(0.4 / 3)


def test_strides_and_rates_of_films():
    clip = clip_from_film(Filmed().film, Choice(3, skip=5, stride=2))
    film = edited(clip)
    assert greys(film) == list(range(1, COUNT, 2)) and white(film) == [2, 3, 4]
    assert film.frame_rate == 5 and film.expected == 15
    sound = film.sound()
    assert sound is not None and float(sound.samples[0, 0]) == pytest.approx(0.1 / 3)
    clip = clip_from_film(Filmed().film, Choice(3, skip=2, frame_rate=5))
    assert clip.frame_rate == 5 and greys(edited(clip)) == list(range(0, COUNT, 2))
    assert white(edited(clip)) == [2, 3, 4] and edited(clip).expected == 15


def test_a_film_makes_no_more_frames_than_are_taken():
    filmed, seen = Filmed(), []
    clip = clip_from_film(filmed.film, Choice(8, skip=4), on_frame=seen.append)
    assert filmed.made == 12 and seen == list(range(1, 13)) and len(clip) == 8
    as_images = select(clip_from_images(pictures(), RATE, tone()), Choice(8, skip=4))
    assert float((clip.frames - as_images.frames).abs().max()) < 0.003
    assert clip.frame_rate == as_images.frame_rate
    assert clip.timestamps == pytest.approx(as_images.timestamps)
    assert clip.audio is not None and as_images.audio is not None
    assert torch.equal(clip.audio.samples, as_images.audio.samples)


def test_the_node_takes_a_film_as_a_stream_and_a_second_edit_is_as_long():
    filmed = Filmed()
    clip = EvenframeClipFromVideo.execute(filmed.film, **INPUTS)[1]
    assert filmed.made == 12 and len(clip) == 8
    later: dict[str, Any] = INPUTS | {"skip": 16}
    again = EvenframeClipFromVideo.execute(edited(clip), **later)[1]
    film = edited(again)
    assert white(film) == [*range(4, 12), *range(16, 24)] and len(greys(film)) == COUNT


def test_nothing_left_of_a_film_and_an_interrupt():
    with pytest.raises(EvenframeError, match="No frames are left: skip is 30"):
        clip_from_film(Filmed().film, Choice(skip=30))

    def stop(done: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    filmed = Filmed()
    with pytest.raises(KeyboardInterrupt):
        clip_from_film(filmed.film, on_frame=stop)
    assert filmed.made == 3


@pytest.mark.parametrize("fitting", [None, Fitting("stretch", 64), Fitting("crop", 64)])
@pytest.mark.parametrize("first", [Choice(), Choice(9, skip=1), Choice(skip=1, stride=2)])
def test_a_choice_of_a_choice_reads_the_same_file(
    tmp_path: Path, first: Choice, fitting: Fitting | None
):
    path = write_video(tmp_path / "a.mp4")
    clip = select(load(path, first, fitting), Choice(3, skip=1, stride=2, length=Length(4)))
    assert clip.footage is not None and clip.placement.source == (96, 64)
    part, frames = original(clip, whole=False).film, load(path, first).frames
    for shot, frame in zip(part.shots(), frames[[1, 3, 5]][: len(frames) // 2], strict=False):
        assert np.array_equal(shot.pixels, frame.mul(255).round().byte().numpy())
    assert part.expected in (2, 3) and {shot.pixels.shape for shot in part.shots()} == {(64, 96, 3)}
    whole = original(clip)
    [shot] = islice(whole.film.shots(), whole.first, whole.first + 1)
    assert np.array_equal(shot.pixels, frames[1].mul(255).round().byte().numpy())


def test_frames_of_a_file_at_another_rate_have_the_size_that_they_are_said_to_have(tmp_path: Path):
    path = write_video(tmp_path / "a.mp4")
    clip = select(load(path, fitting=Fitting("stretch", 64)), Choice(frame_rate=5))
    film = original(clip).film
    assert film.size == clip.placement.source == (clip.width, clip.height)
    assert {shot.pixels.shape[:2] for shot in film.shots()} == {(clip.height, clip.width)}


@pytest.fixture
def video_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`FilmVideo` with stand-ins for the few names that it takes from its host."""

    class Base:
        pass

    latest = SimpleNamespace(
        Input=SimpleNamespace(Video=Base), Types=SimpleNamespace(VideoComponents=SimpleNamespace)
    )
    memory = SimpleNamespace(throw_exception_if_processing_interrupted=lambda: None)
    for name, module in {
        "comfy": SimpleNamespace(model_management=memory),
        "comfy.model_management": memory,
        "comfy_api": SimpleNamespace(latest=latest),
        "comfy_api.latest": latest,
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "evenframe.nodes.host.comfy_film", raising=False)
    from evenframe.nodes.host.comfy_film import FilmVideo

    yield FilmVideo
    sys.modules.pop("evenframe.nodes.host.comfy_film", None)


def test_frames_are_not_made_only_to_count_or_cut_them(video_of: Any):
    filmed = Filmed()
    part = video_of(filmed.film).as_trimmed(0.2, 0.6)
    assert part.get_frame_count() == 6 and part.get_duration() == pytest.approx(0.6)
    assert video_of(filmed.film).as_trimmed(5.0, 1.0) is None
    assert video_of(filmed.film).as_trimmed(2.5, 1.0, True) is None
    assert filmed.made == 0
    assert len(part.get_components().images) == 6 and filmed.made == 9
    assert video_of(filmed.film).as_trimmed(-0.5, 0).get_frame_count() == 5


def test_a_count_is_remembered(video_of: Any, tmp_path: Path):
    filmed = Filmed(expected=0)
    video = video_of(filmed.film)
    video.save_to(str(tmp_path / "a.mp4"))
    assert filmed.made == COUNT and video.get_frame_count() == COUNT and filmed.made == COUNT
    filmed = Filmed(expected=0)
    video = video_of(filmed.film)
    video.get_components()
    assert filmed.made == COUNT and video.get_frame_count() == COUNT and filmed.made == COUNT
    counted = video_of(replace(Filmed(expected=0).film, count=lambda: 7))
    assert counted.get_frame_count() == 7 and counted.as_trimmed(0.2, 0.3).get_frame_count() == 3


def test_frames_of_a_file_without_an_index_are_counted_without_a_paste(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = write_video(tmp_path / "a.mkv")
    film = edited(load(path, Choice(3)))
    assert film.expected == 0
    monkeypatch.setattr("evenframe.pipelines.pasting.only_there.Paster", None)
    assert film.number == len(load(path))


@pytest.mark.parametrize(("early", "late"), [(0.1, 1 / 30), (1 / 30, 0.1)])
def test_all_of_a_file_plays_at_its_own_rate(tmp_path: Path, early: float, late: float):
    times = [early * min(index, 16) + late * max(0, index - 16) for index in range(46)]
    path = write_video(tmp_path / "a.mp4", 46, times=times)
    clip = load(path, Choice(16))
    assert float(clip.frame_rate) == pytest.approx(1 / early, rel=0.01)
    film = original(clip).film
    average = 45 / times[-1]  # the file counts how long its last frame is shown, too
    assert float(film.frame_rate) == pytest.approx(average, rel=0.08)
    assert [float(shot.time) for shot in film.shots()] == pytest.approx(times, abs=0.005)
    assert original(clip, whole=False).film.frame_rate == clip.frame_rate
    even = load(write_video(tmp_path / "b.mp4", 20), Choice(6, stride=3))
    assert original(even).film.frame_rate == even.frame_rate


def test_frames_that_change_their_size_before_those_that_were_loaded(tmp_path: Path):
    small = write_video(tmp_path / "a.ts", size=(64, 48)).read_bytes()
    large = write_video(tmp_path / "b.ts", size=(96, 64)).read_bytes()
    path = tmp_path / "c.ts"
    path.write_bytes(small + large)
    clip = load(path, Choice(3, skip=14))
    assert (clip.width, clip.height) == (96, 64)
    film = edited(clip)
    shots = [shot.pixels for shot in film.shots()]
    assert {pixels.shape for pixels in shots} == {(64, 96, 3)} and film.size == (96, 64)
    assert [i for i, p in enumerate(shots) if (p[16:32, 24:48] == 255).all()] == [14, 15, 16]
    before = clip.frames.mul(255).round().byte().numpy()
    assert (np.stack(shots[14:17])[:, 50:] == before[:, 50:]).all()


@pytest.mark.parametrize("mode", ["stretch", "crop", "pad"])
def test_crops_that_are_fitted_know_where_they_lie(mode: str):
    window = Placement((96, 64), (48, 48), ((20.0, 10.0, 44.0, 34.0), (21.0, 10.0, 45.0, 34.0)))
    clip = replace(clip_from_images(torch.rand(2, 48, 48, 3), RATE), window=window)
    there = fit_clip(clip, Fitting(mode, 16, 64, 32)).placement
    boxes = {
        "stretch": (20, 10, 44, 34),
        "crop": (20, 16, 44, 28),
        "pad": (8, 10, 56, 34),
    }
    left, top, right, bottom = boxes[mode]
    assert there.source == (96, 64) and there.size == (64, 32)
    assert there.box(0) == pytest.approx((left, top, right, bottom))
    assert there.box(1) == pytest.approx((left + 1, top, right + 1, bottom))


def test_a_fit_of_a_fit_goes_back_to_frames_that_are_there(tmp_path: Path):
    clip = load(write_video(tmp_path / "a.mp4"), fitting=Fitting("stretch", 16, 80, 48))
    assert fit_clip(clip, Fitting("stretch", 16)) is clip  # nothing is done, nor forgotten
    twice = fit_clip(clip, Fitting("stretch", 16, 64, 64))
    film = original(twice).film
    assert film.size == twice.placement.source == (80, 48)
    assert {shot.pixels.shape[:2] for shot in film.shots()} == {(48, 80)}


def test_it_is_said_where_sound_will_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_video(tmp_path / "a.mp4", 36, sound=lambda at: np.sin(2000 * at))
    clip = load(path, Choice(6))
    assert original(clip).missing() == ""
    monkeypatch.setattr("evenframe.pipelines.video.sound.MOST_SAMPLES", 32000)
    source = original(clip)
    assert "only the first 2 s are kept" in source.missing()
    heard = source.film.sound()
    assert heard is not None and heard.seconds == pytest.approx(2, abs=0.1)
    assert original(clip, whole=False).missing() == ""  # all of half a second is there


def test_a_source_is_opened_for_its_sound_only_where_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    clip = load(write_video(tmp_path / "a.mp4", sound=lambda at: np.sin(2000 * at)), Choice(2))
    asked: list[Path] = []
    looked_for = "evenframe.pipelines.video.original.missing_sound"
    monkeypatch.setattr(looked_for, lambda path, _: asked.append(path) or "")
    assert len(list(original(clip, whole=False).film.shots())) == 2 and not asked
    regions = Regions((box_region([(0, 0, 8, 8)] * 2, (64, 96), name="a"),), 2, (64, 96))
    only_there(clip, clip.frames, regions)
    assert len(asked) == 1
