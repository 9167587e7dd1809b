"""What the documentation says, held against the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from evenframe.__main__ import parser
from evenframe.cli import bench
from evenframe.nodes import node_classes
from evenframe.nodes.host import io
from evenframe.nodes.video_miniature import EvenframeVideoMiniature
from evenframe.pipelines.common.window import Windowing
from evenframe.pipelines.controls.fame.cross_reweighter import CrossReweighter
from evenframe.pipelines.controls.fame.self_modulator import SelfModulator
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.controls.fatezero.presets import PRESETS
from evenframe.pipelines.controls.reatco.joint_sampling import JointSampling
from evenframe.pipelines.controls.reatco.refocus import Refocus
from evenframe.pipelines.editing import edit
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.regions.region import box_region
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.source.inversion import invert
from evenframe.pipelines.video import load

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "web" / "docs"
GUIDES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SCHEMAS = {cls.GET_SCHEMA().node_id: cls.GET_SCHEMA() for cls in node_classes()}


def rows(page: str, name: str) -> str:
    """The table rows of an input: those that name it, and those below that continue it."""
    found = re.search(rf"^\| `{name}` \|.*\n(?:\| \|.*\n)*", page, flags=re.MULTILINE)
    return found.group() if found else ""


def blocks(path: Path, language: str = "python") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), flags=re.M | re.S)


def test_every_node_has_a_page_and_every_page_a_node():
    later = {EvenframeVideoMiniature.GET_SCHEMA().node_id}  # a node once its weights are there
    assert {path.stem for path in PAGES.glob("*.md")} == set(SCHEMAS) | later


@pytest.mark.parametrize("node_id", SCHEMAS)
def test_a_page_names_every_input_and_output(node_id: str):
    schema, page = SCHEMAS[node_id], (PAGES / f"{node_id}.md").read_text()
    assert page.startswith("# ")
    assert "## Tip" in page
    assert [socket.id for socket in schema.inputs if not rows(page, socket.id)] == []
    for output in schema.outputs:
        assert f"| `{output.display_name}` |" in page, output.display_name


@pytest.mark.parametrize("node_id", SCHEMAS)
def test_a_page_gives_the_ranges_and_choices_of_the_inputs(node_id: str):
    page = (PAGES / f"{node_id}.md").read_text()
    for socket in SCHEMAS[node_id].inputs:
        told = rows(page, socket.id).replace("**", "")
        if isinstance(socket, io.Int.Input | io.Float.Input):
            for value in (socket.min, socket.max):
                limit = str(value) if isinstance(value, int) else f"{value:g}"
                told_limit = re.search(rf"(?<![\d.-]){limit}(?![\d]|\.\d)", told)
                assert told_limit, f"{socket.id}: {limit}"
        if isinstance(socket, io.Combo.Input) and socket.id not in ("file", "model", "preset"):
            for option in socket.options or []:
                assert f"`{option}`" in told, f"{socket.id}: {option}"


def test_the_page_of_the_presets_gives_their_settings():
    page = (PAGES / "EvenframeFusionPreset.md").read_text()
    for name, preset in PRESETS.items():
        fusion = preset.fusion
        settings = f"{fusion.method}, {fusion.cross_steps:g} / {fusion.self_steps:g}"
        threshold = f" {fusion.threshold:g} |" if preset.needs_blend_words else ""
        inverted = rf".*\| `{preset.keyframes}`, layers `{preset.layers}`, {preset.steps} steps \|$"
        row = rf"^\| `{re.escape(name)}` \|.*\| {settings} \|{threshold}{inverted}"
        assert re.search(row, page, re.M), f"{name}: {row}"


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text()):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_files_that_are_named_exist(path: Path):
    for name in re.findall(
        r"`((?:pipelines|nodes|web|docs|cli|examples_workflows)/[^`*]*)`", path.read_text()
    ):
        assert (ROOT / name).exists(), name


def bench_commands() -> list[str]:
    """What the guides give `evenframe bench`, or a module of it."""
    texts = "\n".join(path.read_text() for path in GUIDES)
    named = re.findall(r"(?:evenframe bench|evenframe\.benchmarks\.)([ \w][^`\n#,;)]*\w)", texts)
    return sorted(set(named) - {name for name in named if name.startswith("unchanged")})


@pytest.mark.parametrize("command", bench_commands())
def test_the_benches_that_are_named_take_their_options(command: str):
    options = parser().parse_args(["bench", *command.split()])
    bench.require_options(options.name, set(vars(options)) & set(bench.OPTIONS))
    assert options.name in bench.benchmarks()


def messages() -> Iterator[str]:
    """Every text in the code, with ... for what is filled in."""
    files = [path for room in ("pipelines", "nodes", "cli") for path in (ROOT / room).rglob("*.py")]
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (p.value if isinstance(p, ast.Constant) else "..." for p in node.values)
                yield "".join(map(str, parts)).replace("'...'", "...")
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


@pytest.mark.parametrize(
    "path",
    [*GUIDES, *sorted((ROOT / "miniature").rglob("*.py"))],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_modules_that_commands_name_exist(path: Path):
    for name in re.findall(r"-m evenframe((?:\.\w+)+)", path.read_text(encoding="utf-8")):
        module = ROOT.joinpath(*name.split(".")[1:])
        assert module.with_suffix(".py").is_file() or (module / "__main__.py").is_file(), name


def test_the_errors_of_the_readme_are_those_of_the_code():
    section = (ROOT / "README.md").read_text().split("## Troubleshooting")[1].split("\n## ")[0]
    quoted = [found.group(1) for found in re.finditer(r"^\| `([^`]+)`", section, flags=re.M)]
    quoted.remove("IMPORT FAILED")  # ComfyUI's own
    assert len(quoted) >= 5
    code = "\n".join(messages())
    for message in quoted:
        assert message.replace("'...'", "...") in code, message


@pytest.mark.slow
def test_the_notebook_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    [code] = blocks(ROOT / "README.md")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    frames = load(tmp_path / "edit.mp4").frames
    assert frames.shape == (8, 128, 128, 3)
    assert frames.std() > 0.02, "not one flat colour"


@pytest.fixture(scope="module")
def guide(model: Model, clip: Tensor) -> dict[str, Any]:
    """The names that the guide's code defines and uses."""
    inversion = invert(model, clip, "a red circle", steps=4)
    names: dict[str, Any] = {"model": model, "inversion": inversion, "edit": edit}
    names["Fusion"] = Fusion
    for block in blocks(ROOT / "docs" / "add-a-control.md"):
        exec(compile(block, "add-a-control.md", "exec"), names)
    return names


