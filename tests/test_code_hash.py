"""Nothing that other code has computed is found again."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from whole_edit import edit_workflow, save_tiny_model

from evenframe import __main__ as cli
from evenframe.pipelines.common.code_hash import ENDINGS, FOLDERS, PACKAGE, code_hash, hash_folders
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.source import cache as inversion_cache
from evenframe.pipelines.source import file as inversion_file
from evenframe.pipelines.source.cache import InversionCache, find_or_invert
from evenframe.pipelines.source.inversion import Settings


def test_all_that_computes_is_covered_and_each_byte_counts(tmp_path: Path):
    for folder in FOLDERS:
        shutil.copytree(
            PACKAGE / folder,
            tmp_path / folder,
            ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"),
        )
    assert hash_folders(tmp_path, FOLDERS) == code_hash()
    covered = {path for path in tmp_path.rglob("*") if path.suffix in ENDINGS}
    others = {path.name for path in tmp_path.rglob("*") if path.is_file()} - {
        path.name for path in covered
    }
    assert others == {"LICENSE", "NOTICE", "README.md"}, "and the weights, whose hashes are covered"
    seen = {code_hash()}
    path = tmp_path
    for name in ("pipelines/editing.py", "nodes/edit.py", "pipelines/fairness/data/people.txt"):
        path = tmp_path / name
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        seen.add(hash_folders(tmp_path, FOLDERS))
    path.rename(path.with_stem("other"))
    seen.add(hash_folders(tmp_path, FOLDERS))
    assert len(seen) == 5


def test_an_inversion_of_other_code_is_not_found(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    cache, prompt = InversionCache(tmp_path, 10**9), model.text.encode("a shape")
    frames = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(5))

    def found() -> bool:
        return find_or_invert(cache, model, frames, prompt, Settings(1))[1]

    assert [found(), found()] == [False, True]
    (path,) = tmp_path.iterdir()
    monkeypatch.setattr(inversion_cache, "code_hash", lambda: "other")
    assert [found(), found()] == [False, True]
    assert inversion_file.load(path), "a file that was named by hand loads all the same"


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A command that edits the built-in clip with a model of a moment."""
    monkeypatch.setenv("EVENFRAME_CACHE", str(tmp_path / "cache"))
    save_tiny_model(tmp_path / "models" / "tiny")
    (tmp_path / "edit.json").write_text(json.dumps(edit_workflow(steps=1)))
    folders = ["--models", str(tmp_path / "models"), "--output", str(tmp_path / "output")]
    return ["run", str(tmp_path / "edit.json"), *folders]


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """This package with another sign in the formula of guidance."""
    folder = tmp_path / "elsewhere" / "evenframe_broken"
    ignored = shutil.ignore_patterns("__pycache__", "*.safetensors")
    for name in (*FOLDERS, "batch", "cli"):
        shutil.copytree(PACKAGE / name, folder / name, ignore=ignored)
    for name in ("__init__.py", "__main__.py", "versions.py"):
        shutil.copy(PACKAGE / name, folder)
    guidance = folder / "pipelines" / "models" / "guidance.py"
    text, right = guidance.read_text(encoding="utf-8"), "negative + scale * (target"
    assert right in text
    guidance.write_text(text.replace(right, "negative - scale * (target"), encoding="utf-8")
    monkeypatch.syspath_prepend(folder.parent)
    yield importlib.import_module("evenframe_broken.__main__")
    for name in [name for name in sys.modules if name.startswith("evenframe_broken")]:
        del sys.modules[name]


def test_broken_guidance_never_gives_the_old_video(
    command: list[str], broken: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    def ran(program: ModuleType, *options: str) -> str:
        assert program.main([*command, *options]) == 0
        return capsys.readouterr().err

    def kept() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")}

    found, inverted = "EvenframeEdit (unchanged)", "Inverting"
    told = ran(cli)
    assert found not in told and inverted in told
    told = ran(cli)
    assert found in told and inverted not in told
    before = kept()
    told = ran(cli, "--no-cache")
    assert found not in told and inverted in told and kept() == before
    told = ran(broken)
    assert found not in told and inverted in told
    first, again, anew, other = (path.read_bytes() for path in sorted(tmp_path.rglob("*.mp4")))
    assert first == again == anew != other
