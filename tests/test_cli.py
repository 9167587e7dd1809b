"""The command line: what it prints, where it stops, how it says what is wrong."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from evenframe.__main__ import main
from evenframe.cli import bench, console, demo, run
from evenframe.nodes.host.standalone import Session
from evenframe.nodes.host.task import Done


def test_usage_mistakes_exit_with_2(capsys: pytest.CaptureFixture[str]):
    for arguments in ([], ["no-such-command"], ["run"], ["run", "a.json", "--no-such-option"]):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2
    assert "usage: evenframe" in capsys.readouterr().err


def test_who_is_asked_to_end_says_so_whatever_a_library_raises(monkeypatch: pytest.MonkeyPatch):
    def ended(_: object) -> int:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise KeyboardInterrupt from None  # as Ray does
        return 0

    monkeypatch.setattr(demo, "run", ended)
    assert main(["demo"]) == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "Cannot read workflow"),
        ("{", "is not a workflow in JSON"),
        (json.dumps({"nodes": [], "links": []}), "editor's format"),
        (json.dumps({"1": {"class_type": "KSampler"}}), "runs only in ComfyUI"),
    ],
)
def test_an_error_is_one_line_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, message: str
):
    path = tmp_path / "workflow.json"
    if content is not None:
        path.write_text(content)
    assert main(["run", str(path)]) == 1
    told = capsys.readouterr().err
    assert told.startswith("evenframe: ")
    assert message in told
    assert told.count("\n") == 1


BATCH = {
    "clip": {"class_type": "EvenframeDemoClip", "inputs": {"max_frames": 2}},
    "targets": {
        "class_type": "EvenframeFairnessTargets",
        "inputs": {"shares": "a: 0.5, b: 0.5", "count": 4, "index": 0, "seed": 3},
        "_meta": {"title": "Targets"},
    },
    "save": {
        "class_type": "EvenframeSaveVideo",
        "inputs": {
            "frames": ["clip", 0],
            "log": ["targets", 1],
            "filename_prefix": "clip",
            "format": "mp4",
            "frame_rate": 8.0,
            "undo_fit": False,
            "crf": -1,
        },
    },
}


@pytest.fixture
def batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A command that runs `BATCH`."""
    monkeypatch.setenv("EVENFRAME_CACHE", str(tmp_path / "cache"))
    (tmp_path / "batch.json").write_text(json.dumps(BATCH))
    return ["run", str(tmp_path / "batch.json"), "--output", str(tmp_path / "output")]


def test_one_command_runs_a_batch_and_each_file_holds_its_log(
    batch: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    from evenframe.pipelines.video import read_metadata

    assert main([*batch, "--each", "Targets.index=0..3"]) == 0
    told = capsys.readouterr()
    files = [tmp_path / "output" / f"clip_{number:05}_.mp4" for number in range(1, 5)]
    assert sorted((tmp_path / "output").glob("*.mp4")) == files
    assert [line for line in told.out.splitlines() if line.endswith(".mp4")] == list(
        map(str, files)
    )
    logs = [json.loads(read_metadata(file)["evenframe_log"]) for file in files]
    assert [log["index"] for log in logs] == [0, 1, 2, 3]
    assert [log["attribute"] for log in logs] == logs[0]["attributes"]
    assert sorted(logs[0]["attributes"]) == ["a", "a", "b", "b"]
    assert "run 4 of 4: Targets.index=3" in told.err
    assert told.err.count("EvenframeDemoClip (unchanged)") == 3, "what runs share is made once"


@pytest.mark.parametrize(
    ("each", "message"),
    [
        ("Targets.index=3", "--each is 'Targets.index=3', which names no whole numbers: write"),
        ("Targets.index=3..0", "names no whole numbers"),
        ("Targets.index=a..b", "names no whole numbers"),
        ("Targets.index=0..100000", "index is 100000, must be a number from 0 to 99999"),
        ("Targets.index=-1..3", "index is -1, must be a number from 0 to 99999"),
        ("Target.index=0..3", "The workflow has no node 'Target'"),
        ("index=0..3", "is not of the form Node.input=value"),
    ],
)
def test_a_batch_that_cannot_be_is_refused_before_it_begins(
    batch: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], each: str, message: str
):
    assert main([*batch, "--each", each]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "output").exists()