def test_the_guides_controls_run_together(guide: dict[str, Any]):
    assert guide["latents"].isfinite().all()


def test_the_guides_first_control_keeps_colours(guide: dict[str, Any]):
    model, inversion = guide["model"], guide["inversion"]
    free = edit(model, inversion, "a blue square")
    kept = edit(model, inversion, "a blue square", controls=[guide["KeepColours"](1.0)])
    wanted = inversion.trajectory[0].mean((2, 3))
    assert torch.allclose(kept.mean((2, 3)), wanted, atol=1e-5)
    assert not torch.allclose(free.mean((2, 3)), wanted, atol=1e-2)


def test_the_guides_second_control_changes_attention(guide: dict[str, Any]):
    model, inversion, decide = guide["model"], guide["inversion"], guide["Decide"]
    plain = edit(model, inversion, "a blue square")
    assert torch.equal(plain, edit(model, inversion, "a blue square", controls=[decide(1.0)]))
    sharper = edit(model, inversion, "a blue square", controls=[decide(1.5)])
    assert not torch.allclose(plain, sharper)


@pytest.fixture(scope="module")
def toy() -> Model:
    """The model of the guide."""
    names: dict[str, Any] = {}
    [block] = blocks(ROOT / "docs" / "add-a-model.md")
    exec(compile(block, "add-a-model.md", "exec"), names)
    torch.manual_seed(0)
    return names["toy_model"]()


def test_the_guides_model_takes_every_control(toy: Model, clip: Tensor):
    inversion = invert(toy, clip, "a red circle", steps=4, keyframes="own, mid")
    count, size = len(clip), (clip.shape[1], clip.shape[2])
    box = box_region([(16, 16, 112, 112)] * count, size, name="it", words="circle")
    regions = Regions((box,), count, size)
    controls = {
        "fusion": Fusion(cross_steps=0.5, self_steps=0.5),
        "RAD": Refocus(regions=regions, scale=1.0),
        "IRJS": JointSampling(regions=regions),
        "self": SelfModulator(regions=regions),
        "cross": CrossReweighter(words=("circle",)),
    }
    plain = edit(toy, inversion, "a blue circle")
    for name, control in controls.items():
        steered = edit(toy, inversion, "a blue circle", controls=[control])
        assert steered.isfinite().all() and not torch.equal(steered, plain), name
    together = edit(toy, inversion, "a blue circle", controls=list(controls.values()))
    assert together.isfinite().all()


def test_the_guides_model_walks_windows_and_back(toy: Model, clip: Tensor):
    inversion = invert(toy, clip, "a red circle", steps=20, windowing=Windowing(2, 1))
    assert inversion.times[0] == 1000 and inversion.times[-1] == 0
    # Its output hardly changes with the latents, so the way back ends near the start.
    clean = inversion.trajectory[0]
    back = edit(toy, inversion, "a red circle", guidance_scale=1)
    moved = inversion.trajectory[-1] - clean
    assert float((back - clean).norm() / moved.norm()) < 0.2
