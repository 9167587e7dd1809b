"""Tables: how they are read, and what is refused of them, by name and line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from evenframe.__main__ import main
from evenframe.batch import columns, table
from evenframe.batch.columns import box_of, find
from evenframe.nodes.host.executor import Executor
from evenframe.nodes.host.workflow import parse
from evenframe.pipelines.common.errors import EvenframeError

EXAMPLES = Path(__file__).resolve().parents[1] / "examples_workflows" / "api"


def read(folder: Path, text: str | bytes, name: str = "t.csv") -> table.Table:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return table.read(path)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_table_of_any_program_is_read(tmp_path: Path, separator: str, code: str):
    lines = ["file,target,seed", 'a.mp4,"one, two; ""three""\n|four\tfive",7', "", "ü.mp4,x,"]
    if separator != ",":
        lines[0] = lines[0].replace(",", separator)
        lines[1] = lines[1].replace("a.mp4,", f"a.mp4{separator}").replace('",7', f'"{separator}7')
        lines[3] = f"ü.mp4{separator}x{separator}"
    found = read(tmp_path, "\r\n".join(lines).encode(code))
    assert found.columns == ("file", "target", "seed")
    first, last = found.rows
    assert dict(first.cells) == {
        "file": "a.mp4",
        "target": 'one, two; "three"\n|four\tfive',
        "seed": "7",
    }
    assert dict(last.cells) == {"file": "ü.mp4", "target": "x"}, "an empty cell changes nothing"
    assert (first.line, last.line) == (2, 5)


def test_json_lines_have_the_same_cells(tmp_path: Path):
    rows = [{"file": "a.mp4", "seed": 7, "Save.undo_fit": False, "box": [0.1, 0.2, 0.5, 1]}]
    rows += [{"file": "b.mp4", "seed": None}]
    text = "\n".join(map(json.dumps, rows)) + "\n"
    found = read(tmp_path, "\ufeff" + text, "t.jsonl")
    assert dict(found.rows[0].cells) == {
        "file": "a.mp4",
        "seed": "7",
        "Save.undo_fit": "false",
        "box": "0.1 0.2 0.5 1",
    }
    assert dict(found.rows[1].cells) == {"file": "b.mp4"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no rows"),
        ("file,target\n", "has no rows"),
        ("file,target\n,\n \n", "has no rows"),
        ("file,file\na,b\n", "the column 'file' of the first line is empty, there twice"),
        ("file,\na,b\n", "the column '' of the first line"),
        ("a=b,c\na,b\n", "the column 'a=b'"),
        ("file,target\na,b,c\n", "line 2 has 3 cells, and there are 2 columns"),
        ('file,target\na,"b\n', "line 2 cannot be read"),
        ("file\n" + "x" * 100_001 + "\n", "line 2 cannot be read (field larger"),
        (b"file\n\xff\xfe\xfa\n", "is not text in UTF-8 (byte 5)"),
        ("file\na\0b\n", "line 2: file has a character that is none"),
        (",".join(f"c{n}" for n in range(101)) + "\n" + "x," * 101, "more than"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, text: str | bytes, said: str):
    with pytest.raises(EvenframeError) as refused:
        read(tmp_path, text)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[1]", "line 2 is [1]: write it in braces"),
        ("{", "line 2 is not JSON"),
        ('{"a": {"b": 1}}', "line 2: a is {'b': 1}: give a text"),
        ('{"a": NaN}', "line 2 is not JSON (it holds NaN"),
        ('{"a": 1' + "0" * 200 + "}", "a number 201 characters long"),
        ('{"a": 1, "a": 2}', "twice in one object"),
        ('{"a": "\\ud83d"}', "line 2: a has a character that is none"),
    ],
)
def test_json_lines_that_cannot_be_are_refused(tmp_path: Path, line: str, said: str):
    with pytest.raises(EvenframeError) as refused:
        read(tmp_path, f'{{"a": 1}}\n{line}\n', "t.jsonl")
    assert said in str(refused.value)


def test_a_table_that_is_not_there(tmp_path: Path):
    with pytest.raises(EvenframeError, match="Cannot read table .*No such file"):
        table.read(tmp_path / "none.csv")


def test_a_table_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(table, "MAX_BYTES", 10)
    with pytest.raises(EvenframeError, match="give at most 10"):
        read(tmp_path, "file\n" + "a\n" * 10)


def example(name: str):
    return parse(json.loads((EXAMPLES / f"{name}.json").read_text()))


@pytest.mark.parametrize(
    ("recipe", "targets"),
    [
        (
            "FateZero attribute edit",
            {
                "file": "3.file",
                "source": "4.text",
                "target": "5.text",
                "words": "7.blend_words",
                "seed": "8.seed",
                "model": "2.model",
            },
        ),
        ("Own sampler Wan", {"source": "8.source_prompt", "target": "18.value"}),
        ("ReAtCo tracked object", {"file": "file", "box": "text"}),
    ],
)
def test_plain_names_find_their_input(recipe: str, targets: dict[str, str]):
    workflow = example(recipe)
    found = {column.name: column for column in find(workflow, targets)}
    for name, target in targets.items():
        assert found[name].target.endswith(target), name
        assert found[name].socket in workflow.nodes[found[name].node].inputs


def test_every_column_that_fits_nothing_is_told_at_once():
    names = ["file", "taget", "Video Editor.sede", "box", "Nobody.seed", "DDIM Inverter.model"]
    with pytest.raises(EvenframeError) as refused:
        find(example("FateZero attribute edit"), names)
    said = str(refused.value)
    assert "taget: is an unknown column" in said
    assert "box: the workflow has no such input" in said
    assert "The workflow has no node 'Nobody'" in said
    assert "DDIM Inverter.model: comes to node 6" in said
    assert "file, source, target, words, box, seed" in said


def test_two_edits_are_named_by_node():
    with pytest.raises(EvenframeError, match="target: fits several inputs, .*text, .*text: name"):
        find(example("FateZero two edits"), ["target"])


def test_a_box_becomes_the_text_of_its_node():
    from evenframe.pipelines.regions.text import parse_regions

    assert box_of("0.2, 0.3 0.6 .9") == [0.2, 0.3, 0.6, 0.9]
    regions = parse_regions(columns._drawn_box("0.25 0.5 0.75 1"), 1, (8, 8))
    assert regions.items[0].name == "object"
    assert json.loads(columns._tracked_box("0 0 1 1"))["box"] == [0, 0, 1, 1]
    for wrong in ("", "1 2 3", "0 0 2 1", "0.5 0 0.5 1", "a b c d", "0 0 1 1 1", "0 0 nan 1"):
        with pytest.raises(EvenframeError, match="give four shares of the frame"):
            box_of(wrong)


# `evenframe run` with the same names


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two clips, and a workflow that loads and saves one of them."""
    from evenframe.pipelines import video

    monkeypatch.setenv("EVENFRAME_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    frames = torch.rand(2, 32, 32, 3)
    for name in ("a.mp4", "b.mp4"):
        video.save(tmp_path / name, frames, 8)
    save = {"frames": ["load", 0], "filename_prefix": "%EvenframeLoadVideo.file%", "format": "mp4"}
    save |= {"frame_rate": 8.0, "undo_fit": False, "crf": -1}
    load = {"file": "none.mp4", "max_frames": 2, "skip": 0, "stride": 1, "frame_rate": 0.0}
    load |= {"fit": "stretch", "max_side": 32, "width": 0, "height": 0, "multiple": "8"}
    graph = {
        "load": {"class_type": "EvenframeLoadVideo", "inputs": load},
        "save": {"class_type": "EvenframeSaveVideo", "inputs": save},
    }
    (tmp_path / "w.json").write_text(json.dumps(graph))
    return tmp_path


def test_one_clip_is_edited_without_touching_the_workflow(clips: Path, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (clips / "a.mp4").rename(tmp_path / "elsewhere" / "a.mp4")
    clip = str(tmp_path / "elsewhere" / "a.mp4")
    assert main(["run", "w.json", "--clip", clip, "--output", "out"]) == 0
    assert len(list((clips / "out").glob("*.mp4"))) == 1


def test_a_clip_and_two_prompts_are_a_workflow(
    clips: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    seen = []
    monkeypatch.setattr(Executor, "run", lambda self, graph, *_: seen.append(graph.as_prompt()))
    prompts = ["--source", "a cat", "--target", "a dog", "--model", "sd15.safetensors"]
    assert main(["run", "--clip", "a.mp4", *prompts]) == 0
    inputs = {k: v for node in seen[0].values() for k, v in node["inputs"].items()}
    texts = {node["inputs"].get("text") for node in seen[0].values()}
    assert {"a cat", "a dog"} <= texts
    models = [node["inputs"]["model"] for node in seen[0].values() if "dtype" in node["inputs"]]
    assert models == ["sd15.safetensors"] and inputs["file"] == "a.mp4"
    with pytest.raises(SystemExit):
        main(["run", "--source", "a cat"])
    assert "name a workflow, or a clip with --clip" in capsys.readouterr().err
    assert main(["run", "w.json", "--clip", "a.mp4", "--target", "x"]) == 1
    assert "target: the workflow has no such input" in capsys.readouterr().err


def test_each_runs_the_rows_of_a_table(clips: Path, capsys: pytest.CaptureFixture[str]):
    (clips / "t.csv").write_text("file,#who\na.mp4,me\nb.mp4,you\n")
    assert main(["run", "w.json", "--each", "t.csv", "--output", "out"]) == 0
    told = capsys.readouterr()
    assert "run 2 of 2: line 3" in told.err
    assert len(list((clips / "out").glob("[ab].mp4_*.mp4"))) == 2


def test_clips_lie_beside_the_table(
    clips: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
):
    (clips / "t.csv").write_text("file\na.mp4\n")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    given = ["--each", str(clips / "t.csv"), "--output", str(clips / "out")]
    assert main(["run", str(clips / "w.json"), *given]) == 0
    assert len(list((clips / "out").glob("a.mp4_*.mp4"))) == 1


def test_a_dry_run_refuses_what_the_batch_would(clips: Path, capsys: pytest.CaptureFixture[str]):
    (clips / "t.csv").write_text("file\na.mp4\nbad.mp4\n")
    (clips / "bad.mp4").write_bytes(b"no video")
    given = ["batch", "t.csv", "--workflow", "w.json", "--out", "out"]
    assert main(given) == 1
    told = capsys.readouterr().err
    assert "2 of 2 rows, 1 failed; 0 inversions" in told and "--retry-errors does them" in told
    assert main([*given, "--dry-run"]) == 0
    assert "2 works are done, 1 of them failed (--retry-errors" in capsys.readouterr().out
    graph = json.loads((clips / "w.json").read_text())
    graph["save"]["inputs"]["crf"] = 20
    (clips / "w.json").write_text(json.dumps(graph))
    assert main([*given, "--dry-run"]) == 1
    assert "is a batch of another workflow" in capsys.readouterr().err


def test_each_refuses_all_rows_before_the_first(clips: Path, capsys: pytest.CaptureFixture[str]):
    (clips / "t.csv").write_text("file\na.mp4\nnone.mp4\n../b.mp4\n")
    assert main(["run", "w.json", "--each", "t.csv", "--output", "out"]) == 1
    told = capsys.readouterr().err
    assert "line 3: node load (EvenframeLoadVideo): No such input file: 'none.mp4'" in told
    assert "line 4: node load (EvenframeLoadVideo): '../b.mp4' lies outside" in told
    assert "2 of 3 rows cannot be run: none was." in told
    assert not (clips / "out").exists()


# What a row's key counts


@pytest.mark.parametrize("columns", [("file",), ("load.max_frames",)])
def test_a_clip_that_changes_while_rows_wait_is_not_passed_off(clips: Path, columns: tuple[str]):
    """Named by the row, or by the workflow itself: its key tells of what it held before."""
    from evenframe.batch.commit import perform
    from evenframe.batch.here import HereRules
    from evenframe.batch.job import Made
    from evenframe.batch.plan import plan
    from evenframe.batch.store import Store
    from evenframe.nodes.host.standalone import Session

    graph = json.loads((clips / "w.json").read_text())
    graph["load"]["inputs"]["file"] = "a.mp4"
    row = table.Row(2, {columns[0]: {"file": "a.mp4"}.get(columns[0], "1")})
    rules = HereRules(Session(inputs=(clips,)))
    work = plan(table.Table(columns, (row,)), parse(graph), rules)
    (clips / "b.mp4").replace(clips / "a.mp4")
    store = Store(clips / "out")
    store.open("w")
    outcome = perform(store, work.job(work.keys[0]), lambda *_: Made(), "worker 0")
    assert outcome.state == "error" and "was changed after the batch had begun" in outcome.message
