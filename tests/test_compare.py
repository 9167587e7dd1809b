"""`evenframe compare`: a table in, tables and a sheet out, resumed where it was stopped."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from glob import glob
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from evenframe import miniature
from evenframe.__main__ import main
from evenframe.benchmarks.clips import rendered
from evenframe.cli import compare
from evenframe.cli.clips_table import read_table
from evenframe.miniature.scenes import compose, make_object
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.common.pictures import to_image
from evenframe.pipelines.comparing import methods
from evenframe.pipelines.comparing.editing import Shared, make
from evenframe.pipelines.comparing.results import Results
from evenframe.pipelines.comparing.row import Row
from evenframe.pipelines.comparing.summary import BY_CLIP, as_markdown, summarise
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.measure import statistics
from evenframe.pipelines.measure.statistics import bootstrap, wilcoxon
from evenframe.pipelines.models.delta import Delta
from evenframe.pipelines.models.families import load
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.tuning.one_shot import tune
from evenframe.pipelines.tuning.settings import Tuning
from evenframe.pipelines.video import save

SOURCE = "a red circle on a gray background"
TARGET = "a blue circle on a gray background"
HEAD = ("clip", "source", "target", "words", "new_words", "mask", "edit")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two clips of a moving circle with the mask of one, and two edits."""
    lines = []
    for name, x in (("one", 50.0), ("two", 70.0)):
        scene = compose("one", (make_object("red", "circle", x, 64, velocity=(3, 0)),), "gray")
        frames, masks = rendered(scene, 3)
        save(tmp_path / f"{name}.mp4", torch.from_numpy(frames), 8, crf=1)
        to_image(torch.from_numpy(masks[0].max(0))[..., None].expand(-1, -1, 3)).save(
            tmp_path / f"{name}.png"
        )
        mask = "one.png" if name == "one" else ""
        lines.append((f"{name}.mp4", SOURCE, TARGET, "red circle", "blue circle", mask, "blue"))
    return written(tmp_path / "clips.csv", HEAD, lines)


def written(path: Path, head: tuple[str, ...], lines: list[tuple[str, ...]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *lines])
    return path


def run(table: Path, *more: str, methods: str = "plain,reatco") -> int:
    out = str(table.parent / "results")
    settings = ["--steps", "2", "--frames", "3", "--guidance", "3", "--methods", methods]
    return main(["compare", str(table), "--output", out, *settings, *more])


