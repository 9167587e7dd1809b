"""The packages that tracking stands on: whether they work here, and the line that mends them."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from importlib import import_module

from ...common.errors import EvenframeError


@dataclass(frozen=True)
class Need:
    """A part of tracking and the package that it needs.

    title: what users know the package by. attribute: what tells a whole installation from the
    empty folder that one build leaves when another is uninstalled, with dots where it lies deeper.
    package: what is installed where there is none; repair: what is put over a build that does not
    work.
    """

    name: str
    title: str
    module: str
    attribute: str
    package: str
    repair: str
    otherwise: str


OPTICAL_FLOW = Need(
    "Optical flow",
    "OpenCV",
    "cv2",
    "DISOpticalFlow",  # every build has it: plain, headless, contrib
    package="opencv-python",
    repair="opencv-python-headless",  # a build for screens wants libraries that servers lack
    otherwise="choose SAM 2 as the tracker",
)
PERSON = replace(
    OPTICAL_FLOW,
    name="Finding people",
    attribute="dnn.readNetFromTFLite",
    otherwise="choose another tracker",
)
SAM = Need(
    "SAM 1",
    "the package segment-anything",
    "segment_anything",
    "SamPredictor",
    package="segment-anything",
    repair="segment-anything",
    otherwise="choose no segmenter",
)
NEEDS = (OPTICAL_FLOW, PERSON, SAM)


def fault(part: Need) -> str | None:
    """What is missing for a part, with the command that mends it; None where nothing is."""
    try:
        module = import_module(part.module)
    except ModuleNotFoundError as error:
        if error.name in (None, part.module):
            return _told(part, "which is not installed", f"install {part.package}")
        # What it stands on itself, as torchvision: its own package does not say so.
        wanted = str(error.name).partition(".")[0]
        return _told(part, f"which needs {wanted}, which is not installed", f"install {wanted}")
    except (ImportError, AttributeError, RuntimeError, OSError, SystemError) as error:
        # Two builds of OpenCV in one place end in an AttributeError, one for another NumPy in any.
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        problem = f"which is installed but cannot be loaded ({reason})"
    else:
        if has(module, part.attribute):
            return None
        problem = f"of which only a part is installed ({part.attribute} is missing)"
    return _told(part, problem, f"install --force-reinstall --no-deps {part.repair}")


def has(module: object, attribute: str) -> bool:
    """Whether a module has an attribute, or one of an attribute, as in "dnn.Net"."""
    for name in attribute.split("."):
        module = getattr(module, name, None)
    return module is not None


def require(part: Need) -> None:
    """Raise EvenframeError where the package of a part is missing or does not work."""
    if told := fault(part):
        raise EvenframeError(f"{told}, or {part.otherwise}.")


def _told(part: Need, problem: str, command: str) -> str:
    python = f'"{sys.executable}"' if " " in sys.executable else sys.executable
    return f"{part.name} needs {part.title}, {problem}: run `{python} -m pip {command}`"
