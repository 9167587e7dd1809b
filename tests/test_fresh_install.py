"""What ComfyUI users install is enough: nothing else of a developer's environment is needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from comfyui_server import ROOT, ComfyServer, find_comfyui

from example_workflows import api_examples, check_video, light, provide_files, runs_anywhere

# Runs a workflow in a process that finds no package but those that requirements.txt brings, with
# what they require themselves, and the host's own three.
ALONE = """
import sys
from importlib import metadata
from importlib.machinery import PathFinder
from packaging.requirements import Requirement

def brought(names):
    found, left = set(), list(names)
    while left:
        name = left.pop().lower().replace("_", "-")
        if name in found:
            continue
        found.add(name)
        for line in metadata.requires(name) or ():
            wanted = Requirement(line)
            if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                left.append(wanted.name)
    return found

class Installed(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name in hidden else super().find_spec(name, path, target)

lines = open(sys.argv[1], encoding="utf-8").read().splitlines()
wanted = [Requirement(line).name for line in lines if line and not line.startswith("#")]
owners = metadata.packages_distributions()
if "opencv-python" in wanted:  # any build serves
    wanted.remove("opencv-python")
    wanted.append(owners["cv2"][0])
known = brought([*wanted, "torch", "torchvision", "numpy"]) | {"evenframe"}
hidden = {
    module
    for module, names in owners.items()
    if not known & {name.lower().replace("_", "-") for name in names}
}
assert {"pytest", "hypothesis"} <= hidden
sys.meta_path = [Installed if one is PathFinder else one for one in sys.meta_path]

from evenframe.__main__ import main
from evenframe.pipelines.regions.tracking import packages
faults = [told for told in map(packages.fault, packages.NEEDS) if told]
assert not faults, faults
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.slow
def test_a_tracked_region_is_edited_with_what_requirements_bring(tmp_path: Path):
    workflow = tmp_path / "tracked.json"
    graph = light(ROOT / "examples_workflows" / "api" / "ReAtCo tracked object.json")
    workflow.write_text(json.dumps(graph))
    arguments = ["run", str(workflow), "--output", str(tmp_path / "output")]
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(ROOT / "requirements.txt"), *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"EVENFRAME_CACHE": str(tmp_path / "cache")},
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert len(list((tmp_path / "output").rglob("*.mp4"))) == 2


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory, served_pack: Path) -> Iterator[ComfyServer]:
    """A server in an environment that holds ComfyUI's requirements and ours alone."""
    comfyui, reason = find_comfyui()
    if comfyui is None:
        pytest.skip(reason)
    python = Path(os.environ["EVENFRAME_FRESH"]).absolute() / "bin" / "python"
    base = tmp_path_factory.mktemp("fresh")
    with ComfyServer(comfyui, base, {"evenframe": served_pack}, python).running() as server:
        yield server


@pytest.mark.slow
@pytest.mark.skipif(
    "EVENFRAME_FRESH" not in os.environ, reason="minutes and 7 GB: run `make fresh`"
)
@pytest.mark.parametrize(
    "path", [path for path in api_examples() if runs_anywhere(path)], ids=lambda path: path.stem
)
def test_a_recipe_runs_in_a_fresh_installation(fresh: ComfyServer, path: Path):
    graph = light(path)
    provide_files(graph, fresh.base / "input", fresh.base / "output")
    run = fresh.run(graph)
    assert run.outcome == "execution_success", run.of("execution_error")
    videos = [file for file in fresh.files(run) if file.suffix == ".mp4"]
    assert videos
    for video in videos:
        check_video(video, graph)