@pytest.mark.slow
def test_a_table_is_filled_once_and_gone_on_with(
    table: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    assert run(table) == 0
    told = capsys.readouterr()
    results = table.parent / "results"
    assert told.out.split() == [
        str(results / name) for name in ("results.csv", "summary.csv", "summary.md", "sheet.png")
    ]
    assert "line 3: reatco is left out, it needs mask" in told.err
    each = list(csv.DictReader((results / "results.csv").open()))
    assert [(row["method"], row["edit"]) for row in each] == [
        ("plain", "one/blue"),
        ("plain", "two/blue"),
        ("reatco", "one/blue"),
    ]
    assert float(each[2]["outside PSNR"]) > float(each[0]["outside PSNR"]), "IRJS keeps it"
    assert each[1]["outside PSNR"] == "", "there is no mask"
    summary = list(csv.DictReader((results / "summary.csv").open()))
    assert {row["test"] for row in summary if row["method"] == "reatco"} == {"Wilcoxon"}
    assert Image.open(results / "sheet.png").width == 3 * compare.SHEET_SIDE
    # A result counts when what was measured of it is there: half of one is made again.
    (results / "plain" / "two" / "blue.json").unlink()
    (results / "plain" / "two" / "blue" / "00002.jpg").unlink()
    (results / "reatco" / "one" / "blue.partial").mkdir()
    made: list[Path] = []
    usual = compare._clip
    monkeypatch.setattr(compare, "_clip", lambda *a: made.append(a[1].clip) or usual(*a))
    assert run(table) == 0
    assert [path.name for path in made] == ["two.mp4"]
    assert (results / "plain" / "two" / "blue" / "00002.jpg").is_file()
    assert (results / "summary.csv").read_text().count("\n") == 1 + len(summary)
    # Another prompt, or another clip of the same name, is another edit.
    text = table.read_text()
    table.write_text(text.replace(TARGET, TARGET.replace("gray", "navy"), 1))
    (table.parent / "two.mp4").write_bytes((table.parent / "one.mp4").read_bytes())
    made.clear()
    assert run(table) == 0
    assert [path.name for path in made] == ["one.mp4", "one.mp4", "two.mp4"]
    pictures = [results / "images" / name / "00000.png" for name in ("one", "two")]
    assert pictures[0].read_bytes() == pictures[1].read_bytes()
    made.clear()
    assert run(table) == 0 and not made
    assert run(table, "--seed", "1") == 1 and not made
    assert "holds results with another seed (0, now 1)" in capsys.readouterr().err


@pytest.mark.slow
def test_every_method_and_a_recipe_edit_the_miniatures_clip(
    table: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def briefly(model: Model, frames: torch.Tensor, prompt: str, tuning: Tuning) -> Delta:
        return tune(model, frames, prompt, replace(tuning, steps=1))

    monkeypatch.setattr(methods, "tune", briefly)
    recipe = Path(__file__).parents[1] / "examples_workflows" / "api" / "FateZero own clip.json"
    head = (*HEAD, "attribute", "DDIM Inverter.steps")
    lines = [("one.mp4", SOURCE, TARGET, "red circle", "blue circle", "one.png", "b", "", "2")]
    table = written(table.parent / "one.csv", head, lines)
    names = f"{','.join(methods.METHODS)},{recipe}"
    code, told = run(table, methods=names), capsys.readouterr().err
    assert code == 0, told
    assert "fame is left out, it needs attribute" in told
    each = list(csv.DictReader((table.parent / "results" / "results.csv").open()))
    made = {row["method"] for row in each}
    assert made == {*methods.METHODS, "FateZero own clip"} - {"fame"}
    assert all(row["Warp-Err"] for row in each)
    timed = {row["method"] for row in each if float(row["seconds"] or 0) > 0}
    assert timed == made - {"FateZero own clip"}, "a recipe loads and saves, too"


@pytest.mark.slow
def test_fame_asks_for_the_attribute_by_its_prompt():
    model = load(miniature.NAME)
    prompt = "a doctor on a gray background"
    mask = torch.zeros(2, 128, 128)
    mask[:, 20:110, 40:90] = 1
    task = methods.Task(prompt, prompt, words=("doctor",), attribute="female", mask=mask)
    fame = methods.METHODS["fame"]
    asked = fame.prompt(model, task)
    assert not isinstance(asked, str)
    plain = model.text.encode(prompt)
    assert not torch.equal(asked.states["tokens"], plain.states["tokens"])
    kinds = [type(one).__name__ for one in fame.controls(task)]
    assert kinds == ["Fusion", "SelfModulator", "CrossReweighter", "JointSampling"]
    frames, shared = torch.rand(2, 128, 128, 3), Shared(2, 3.0)
    plain, made = (make(model, frames, task, methods.METHODS[m], shared) for m in ("plain", "fame"))
    assert made.frames.shape == frames.shape and not torch.equal(plain.frames, made.frames)
    assert made.seconds > 0


def test_fatezero_takes_the_published_settings_of_a_kind():
    fatezero = methods.METHODS["fatezero"]
    task = methods.Task("a b", "a c", ("b",), ("c",), kind="shape")
    [fusion] = fatezero.controls(task)
    assert isinstance(fusion, Fusion)
    assert (fusion.method, fusion.self_steps, fusion.blend_words) == ("replace", 0.5, ("b",))
    assert fatezero.walk(task)["layers"] == "all"
    coloured = methods.Task("a b", "a c", ("b",), ("c",))
    assert fatezero.controls(coloured)[0].blend_words == (), "a colour leaves shapes alone"  # pyright: ignore
    [longer] = fatezero.controls(methods.Task("a b", "a c d", ("b",), ("c",)))
    assert isinstance(longer, Fusion) and longer.method == "refine", (
        "one word for one is impossible"
    )


@pytest.mark.parametrize(
    ("head", "lines", "message"),
    [
        (HEAD[:2], [("one.mp4", SOURCE)], "has no column target"),
        ((*HEAD[:3], "mood"), [("one.mp4", "a", "b", "c")], "a column 'mood', which means nothing"),
        (HEAD[:3], [], "has no rows"),
        (HEAD[:3], [("one.mp4", "", "b")], "Line 2 of 'bad.csv': source is empty"),
        (
            HEAD[:3],
            [("one.mp4", "a", "b"), ("gone.mp4", "a", "c")],
            "files that are not there: line 3: '.*gone.mp4'",
        ),
        (HEAD[:3], [("one.mp4", "a", "b"), ("one.mp4", "c", "b")], "same video and edit as line 2"),
        (
            HEAD[:3],
            [("one.mp4", "a", "b"), ("other/one.mp4", "a", "c")],
            "Lines 2 and 3 of 'bad.csv' call two clips 'one'",
        ),
        (
            (*HEAD[:3], "mask"),
            [("one.mp4", "a", "b", "one.png"), ("one.mp4", "a", "c", "two.png")],
            "Lines 2 and 3 of 'bad.csv' have two masks of 'one'",
        ),
        ((*HEAD[:3], "kind"), [("one.mp4", "a", "b", "mood")], "kind is 'mood': use style"),
    ],
)
def test_a_table_that_cannot_be_done_is_told_before_the_work(
    table: Path, head, lines, message, capsys: pytest.CaptureFixture[str]
):
    import re

    assert run(written(table.parent / "bad.csv", head, lines)) == 1
    assert re.search(message, capsys.readouterr().err)
    assert not (table.parent / "results").exists()


def test_an_edit_that_fails_costs_no_other_and_words_are_looked_up_before(
    table: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def edited(work: Any, method: Any, row: Row, source: torch.Tensor, mask: Any) -> Any:
        if row.video == "one":
            raise RuntimeError("out of memory")
        return source, 1.0

    monkeypatch.setattr(compare, "_edited", edited)
    text = table.read_text().replace("blue circle,one.png", "crimson ball,one.png")
    table.write_text(text)
    assert run(table, "--frames", "-1") == 1 and not (table.parent / "results").exists()
    capsys.readouterr()
    assert run(table) == 1
    told = capsys.readouterr().err
    assert "reatco is left out, it needs 'crimson ball' in the target prompt" in told
    assert "no result: plain, line 2: RuntimeError: out of memory" in told
    assert (table.parent / "results" / "plain" / "two" / "blue.json").is_file()


def test_a_folder_takes_more_judges_and_no_others(tmp_path: Path):
    results = Results(tmp_path / "out")
    results.begin({"steps": 1, "judges": {}})
    results.begin({"steps": 1, "judges": {"clip": "a"}})
    results.begin({"steps": 1, "judges": {"dino": "b"}})
    with pytest.raises(EvenframeError, match="with another judges"):
        results.begin({"steps": 1, "judges": {"clip": "c"}})


def test_edits_of_one_clip_count_as_one():
    base = {f"{clip}/{edit}": {"right": 0.0, "x": 1.0} for clip in "abc" for edit in "de"}
    found = {key: {"right": float("d" in key), "x": 2.0} for key in base}
    entries = {(e.method, e.measure): e for e in summarise({"plain": base, "new": found})}
    right, x = entries["new", "right"], entries["new", "x"]
    assert (right.n, right.pairs, right.mean, right.test) == (3, 3, 0.5, "Wilcoxon")
    assert x.p == pytest.approx(0.25), "three pairs, not six"


def test_unknown_methods_and_other_peoples_folders_are_refused(
    table: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(table, methods="plain,magic") == 1
    assert "There is no method 'magic': there are plain" in capsys.readouterr().err
    assert run(table, methods="plain,plain") == 1
    assert "Two methods are called 'plain'" in capsys.readouterr().err
    (table.parent / "results").mkdir()
    (table.parent / "results" / "mine.txt").write_text("mine")
    assert run(table) == 1
    assert "holds other files, and no comparison" in capsys.readouterr().err
    assert [path.name for path in (table.parent / "results").iterdir()] == ["mine.txt"]


def made_up(tmp_path: Path) -> tuple[Results, list[Row]]:
    """Two edits of a clip of 9 frames, kept with a mask."""
    results = Results(tmp_path / "out")
    results.begin({"steps": 1})
    asked = {
        "target_yes_no_question": "Is it blue?",
        "source_yes_no_question": "Is it red?",
        "multiple_choice_question": "Which? a) red b) blue",
    }
    rows = [
        Row(2, Path("stunt.mp4"), "a", "b", "stunt", "style", group="DAVIS_480p"),
        Row(3, Path("stunt.mp4"), "a", "[c]", "stunt", "object", type="2", questions=asked),
    ]
    torch.manual_seed(0)
    frames, mask = torch.rand(9, 16, 24, 3), torch.zeros(9, 16, 24)
    mask[:, :8] = 1
    for row in rows:
        results.keep_source(row, frames, mask)
        results.keep("8_Ours", row, 1 - frames, {"values": {"x": 1.0}})
    results.annotate(rows)
    return results, rows


def test_tgves_script_finds_its_frames(tmp_path: Path):
    """Its reader: `{submission}/{group}/{video}/{type}/*.jpg`, sorted, of the type's first word."""
    results, _ = made_up(tmp_path)
    folder = f"{results.folder}/8_Ours/DAVIS_480p/stunt/{['Style', 'Change', 'Caption'][0].lower()}"
    frames = [Image.open(path) for path in sorted(glob(f"{folder}/*.jpg"))]
    assert len(frames) == 9 and frames[0].size == (24, 16)


def test_fives_script_finds_frames_masks_and_questions(tmp_path: Path):
    """Its reader: images/VIDEO and bmasks/VIDEO of the same names, METHOD/VIDEO/SAVE_DIR, a JSON
    list with these fields; masks of one channel, above 0."""
    results, _ = made_up(tmp_path)
    root = results.folder
    [_, item] = json.loads((root / "edit_prompt" / "edit1_FiVE.json").read_text())
    assert str(item["editing_type_id"]) == "2"
    assert item["target_prompt"].replace("[", "").replace("]", "") == "c"
    assert {"multiple_choice_question", "source_yes_no_question"} <= item.keys()
    sources = listed(root / "images" / item["video_name"])
    results_of = listed(root / "8_Ours" / item["video_name"] / item["save_dir"])
    assert len(sources) == len(results_of) == 9
    for path in sources[::8]:
        mask = np.array(Image.open(root / "bmasks" / item["video_name"] / Path(path).name)) > 0
        assert mask.ndim == 2 and mask[:8].all() and not mask[8:].any()
    assert Image.open(sources[0]).size == Image.open(results_of[0]).size


def listed(folder: Path) -> list[str]:
    return sorted(p for kind in ("*.png", "*.jpg", "*.jpeg") for p in glob(str(folder / kind)))


def test_a_summary_compares_the_clips_that_both_have():
    base = {str(n): {"Warp-Err": n + 0.5, "VISOR": 0.5} for n in range(6)}
    better = {str(n): {"Warp-Err": n / 2, "VISOR": 1.0} for n in range(1, 6)}
    entries = {(e.method, e.measure): e for e in summarise({"plain": base, "new": better})}
    warp = entries["new", "Warp-Err"]
    assert (warp.n, warp.pairs, warp.test) == (5, 5, "Wilcoxon") and warp.p == pytest.approx(1 / 16)
    assert warp.low <= warp.mean == 1.5 <= warp.high
    right = entries["new", "VISOR, clips right"]
    assert (right.mean, right.test) == (1, "McNemar") and right.p == pytest.approx(1 / 16)
    assert (right.low, right.high) == pytest.approx((0.566, 1), abs=1e-3)
    assert entries["plain", "Warp-Err"].p is None
    same = {str(n): {"outside SSIM": 1.0, "motion kept": float(n % 2)} for n in range(4)}
    for entry in summarise({"plain": same, "new": same}):
        assert entry.test in ("", "Wilcoxon") and entry.measure not in BY_CLIP.values()
        assert entry.mean == 0.5 or (entry.low, entry.high) == (1, 1), "no share of clips"
    assert as_markdown(list(entries.values())).splitlines()[0].startswith("| method | Warp-Err |")


@pytest.mark.parametrize("apart", [(1.0, 2, -3), (1, 1, -1, 2), (0, 1, 2), (5, 4, 3, 2, 1)])
def test_wilcoxon_counts_all_signs_of_the_ranks(apart: tuple[float, ...]):
    moved = [each for each in apart if each]
    sizes = [abs(each) for each in moved]
    ranks = [sum(s < one for s in sizes) + (sizes.count(one) + 1) / 2 for one in sizes]
    seen = sum(rank for rank, each in zip(ranks, moved, strict=True) if each > 0)
    sums = [
        sum(r for r, up in zip(ranks, signs, strict=True) if up)
        for signs in product((0, 1), repeat=len(ranks))
    ]
    tail = min(sum(s <= seen for s in sums), sum(s >= seen for s in sums)) / len(sums)
    assert wilcoxon([0] * len(apart), apart) == pytest.approx(min(1, 2 * tail))
    stats = pytest.importorskip("scipy.stats")
    if len(set(sizes)) == len(sizes) == len(apart):
        assert wilcoxon([0] * len(apart), apart) == pytest.approx(stats.wilcoxon(apart).pvalue)


def test_wilcoxon_of_many_pairs_is_what_the_exact_one_would_be(monkeypatch: pytest.MonkeyPatch):
    apart = [round(float(each), 1) for each in np.random.default_rng(3).normal(0.1, 1, 400)]
    exact = wilcoxon([0.0] * 400, apart)
    monkeypatch.setattr(statistics, "EXACT", 20)
    assert wilcoxon([0.0] * 400, apart) == pytest.approx(exact, rel=0.03)
    assert wilcoxon([0.0] * 10_000, list(range(1, 10_001))) == 0


def test_a_bootstrap_interval_is_about_two_standard_errors_wide():
    values = np.random.default_rng(0).normal(3, 2, 400)
    low, high = bootstrap(list(values))
    error = values.std() / math.sqrt(len(values))
    assert (low, high) == pytest.approx(
        (values.mean() - 1.96 * error, values.mean() + 1.96 * error), abs=0.05
    )
    assert bootstrap([2.0]) == (2, 2)
    with pytest.raises(ValueError, match="at least one number"):
        bootstrap([])


def test_a_damaged_result_is_named(tmp_path: Path):
    results, rows = made_up(tmp_path)
    (results.folder / "8_Ours" / "stunt" / "object.json").write_text("{")
    with pytest.raises(EvenframeError, match="object.json' cannot be read.*it is made anew"):
        results.measured("8_Ours", rows[1], "")


def test_names_of_folders_are_made_of_plain_letters(tmp_path: Path):
    (tmp_path / "ä b.mp4").write_bytes(b"")
    [row] = read_table(
        written(tmp_path / "t.csv", ("clip", "source", "target"), [("ä b.mp4", "x", "../a: b?")])
    )
    assert (row.video, row.edit, row.key) == ("b", "a_b", "b/a_b")
