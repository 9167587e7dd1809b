"""The package as it is installed, shipped and imported."""

from __future__ import annotations

import ast
import json
import re
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import evenframe

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DEPENDENCIES = PROJECT["project"]["dependencies"]

IMPORT = """
import json, sys, time
import torch
start = time.process_time()
import evenframe
from evenframe.nodes import node_classes
names = [cls.GET_SCHEMA().node_id for cls in node_classes()]
seconds = time.process_time() - start
heavy = [name for name in ("diffusers", "transformers", "torchvision", "cv2", "av", "comfy")
         if name in sys.modules]
print(json.dumps({"seconds": seconds, "heavy": heavy, "names": names}))
"""


def import_once() -> dict:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True, cwd=ROOT.parent
    )
    return json.loads(done.stdout)


def test_importing_the_nodes_is_fast_and_loads_nothing_heavy():
    runs = [import_once() for _ in range(5)]
    assert runs[0]["heavy"] == []
    assert statistics.median(run["seconds"] for run in runs) < 0.5


def test_node_ids_are_the_packs_own():
    names = import_once()["names"]
    assert all(name.startswith("Evenframe") for name in names)
    assert len(set(names)) == len(names)


def test_every_folder_of_modules_is_packed():
    packed = set(PROJECT["tool"]["setuptools"]["packages"])
    skipped = {"tests", "build", "dist", "output"}
    found = {
        ".".join(["evenframe", *init.parent.relative_to(ROOT).parts])
        for init in ROOT.rglob("__init__.py")
        if not any(part in skipped or part.startswith(".") for part in init.relative_to(ROOT).parts)
    }
    assert packed == found


def test_every_pattern_of_data_packs_something():
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["evenframe"]
    assert [pattern for pattern in patterns if not any(ROOT.glob(pattern))] == []


def test_versions_agree():
    assert PROJECT["project"]["version"] == evenframe.__version__


def test_comfyui_users_install_nothing_that_the_host_owns():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    wanted = {line for line in lines if line and not line.startswith("#")}
    hosts = {"torch", "torchvision", "numpy"}
    assert not {named(line) for line in wanted} & (hosts | {"torchaudio"})
    assert not [line for line in wanted if "==" in line or "<" in line]
    # The same for a plain installation, but for the build of OpenCV: see pyproject.toml.
    assert {"opencv-python", "segment-anything"} <= wanted
    plain = {re.sub("^opencv-python-headless$", "opencv-python", line) for line in DEPENDENCIES}
    assert plain == wanted | hosts


def named(requirement: str) -> str:
    """The name of a package that is required, as in `av>=16.0.0`."""
    return re.split(r"[<>=!~ \[]", requirement)[0].lower()


def test_what_the_code_imports_is_required():
    modules = {"pillow": "PIL", "opencv-python-headless": "cv2"}
    names = map(named, DEPENDENCIES)
    required = {modules.get(name, name.replace("-", "_")) for name in names}
    hosts = {"comfy", "comfy_api", "comfy_execution", "folder_paths", "nodes", "server", "aiohttp"}
    clusters = {named(line) for line in PROJECT["project"]["optional-dependencies"]["cluster"]}
    known = set(sys.stdlib_module_names) | required | hosts | clusters
    unknown = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in source_files()
        for name in imported(path)
        if name not in known
    }
    assert unknown == set()


def imported(path: Path) -> set[str]:
    """The packages that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).split(".")[0])
    return found


def test_the_registry_finds_what_it_asks_for():
    assert PROJECT["project"]["name"] == "evenframe"
    assert PROJECT["tool"]["comfy"]["DisplayName"] == "Evenframe"
    assert "web" not in PROJECT["tool"]["comfy"], "WEB_DIRECTORY already says it"
    assert PROJECT["tool"]["comfy"]["includes"] == ["example_workflows"], "or it is packed empty"
    assert evenframe.WEB_DIRECTORY == "./web"
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert not hasattr(evenframe, "NODE_CLASS_MAPPINGS"), "it would hide comfy_entrypoint"


def test_editor_templates_are_where_comfyui_looks():
    link = ROOT / "example_workflows"
    assert link.is_symlink() and not link.readlink().is_absolute()
    assert link.resolve() == ROOT / "examples_workflows"


FORBIDDEN_IMPORTS = {"marshal", "shelve", "evenframe", "subprocess", "pip"}


def source_files() -> list[Path]:
    folders = ("batch", "cli", "nodes", "pipelines", "miniature")
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def test_the_pipelines_know_neither_the_host_nor_the_miniature():
    """Wherever in a file: what they need of those is handed to them."""
    known = {
        f"{path.relative_to(ROOT)}: {module}"
        for path in (ROOT / "pipelines").rglob("*.py")
        for module in relative_imports(path)
        if module.split(".")[0] != "pipelines"
    }
    assert known == set()


def relative_imports(path: Path) -> set[str]:
    """The modules of this package that a file imports from, by their full names."""
    here = path.relative_to(ROOT).parts[:-1]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = here[: len(here) - node.level + 1]
            names = [node.module] if node.module else [alias.name for alias in node.names]
            found |= {".".join((*folder, name)) for name in names}
    return found


@pytest.mark.parametrize("path", source_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_source_can_be_shown_on_every_windows(path: Path):
    path.read_text(encoding="utf-8").encode("cp1252")


@pytest.mark.parametrize("path", source_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_rules_of_the_house_hold(path: Path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("eval", "exec", "__import__"), f"line {node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            called = ast.unparse(node.func)
            assert called not in ("pickle.load", "pickle.loads"), f"line {node.lineno}"
            safe = any(word.arg == "weights_only" for word in node.keywords)
            assert called != "torch.load" or safe, f"line {node.lineno}: weights_only=True"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: a bare except"
        if isinstance(node, ast.Import | ast.ImportFrom):
            imported = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                imported = [] if node.level else [node.module or ""]
            forbidden = FORBIDDEN_IMPORTS & {name.split(".")[0] for name in imported}
            # Training starts its own parts one after the other; nodes and pipelines start nothing.
            assert not forbidden - ({"subprocess"} if "miniature" in path.parts else set())


BENCHES = [p for p in (ROOT / "benchmarks").glob("*.py") if "\ndef run(" in p.read_text("utf-8")]


@pytest.mark.parametrize("path", sorted(BENCHES), ids=lambda path: path.stem)
def test_a_bench_runs_as_a_module_too(path: Path):
    foot = 'if __name__ == "__main__":\n    main(__file__)\n'
    assert path.read_text("utf-8").endswith("\n\n\n" + foot)


FAULTS = tomllib.loads((ROOT / "tests" / "mutants.toml").read_text(encoding="utf-8"))["mutant"]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault["breaks"])
def test_a_listed_fault_fits_the_code(fault: dict[str, str]):
    """`make mutants` tries it; where its text is not there, it would show nothing."""
    assert (ROOT / fault["file"]).read_text(encoding="utf-8").count(fault["old"]) == 1
