"""Reports of batches: intervals, tests, methods; measures where there are some."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from batch_fakes import opened, planned

from evenframe.__main__ import main
from evenframe.batch import edits, measures, report, results
from evenframe.batch.commit import perform
from evenframe.batch.job import Job, Made, Setup
from evenframe.batch.store import Store, write_lines
from evenframe.batch.table import Row, Table
from evenframe.pipelines import video
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.measure import statistics
from evenframe.pipelines.measure.reading import read_clips
from evenframe.pipelines.measure.statistics import bootstrap, sign_flips


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Eight clips by two methods; the second has 2 more of a measure on each, and one row fails."""
    store = opened(tmp_path / "out")
    cells = [
        {"file": f"{clip}.mp4", "target": target, "#who": str(line)}
        for line, (target, clip) in enumerate((t, c) for t in ("a", "b") for c in range(8))
    ]
    rows = tuple(Row(line, each) for line, each in enumerate(cells, start=2))
    work = planned(Table(("file", "target", "#who"), rows))
    write_lines(store.table, work.lines())

    def edit(job: Job, folder: Path) -> Made:
        row = job.record["row"]
        if row == cells[-1]:
            raise EvenframeError("No.")
        value = int(row["file"][0]) + 2 * (row["target"] == "b") + 0.5
        return Made(0, {"measures": {"psnr": value, "clip": "not measured: no judge"}})

    for key in work.keys:
        perform(store, work.job(key), edit, "worker 0")
    return store


def test_methods_are_compared_on_the_rows_that_they_share(store: Store):
    a, b = report.methods([store.root], by="target")
    assert (a.done, a.ended, b.done, b.ended) == (8, 8, 7, 8)
    assert set(a.values) == {"psnr", "seconds"}, "what is not measured is no number"
    lines = list(report.table([a, b]))
    assert "  rows done: 7 of 8 (95 % 0.529 to 0.978)" in lines
    (mean,) = [line for line in lines if line.startswith("  psnr: 4 (95 % ")]
    assert mean.endswith("n = 8)")
    (tested,) = [line for line in lines if line.startswith("a - b, psnr")]
    assert tested.startswith("a - b, psnr: -2 (95 % -2 to -2, p = 0.0") and "n = 7" in tested


def test_two_folders_of_one_name_are_not_one_method(store: Store, tmp_path: Path):
    other = opened(tmp_path / "elsewhere" / store.root.name)
    with pytest.raises(EvenframeError, match="Several folders are called 'out'"):
        report.methods([store.root, other.root])


def test_a_page_is_read_whatever_was_measured(tmp_path: Path):
    store = opened(tmp_path / "out")
    work = planned(Table(("target",), (Row(2, {"target": "a"}),)))
    write_lines(store.table, work.lines())

    def edit(*_: object) -> Made:
        return Made(0, {"measures": {"psnr": float("inf"), "flow": float("nan"), "ssim": 1.0}})

    perform(store, work.job(work.keys[0]), edit, "worker 0")
    _, page, _ = results.rebuild(store)
    data = page.read_text().partition('id="rows">')[2].partition("</script>")[0]

    def refuse(name: str) -> None:
        raise AssertionError(f"no browser reads {name}")

    (all_rows,) = report.methods([store.root])
    assert set(all_rows.values) == {"ssim", "seconds"}, "means are of what has a number"
    (row,) = json.loads(data, parse_constant=refuse)
    assert row["measures"] == {"psnr": "inf", "flow": "nan", "ssim": 1.0}


def test_intervals_and_tests_are_right_where_it_is_known(monkeypatch: pytest.MonkeyPatch):
    chance = np.random.default_rng(1)
    hits, ps = 0, []
    for _ in range(40):
        values = chance.normal(0, 1, 40)
        low, high = bootstrap(list(values))
        hits += low <= 0 <= high
        ps.append(sign_flips(list(values)))
    assert hits >= 33, "95 % intervals hold the mean, give or take"
    assert 0.2 < np.mean(ps) < 0.8 and sign_flips([1.0] * 20) < 0.001
    assert sign_flips([0.0] * 5) == 1.0
    monkeypatch.setattr(statistics, "AT_ONCE", 40)
    values = list(chance.normal(0, 1, 30))
    for drawn in (bootstrap, sign_flips):
        whole = drawn(values, 7)
        monkeypatch.setattr(statistics, "AT_ONCE", 10_000)
        assert drawn(values, 7) == pytest.approx(whole), "as many at a time as there is room for"
        monkeypatch.setattr(statistics, "AT_ONCE", 40)