def test_a_batch_counts_up_one_input(
    batch: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main([*batch, "--each", "Targets.index=0..1", "--each", "Targets.seed=0..2"]) == 1
    assert "--each is given 2 times" in capsys.readouterr().err
    assert not (tmp_path / "output").exists()


def test_what_a_batch_has_saved_is_told_where_a_later_run_fails(
    batch: list[str], capsys: pytest.CaptureFixture[str]
):
    assert main([*batch, "--each", "Targets.index=3..4"]) == 1
    told = capsys.readouterr()
    assert "clip_00001_.mp4" in told.out
    assert "index is 4: choose one from 0 to 3" in told.err


def test_debug_shows_where_an_error_arose(tmp_path: Path):
    for arguments in (["--debug", "run", "none.json"], ["run", "none.json", "--debug"]):
        done = subprocess.run(
            [sys.executable, "-m", "evenframe", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        assert done.returncode == 1
        assert "Traceback" in done.stderr
        assert "Cannot read workflow none.json" in done.stderr


def test_models_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "v1-5.safetensors").touch()
    assert main(["models", "--models", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "built in     miniature" in told
    assert "checkpoints  v1-5.safetensors" in told


def test_bench_writes_one_flat_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    class Fake:
        TARGETS: ClassVar = {"store.bytes": 12, "time.ratio": 1.2}
        FLOORS: ClassVar = {"store.bytes": 10, "time.ratio": 2}

        @staticmethod
        def run() -> dict[str, float]:
            return {"store.bytes": 12, "time.ratio": 1.234567891}

    monkeypatch.setattr(bench, "benchmarks", lambda: ["fake"])
    monkeypatch.setattr(bench, "_module", lambda name: Fake)
    path = tmp_path / "new" / "figures.json"
    assert main(["bench", "fake", "--json", str(path)]) == 0
    assert json.loads(path.read_text()) == {"store.bytes": 12, "time.ratio": 1.234567891}
    told = capsys.readouterr().out.splitlines()
    assert told[:3] == [
        "fake",
        "store.bytes  12  at most 12  at least 10",
        "time.ratio   1.23457  at most 1.2  MISSED  at least 2  MISSED",
    ]


def test_a_release_without_benchmarks_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(bench, "benchmarks", list)
    assert main(["bench"]) == 1
    assert "There are no benchmarks here" in capsys.readouterr().err


def test_a_demo_that_could_not_be_written_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "file").touch()
    monkeypatch.setattr(demo, "edit_clip", lambda *_: pytest.fail("edited all the same"))
    assert main(["demo", "--output", str(tmp_path / "file")]) == 1
    assert "file' (Not a directory). Choose another name or folder." in capsys.readouterr().err


def test_an_option_that_a_bench_does_not_have_is_refused(capsys: pytest.CaptureFixture[str]):
    assert main(["bench", "seams", "--clips", "3"]) == 1
    assert "'seams' has no --clips: it takes --sheet." in capsys.readouterr().err


def test_an_unknown_bench_is_refused_by_name(capsys: pytest.CaptureFixture[str]):
    assert main(["bench", "no-such"]) == 1
    assert "No benchmark 'no-such'" in capsys.readouterr().err


def test_progress_is_a_moving_line_on_a_terminal_and_tenths_in_a_log():
    log = io.StringIO()
    report = console.progress(log)
    for done in range(1, 101):
        report("Inverting", done, 100)
    assert len(log.getvalue().splitlines()) == 10
    assert log.getvalue().splitlines()[-1].endswith("100/100")

    terminal = io.StringIO()
    terminal.isatty = lambda: True
    report = console.progress(terminal)
    for done in range(1, 4):
        report("Editing", done, 3)
    assert terminal.getvalue().count("\r") == 3
    assert terminal.getvalue().count("\n") == 1


def test_the_demo_writes_a_video_a_sheet_and_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from PIL import Image
    from tiny_model import tiny

    from evenframe.pipelines.models import families
    from evenframe.pipelines.video import load, read_metadata

    monkeypatch.setattr(families, "load", lambda _: tiny())
    monkeypatch.setattr(demo, "STEPS", 2)
    for number in ("00001", "00002"):
        assert main(["demo", "--output", str(tmp_path)]) == 0
        told = capsys.readouterr()
        for suffix in (".mp4", ".png", ".json"):
            path = tmp_path / f"demo_{number}_{suffix}"
            assert path.is_file() and str(path) in told.out
    assert "Inverting" in told.err and "2/2" in told.err
    video = tmp_path / "demo_00001_.mp4"
    assert load(video).frames.shape == (demo.FRAMES, 128, 128, 3)
    assert "generative AI" in read_metadata(video)["comment"]
    assert Image.open(video.with_suffix(".png")).width == demo.FRAMES * 128
    figures = json.loads(video.with_suffix(".json").read_text())
    assert figures["settings"]["fusion"]["blend_words"] == list(demo.EDITED)
    assert figures["figures"]["reconstruction_psnr_db"] > 0
    assert "outside of 'red circle': equal to the source" in told.out


@pytest.mark.slow
def test_the_demo_is_equal_to_the_source_outside_of_the_circle():
    from evenframe.miniature.demo import demo_edit
    from evenframe.pipelines.common.pictures import to_bytes
    from evenframe.pipelines.models import families
    from evenframe.pipelines.regions.edges import grown

    shown = demo_edit(3)
    result = demo.edit_clip(families.load("miniature"), 2, lambda *_: None, shown)
    source, edited = to_bytes(result.source), to_bytes(result.edited)
    kept = torch.stack([torch.from_numpy(shot.pixels) for shot in result.kept.shots()])
    circle = torch.from_numpy(shown.masks)
    far = grown(circle, 24) == 0  # attention has cells of 8 pixels
    assert far.float().mean() > 0.4 and (edited != source)[far].any()
    assert torch.equal(kept[far], source[far])
    assert torch.equal(kept[circle == 1], edited[circle == 1])


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_no_terminal_ends_a_run_for_its_letters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    (tmp_path / "checkpoints").mkdir()
    for name in ("é.ckpt", "東京.ckpt", "\udcff.ckpt"):  # the last is no Unicode, but a file's name
        (tmp_path / "checkpoints" / name).touch()
    assert main(["models", "--models", str(tmp_path)]) == 0
    told = written.getvalue().decode(encoding)
    assert ("東京" if encoding == "utf-8" else r"\u6771\u4eac") in told
    assert r"\udcff.ckpt" in told


def python(script: str, **options: Any) -> subprocess.Popen[str]:
    """A process of the command line, whose command `models` a script may replace."""
    return subprocess.Popen(
        [sys.executable, "-c", f"import sys\nfrom evenframe import __main__ as cli\n{script}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


LINES = """
def run(options):
    print("first", flush=True)
    sys.stdin.readline()
    for number in range({count}):
        print(number)
    return 0

cli.models.run = run
sys.exit(cli.main(["models"]))
"""


@pytest.mark.parametrize("count", [1, 100_000])
def test_a_reader_that_has_enough_is_no_error(count: int):
    """Met where a line is printed, or at the end, when what was kept back is."""
    process = python(LINES.format(count=count), stdin=subprocess.PIPE)
    assert process.stdout is not None and process.stdin and process.stderr is not None
    assert process.stdout.readline() == "first\n"
    process.stdout.close()
    process.stdin.close()
    assert process.wait(60) == 128 + signal.SIGPIPE
    assert process.stderr.read() == ""


def test_a_log_that_nobody_reads_costs_no_run(monkeypatch: pytest.MonkeyPatch):
    class Closed(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    console.progress(Closed())("Editing", 1, 1)
    monkeypatch.setattr(sys, "stderr", None)  # as under pythonw
    console.progress()("Editing", 1, 1)
    console.tell("nothing")


NO_HOME = """
import os, pwd

def unknown(_):
    raise KeyError("no such user")

pwd.getpwuid = unknown
os.environ.pop("HOME", None)
sys.exit(cli.main(["models"]))
"""


def test_a_user_whom_the_system_does_not_know_has_folders_where_he_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    process = python(NO_HOME, cwd=tmp_path)
    told, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "built in     miniature" in told

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.delenv("EVENFRAME_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for session in (Session(), Session.from_environment()):
        assert session.cache == Path(".cache/evenframe")
        assert session.presets == Path(".config/evenframe/presets")


@pytest.mark.parametrize(
    "each", ["Targets.seed=0..99999999999", f"Targets.seed=0..{'9' * 5000}", "Targets.seed=٣..٤"]
)
def test_a_batch_of_any_size_is_bounded_before_it_is_counted(
    batch: list[str], capsys: pytest.CaptureFixture[str], each: str
):
    assert main([*batch, "--each", each]) == 1
    told = capsys.readouterr().err
    assert "give at most 1000000" in told or "names no whole numbers" in told
    assert len(told) < 300


def test_a_number_of_any_length_is_bounded_before_it_is_read(
    batch: list[str], capsys: pytest.CaptureFixture[str]
):
    for value in ("9" * 101, "9" * 5000, "1e999999"):
        for target in ("Targets.seed", "save.frame_rate"):
            assert main([*batch, "--set", f"{target}={value}"]) == 1
            told = capsys.readouterr().err
            assert "must be a" in told and len(told) < 300


def test_no_text_of_a_file_steers_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run._print(tmp_path, Done((), {"text": ["one\ntwo\x1b[2J"], "images": [{"type": "temp"}]}))
    assert capsys.readouterr().out == "one\ntwo\\x1b[2J\n"


def test_what_was_saved_is_told_though_a_later_node_fails(
    batch: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    graph = json.loads(json.dumps(BATCH))
    late = {"frames": ["apart", 0], "filename_prefix": "late"}
    graph["other"] = {"class_type": "EvenframeDemoClip", "inputs": {"max_frames": 3}}
    apart = {"before": ["clip", 0], "after": ["other", 0]}  # of other sizes
    graph["apart"] = {"class_type": "EvenframeCompare", "inputs": apart}
    graph["late"] = {"class_type": "EvenframeSaveVideo", "inputs": graph["save"]["inputs"] | late}
    (tmp_path / "batch.json").write_text(json.dumps(graph))
    assert main(batch) == 1
    told = capsys.readouterr()
    assert str(tmp_path / "output" / "clip_00001_.mp4") in told.out.splitlines()
    assert "node apart (EvenframeCompare): The clips differ in size" in told.err
