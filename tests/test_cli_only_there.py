"""`evenframe only-there`: an edit of another program, back into the video that it was made of."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from evenframe.__main__ import main
from evenframe.pipelines.video import Audio, Choice, Film, load, save
from evenframe.pipelines.video.film import Shot

WIDE, HIGH, COUNT = 96, 64, 12


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Twelve frames, 12 a second, of grey that grows, with sound."""
    grey = torch.linspace(0.2, 0.6, COUNT)[:, None, None, None].expand(-1, HIGH, WIDE, 3)
    sound = Audio(torch.sin(torch.arange(48000) / 20)[None].contiguous(), 48000)
    return save(tmp_path / "source.mp4", grey, 12, sound, crf=1)


def edited(path: Path, count: int = COUNT, rate: float = 12, size: tuple[int, int] = (32, 48)):
    """White frames, of another size, as an editor may return them."""
    return save(path, torch.ones(count, *size, 3), rate)


def run(source: Path, edit: Path, *more: str) -> tuple[int, Path]:
    out = source.with_name("out.mp4")
    arguments = ["only-there", str(source), str(edit), "--out", str(out), "--crf", "1", *more]
    return main(arguments), out


BOX = ("--box", "0.25", "0.25", "0.5", "0.75", "--feather", "0")


def test_the_edit_is_there_and_nowhere_else(source: Path, capsys: pytest.CaptureFixture[str]):
    code, out = run(source, edited(source.with_name("edit.mp4")), *BOX)
    told = capsys.readouterr()
    assert code == 0 and told.out == f"{out}\n"
    assert "12 frames of 96x64 are edited in the regions" in told.err and "12/12" in told.err
    before, after = load(source), load(out)
    assert after.frames.shape == before.frames.shape and after.frame_rate == before.frame_rate
    assert after.audio is not None and after.audio.seconds == pytest.approx(1, abs=0.05)
    inside = np.zeros((HIGH, WIDE), bool)
    inside[16:48, 24:48] = True
    assert float(after.frames[:, inside].min()) > 0.97
    change = (after.frames - before.frames)[:, ~inside].abs()
    assert float(change.mean()) < 0.01  # the chroma of H.264 spreads by a pixel


def test_frames_of_another_rate_belong_together_by_their_times(
    source: Path, capsys: pytest.CaptureFixture[str]
):
    code, out = run(source, edited(source.with_name("edit.mp4"), 6, 6), *BOX)
    assert code == 0
    assert "'edit.mp4' has 6 frames a second, 'source.mp4' 12" in capsys.readouterr().err
    assert float(load(out).frames[:, 32, 36].min()) > 0.97  # on all twelve