def test_a_report_is_printed_and_its_pages_made_again(
    store: Store, capsys: pytest.CaptureFixture[str]
):
    assert main(["report", str(store.root), "--by", "target"]) == 0
    told = capsys.readouterr().out
    assert str(store.root / "results.csv") in told and "p = " in told
    head = (store.root / "results.csv").read_text().splitlines()[0]
    assert head.startswith("line,state,error,file,target,#who,psnr,clip,seconds")
    assert main(["report", str(store.root), "--by", "colour"]) == 1
    assert "has a column 'colour': choose another --by" in capsys.readouterr().err
    assert main(["report", str(store.root.parent)]) == 1
    assert "is no folder of a batch" in capsys.readouterr().err


def test_a_row_is_measured_and_a_measure_fails_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The whole way: two rows that load a clip and save it, one of them smaller."""
    frames = torch.rand(3, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    video.save(tmp_path / "clip.mp4", frames, 8)
    load = {"file": "clip.mp4", "max_frames": 3, "skip": 0, "stride": 1, "frame_rate": 0.0}
    load |= {"fit": "stretch", "max_side": 64, "width": 0, "height": 0, "multiple": "8"}
    save = {"frames": ["load", 0], "filename_prefix": "made", "format": "mp4"}
    save |= {"frame_rate": 8.0, "undo_fit": False, "crf": -1}
    graph = {
        "load": {"class_type": "EvenframeLoadVideo", "inputs": load},
        "save": {"class_type": "EvenframeSaveVideo", "inputs": save},
    }
    setup = Setup(tmp_path / "out", edits.make, inputs=(tmp_path,), evaluate=True)
    folder = tmp_path / "row" / "files"
    folder.mkdir(parents=True)
    made = edits.Editor(setup)(Job("k", 2, graph), folder)
    found = made.facts["measures"]
    assert any(isinstance(value, float) for value in found.values())
    assert any(str(value).startswith("not measured: ") for value in found.values())
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    clip = tmp_path / "clip.mp4"
    failed = measures.measured(Job("k", 2, graph), clip, broken)
    assert failed and all(str(value).startswith("not measured: ") for value in failed.values())

    def runs_out(*_: Any) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr("evenframe.pipelines.measure.evaluate.evaluate", runs_out)
    failed = measures.measured(Job("k", 2, graph), clip, clip)
    assert set(failed.values()) == {"not measured: RuntimeError: out of memory"}


def test_a_video_that_nobody_here_decodes_has_no_thumbnail(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    path = tmp_path / "clip.mp4"
    video.save(path, torch.rand(3, 32, 32, 3), 8)
    edits.thumbnail(tmp_path)
    assert (tmp_path / edits.THUMB).is_file()
    (tmp_path / edits.THUMB).unlink()
    content = path.read_bytes()
    assert b"avc1" in content
    path.write_bytes(content.replace(b"avc1", b"zzzz"))
    edits.thumbnail(tmp_path)
    assert not (tmp_path / edits.THUMB).exists()
    assert "No thumbnail of 'clip.mp4'" in caplog.text


def test_what_is_measured_are_the_frames_that_were_edited(tmp_path: Path):
    moving = torch.zeros(12, 64, 64, 3)
    for at, frame in enumerate(moving):
        frame[:, 4 * at : 4 * at + 16] = 1  # a bar that goes to the right
    path = tmp_path / "clip.mp4"
    video.save(path, moving, 8)
    settings = {"file": "clip.mp4", "max_frames": 3, "skip": 2, "stride": 3, "frame_rate": 0.0}
    settings |= {"fit": "stretch", "max_side": 64, "width": 0, "height": 0, "multiple": "8"}
    other = {"video": "clip.mp4", "frame_load_cap": 3, "skip_first_frames": 2, "force_rate": 0}
    other |= {"select_every_nth": 3, "vae": ["vae", 0]}
    linked_size = settings | {"width": ["other", 0], "upload": "video"}
    loaders = {"EvenframeLoadVideo": linked_size, "VHS_LoadVideo": other}
    for kind, inputs in loaders.items():
        job = Job("k", 2, {"load": {"class_type": kind, "inputs": inputs}})
        made = tmp_path / f"{kind}.mp4"
        video.save(made, moving[[2, 5, 8]], 8)
        clips = read_clips(path, made, None, 64, lambda _: None, measures.chosen(job))
        assert len(clips.source) == 3
        assert (clips.source - clips.result).abs().mean() < 0.02, kind
    linked = {"class_type": "EvenframeLoadVideo", "inputs": settings | {"skip": ["other", 0]}}
    found = measures.measured(Job("k", 2, {"load": linked}), path, path)
    assert set(found.values()) == {
        "not measured: which frames are edited, another node says (skip)"
    }
