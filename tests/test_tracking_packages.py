"""The packages that tracking stands on: missing, broken, or of any build."""

from __future__ import annotations

import re
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from evenframe.__main__ import main
from evenframe.nodes import node_classes
from evenframe.nodes.host import host, workflow
from evenframe.nodes.host.executor import Executor
from evenframe.nodes.host.standalone import Session, StandaloneHost
from evenframe.nodes.tracking import FLOW, NO_SEGMENTER, EvenframeTrackRegion
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.regions.tracking import packages

PIP = f"{re.escape(sys.executable)} -m pip install"


class Fails:
    """A finder by which the import of a module raises an error."""

    def __init__(self, name: str, error: Exception) -> None:
        self.name, self.error = name, error

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        if name == self.name:
            raise self.error
        return None


def fails(patch: pytest.MonkeyPatch, part: packages.Need, error: Exception) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == part.module]:
        patch.delitem(sys.modules, name)
    patch.setattr(sys, "meta_path", [Fails(part.module, error), *sys.meta_path])


@pytest.mark.parametrize("part", packages.NEEDS, ids=lambda part: part.name)
def test_what_is_whole_has_no_fault(part: packages.Need):
    pytest.importorskip(part.module)
    assert packages.fault(part) is None
    packages.require(part)


def test_any_build_of_opencv_serves(monkeypatch: pytest.MonkeyPatch):
    build = ModuleType("cv2")
    monkeypatch.setattr(build, "DISOpticalFlow", object, raising=False)
    monkeypatch.setitem(sys.modules, "cv2", build)
    assert packages.fault(packages.OPTICAL_FLOW) is None, "whatever package it came from"


@pytest.mark.parametrize(
    ("part", "error", "told"),
    [
        (
            packages.OPTICAL_FLOW,
            ModuleNotFoundError("No module named 'cv2'", name="cv2"),
            f"Optical flow needs OpenCV, which is not installed: run `{PIP} opencv-python`, or "
            "choose SAM 2 as the tracker.",
        ),
        (
            packages.OPTICAL_FLOW,
            ImportError("libGL.so.1: cannot open shared object file\nand more"),
            r"Optical flow needs OpenCV, which is installed but cannot be loaded \(libGL.so.1: "
            rf"cannot open shared object file\): run `{PIP} --force-reinstall --no-deps "
            "opencv-python-headless`, or choose SAM 2 as the tracker.",
        ),
        (
            packages.OPTICAL_FLOW,
            AttributeError("module 'cv2.dnn' has no attribute 'DictValue'"),
            r"Optical flow needs OpenCV, which is installed but cannot be loaded \(module "
            rf"'cv2.dnn' has no attribute 'DictValue'\): run `{PIP} --force-reinstall --no-deps "
            "opencv-python-headless`, or choose SAM 2 as the tracker.",
        ),
        (
            packages.SAM,
            ModuleNotFoundError("No module named 'segment_anything'", name="segment_anything"),
            "SAM 1 needs the package segment-anything, which is not installed: run "
            f"`{PIP} segment-anything`, or choose no segmenter.",
        ),
        (
            packages.SAM,
            ModuleNotFoundError("No module named 'torchvision.ops'", name="torchvision.ops"),
            "SAM 1 needs the package segment-anything, which needs torchvision, which is not "
            f"installed: run `{PIP} torchvision`, or choose no segmenter.",
        ),
        (
            packages.SAM,
            RuntimeError("operator torchvision::nms does not exist"),
            r"SAM 1 needs the package segment-anything, which is installed but cannot be loaded "
            r"\(operator torchvision::nms does not exist\): run .*, or choose no segmenter.",
        ),
    ],
)
def test_a_fault_is_told_with_the_line_that_mends_it(
    monkeypatch: pytest.MonkeyPatch, part: packages.Need, error: Exception, told: str
):
    fails(monkeypatch, part, error)
    with pytest.raises(EvenframeError, match=f"^{told}$"):
        packages.require(part)


def test_what_an_uninstalled_build_leaves_is_not_taken_for_opencv(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "cv2", ModuleType("cv2"))
    told = packages.fault(packages.OPTICAL_FLOW)
    assert told and "only a part is installed (DISOpticalFlow is missing)" in told
    assert told.endswith("--force-reinstall --no-deps opencv-python-headless`")


def test_a_path_with_spaces_is_quoted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "executable", r"C:\Program Files\python.exe")
    monkeypatch.setitem(sys.modules, "cv2", None)
    told = packages.fault(packages.OPTICAL_FLOW)
    assert told and r'`"C:\Program Files\python.exe" -m pip install opencv-python`' in told


def test_models_names_each_package_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["models", "--models", str(tmp_path)]) == 0
    assert "needs" not in capsys.readouterr().out
    for part in packages.NEEDS:
        monkeypatch.setitem(sys.modules, part.module, None)
    assert main(["models", "--models", str(tmp_path)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split(" needs ")[0] for line in told[-3:]] == [
        "Optical flow",
        "Finding people",
        "SAM 1",
    ]


def test_the_node_tells_before_anything_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    inputs = {"frames": ["clip", 0], "text": '{"version": 1, "box": [0.1, 0.1, 0.5, 0.5]}'}
    chosen = {"segmenter": NO_SEGMENTER, "tracker": FLOW, "grow": 0, "soften": 0}
    named = {"name": "thing", "words": ""}
    graph = {
        "clip": {"class_type": "EvenframeDemoClip", "inputs": {"max_frames": 2}},
        "track": {"class_type": "EvenframeTrackRegion", "inputs": inputs | chosen | named},
        "compare": {
            "class_type": "EvenframeSaveVideo",
            "inputs": {
                "frames": ["track", 2],
                "filename_prefix": "a",
                "format": "gif",
                "frame_rate": 8,
                "undo_fit": True,
                "crf": -1,
            },
        },
    }
    assert isinstance(host, StandaloneHost)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with host.using(Session(output=tmp_path)):
        executor = Executor(host, node_classes())
        with pytest.raises(EvenframeError, match="Optical flow needs OpenCV") as told:
            executor.check(workflow.parse(graph))
    assert "EvenframeTrackRegion" in str(told.value)


def test_a_linked_choice_is_not_known_yet_and_an_unknown_one_is_refused(tmp_path: Path):
    assert isinstance(host, StandaloneHost)
    with host.using(Session(models=(tmp_path,))):
        assert EvenframeTrackRegion.validate_inputs(None, None) is True
        for chosen in (("missing.pth", FLOW), (NO_SEGMENTER, "missing")):
            assert "No model 'missing" in str(EvenframeTrackRegion.validate_inputs(*chosen))