def test_an_even_edit_of_an_uneven_source_is_pasted_where_it_was_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Frame n of the source is n steps of grey dark; the edit is what a player shows, evenly."""
    times = [Fraction(k, 30) for k in range(10)] + [
        Fraction(1, 3) + Fraction(k, 5) for k in range(10)
    ]
    grey = [np.full((HIGH, WIDE, 3), 40 + 8 * k, np.uint8) for k in range(20)]

    def shots():
        return (Shot(pixels, time) for pixels, time in zip(grey, times, strict=True))

    source = save(
        tmp_path / "source.mp4", Film((WIDE, HIGH), Fraction(30), shots, Fraction(1, 30)), crf=1
    )
    before = load(source)
    shown = [max(n for n in range(20) if times[n] <= Fraction(k, 30)) for k in range(70)]
    edit = save(tmp_path / "edit.mp4", before.frames[shown], 30, crf=1)
    code, out = run(source, edit, *BOX)
    assert code == 0 and "frames belong together by their times" in capsys.readouterr().err
    inside = (slice(None), slice(20, 44), slice(28, 44))
    assert float((load(out).frames[inside] - before.frames[inside]).abs().max()) < 4 / 255


def test_an_edit_without_an_index_is_counted(source: Path, capsys: pytest.CaptureFixture[str]):
    code, _ = run(source, edited(source.with_name("edit.webm"), 4), *BOX)
    told = capsys.readouterr().err
    assert code == 0 and "4 of 12 frames" in told
    assert "The edit has 4 frames, the clip 12: the last are the source's." in told


def test_all_that_takes_long_is_shown(source: Path, capsys: pytest.CaptureFixture[str]):
    assert run(source, edited(source.with_name("edit.mp4"), 8), *BOX, "--start", "2")[0] == 0
    lines = [line.split() for line in capsys.readouterr().err.splitlines()]
    ends = [(" ".join(words[:-2]), words[-1]) for words in lines if words[-2:-1] == ["#" * 24]]
    assert ends == [
        ("Reading the source", "12/12"),
        ("Reading the edit", "8/8"),
        ("Pasting", "12/12"),
    ]


def test_frames_that_no_index_counts_are_shown_as_well_as_can_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    source = save(tmp_path / "source.webm", torch.full((12, HIGH, WIDE, 3), 0.3), 12)
    assert run(source, edited(tmp_path / "edit.webm"), *BOX)[0] == 0
    lines = [line.strip() for line in capsys.readouterr().err.splitlines()]
    assert lines[:2] == ["Reading the source", "Reading the edit"]
    assert all(line.endswith("/12") for line in lines if line.startswith("Pasting"))


def test_an_edit_may_begin_late_and_end_early(source: Path, capsys: pytest.CaptureFixture[str]):
    code, out = run(source, edited(source.with_name("edit.mp4"), 4), *BOX, "--start", "3")
    assert code == 0
    assert (
        "The edit has 4 frames, the clip 9: the last are the source's." in capsys.readouterr().err
    )
    white = load(out).frames[:, 32, 36].mean(-1) > 0.9
    assert white.tolist() == [3 <= frame < 7 for frame in range(COUNT)]


def test_regions_come_from_a_file(source: Path):
    file = source.with_name("regions.json")
    keys = [{"frame": 0, "box": [0, 0, 0.25, 1]}, {"frame": 11, "box": [0.75, 0, 1, 1]}]
    file.write_text(json.dumps({"version": 1, "regions": [{"name": "a", "keyframes": keys}]}))
    code, out = run(source, edited(source.with_name("edit.mp4")), "--regions", str(file))
    assert code == 0
    frames = load(out).frames.mean(-1)
    assert float(frames[0, 32, 12]) > 0.9 > float(frames[0, 32, 84])
    assert float(frames[11, 32, 84]) > 0.9 > float(frames[11, 32, 12])


@pytest.mark.parametrize("unit", ["pixel", "fraction"])
def test_polygons_of_a_large_source_lie_where_its_pixels_are(tmp_path: Path, unit: str):
    grey = torch.full((1, 1, 1, 1), 0.3).expand(2, 720, 1280, 3)
    source = save(tmp_path / "source.mp4", grey, 12, crf=1)
    points = [[320, 180], [960, 180], [960, 540], [320, 540]]
    if unit == "fraction":
        points = [[x / 1280, y / 720] for x, y in points]
    file = tmp_path / "regions.json"
    region = {"name": "a", "polygon": points}
    file.write_text(json.dumps({"version": 1, "unit": unit, "regions": [region]}))
    edit = edited(tmp_path / "edit.mp4", 2, size=(360, 640))
    code, out = run(source, edit, "--regions", str(file), "--feather", "0")
    assert code == 0
    white = load(out).frames[0].mean(-1) > 0.65
    assert white[184:536, 324:956].all()
    white[176:544, 316:964] = False
    assert not white.any()


def test_a_file_of_regions_is_held_on_small_frames(source: Path, monkeypatch: pytest.MonkeyPatch):
    from evenframe.cli import only_there as command
    from evenframe.pipelines.regions.text import parse_regions

    sizes: list[object] = []

    def parse(text: str, frames: int, *frame_sizes: tuple[int, int]):
        sizes.extend(frame_sizes)
        return parse_regions(text, frames, *frame_sizes)

    monkeypatch.setattr(command, "REGIONS_SIDE", 48)
    monkeypatch.setattr("evenframe.pipelines.regions.text.parse_regions", parse)
    file = source.with_name("regions.json")
    region = {"name": "a", "polygon": [[0, 0], [24, 0], [24, 64], [0, 64]]}
    file.write_text(json.dumps({"version": 1, "unit": "pixel", "regions": [region]}))
    code, out = run(source, edited(source.with_name("edit.mp4")), "--regions", str(file))
    assert code == 0 and sizes == [(64, 96), (32, 48)]
    frame = load(out).frames[0].mean(-1)
    assert float(frame[32, 10]) > 0.9 > float(frame[32, 40])


def test_only_people_are_edited(tmp_path: Path):
    file = Path(__file__).resolve().parents[2] / "shared" / "clips" / "woman-running.mp4"
    if not file.is_file():
        pytest.skip("no real clips beside the checkout")
    source = save(tmp_path / "source.mp4", load(file, Choice(4)).frames, 20, crf=1)
    code, out = run(source, edited(source.with_name("edit.mp4"), 4, 20), "--person")
    assert code == 0
    change = (load(out).frames - load(source).frames).abs().amax(-1)
    assert float(change[:, 300, 260].min()) > 0.2, "her waistcoat"
    assert float(change[:, 60:250, 10:90].max()) < 0.1, "the sky, at the height of her head"


def test_where_nobody_is_it_says_so(source: Path, capsys: pytest.CaptureFixture[str]):
    code, out = run(source, edited(source.with_name("edit.mp4")), "--person")
    assert code == 1 and not out.exists()
    assert "Nobody is found in 'source.mp4': say with --box" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--box", "0.5", "0", "0.2", "1"), "is reversed or empty"),
        (("--box", "2", "0", "3", "1"), "lies outside the frame"),
        (("--regions", "absent.json"), "'absent.json' cannot be read (No such file"),
        ((*BOX, "--feather", "2000"), "feather is 2000: choose a whole number from 0 to 1024."),
        ((*BOX, "--start", "12"), "--start is 12, but 'source.mp4' has 12 frames: give 0 to 11."),
        ((*BOX, "--start", "-1"), "--start is -1: give 0, the first frame of SOURCE, or more."),
        ((*BOX, "--crf", "60"), "crf is 60: give 0 (best) to 51 for .mp4."),
        ((*BOX, "--out", "x.avi"), "'.avi' is an ending that cannot be written"),
        ((*BOX, "--out", "nowhere/x.mp4"), "There is no folder 'nowhere'"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(
    source: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], message: str
):
    code, out = run(source, edited(source.with_name("edit.mp4")), *more)
    told = capsys.readouterr().err.splitlines()
    assert code == 1 and told[-1].startswith("evenframe: ") and message in told[-1]
    assert not out.exists()


def test_nothing_is_overwritten(source: Path, capsys: pytest.CaptureFixture[str]):
    source.with_name("out.mp4").write_text("mine")
    code, out = run(source, edited(source.with_name("edit.mp4")), *BOX)
    assert code == 1 and out.read_text() == "mine"
    assert "is there already: give --out another name" in capsys.readouterr().err
