"""What ComfyUI's registry makes of the pack, and what its tools say about it."""

from __future__ import annotations

import ast
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from comfyui_server import find_comfyui
from registry import ROOT, TOOLS, missing


def needs(*tools: str) -> pytest.MarkDecorator:
    reason = missing(*tools)
    return pytest.mark.skipif(bool(reason), reason=reason)


def files(folder: Path) -> set[str]:
    """Names of all files below, relative to the folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@needs("comfy")
def test_templates_and_blueprints_are_packed_where_comfyui_looks(registry_pack: Path):
    folder = registry_pack / "example_workflows"
    assert folder.is_dir() and not folder.is_symlink()
    shown = (path for path in (ROOT / "examples_workflows").iterdir() if path.is_file())
    wanted = {path.name for path in shown if path.suffix in (".json", ".jpg")}
    assert wanted and wanted <= files(folder)
    assert files(registry_pack / "subgraphs") == files(ROOT / "subgraphs") == {"Only there.json"}


@needs("comfy")
def test_a_release_leaves_out_what_only_developers_need(registry_pack: Path):
    tops = {name.split("/")[0] for name in files(registry_pack)}
    assert {"web", "miniature", "pipelines", "nodes", "cli", "requirements.txt"} <= tops
    assert not tops & {"tests", "benchmarks", ".ci", ".venv", "Makefile", "constraints-dev.txt"}
    assert (registry_pack / "miniature" / "weights" / "model_index.json").is_file()
    people = registry_pack / "pipelines" / "regions" / "tracking" / "data"
    assert (people / "selfie_segmentation_landscape.tflite").stat().st_size == 249_792
    assert (people / "LICENSE").is_file() and (people / "README.md").is_file()


@needs("comfy")
def test_nothing_that_is_packed_imports_what_is_not(registry_pack: Path):
    absent = [
        f"{name}: {module.as_posix()}"
        for name in sorted(files(registry_pack))
        if name.endswith(".py")
        for module in imported(registry_pack / name)
        if (ROOT / module).with_suffix(".py").is_file()
        and not (registry_pack / module).with_suffix(".py").is_file()
    ]
    assert absent == []


def imported(path: Path) -> Iterator[Path]:
    """What a file of a pack may import of the pack: modules, relative to the pack, no suffix."""
    pack = next(folder for folder in path.parents if folder.name == "evenframe")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = path.parents[node.level - 1].relative_to(pack)
            module = folder.joinpath(*(node.module or "").split("."))
            yield module
            yield from (module / alias.name for alias in node.names)


@needs("comfy", "comfy-test")
def test_sources_and_scripts_pass_the_lint_of_packs(registry_pack: Path):
    command = [TOOLS / "comfy-test", "lint", "--strict", registry_pack]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for part in ("SYNTAX", "JAVASCRIPT"):
        assert f"[{part}] PASSED" in done.stdout


@needs("comfy", "comfy-import-guard")
def test_what_is_imported_of_comfyui_exists_there(tmp_path: Path, registry_pack: Path):
    comfyui, reason = find_comfyui()
    if comfyui is None or not (comfyui / ".git").exists():
        pytest.skip(reason or f"{comfyui} is no git checkout")
    for folder in ("clone", "install/custom_nodes"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "clone" / "ComfyUI").symlink_to(comfyui)
    (tmp_path / "install" / "custom_nodes" / "evenframe").symlink_to(registry_pack)
    offline = ["--offline", "--json", "--quiet", "--cache-dir", tmp_path / "clone"]
    check = ["check", "--comfy-dir", tmp_path / "install", "--target", "HEAD", "--strict"]
    command = [TOOLS / "comfy-import-guard", *offline, *check]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    [pack] = json.loads(done.stdout)["packs"]
    assert pack["verdict"] == "SAFE" and pack["references"] > 20
