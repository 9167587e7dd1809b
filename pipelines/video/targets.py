"""Sizes and lengths of video editors, by name: `targets.json`."""

import json
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from math import prod
from pathlib import Path

from ..common.errors import EvenframeError
from .lengths import ANY, Length
from .rate import as_rate
from .sizes import Fitting, Size
from .timing import Choice

OWN = "own"
"""The name of the target that asks for nothing."""


@dataclass(frozen=True)
class Target:
    """What an editor takes.

    size: (width, height) whose pixel area its clips have, whatever their proportions; None for any.
    multiple: both sides are multiples of it. length: the numbers of frames.
    frame_rate: at which its clips play; None for any.
    """

    name: str = OWN
    size: Size | None = None
    multiple: int = 1
    length: Length = ANY
    frame_rate: Fraction | None = None

    def choice(self, choice: Choice, length: Length = ANY) -> Choice:
        """The same frames, in a number that the editor takes; where it takes any, in one that is
        asked for. The `ending` asked for holds for both."""
        own = length if self.length.any else self.length
        return replace(choice, length=replace(own, ending=length.ending))

    def fitting(self, fitting: Fitting) -> Fitting:
        """The size that is asked for, as the editor takes it.

        A width or height that is given stays, and must be a multiple of the editor's, too. Where
        none is, the pixel area decides, and `max_side` does not. The larger multiple holds.
        """
        area = {} if self.size is None else {"max_side": 0, "pixels": prod(self.size)}
        return replace(fitting, multiple=max(fitting.multiple, self.multiple), **area)

    def remark(self, frame_rate: Fraction) -> str:
        """What to know where a clip plays at another rate than the editor's clips; else ""."""
        if self.frame_rate in (None, frame_rate):
            return ""
        own, other = float(self.frame_rate or 0), float(frame_rate)
        return (
            f"{self.name} makes clips of {own:g} frames a second, and this one has {other:.4g}: "
            f"set frame_rate to {own:g} where its motion shall look natural to the model."
        )


@cache
def targets() -> tuple[Target, ...]:
    """All of them, "own" first."""
    table = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return (Target(), *(_read(fields) for fields in table["targets"]))


def target(name: str) -> Target:
    """The target of that name. Raises EvenframeError, with those that there are."""
    named = {target.name: target for target in targets()}
    if name not in named:
        raise EvenframeError(f"target is '{name:.80}': choose one of {', '.join(named)}.")
    return named[name]


def _read(fields: dict) -> Target:
    (wide, high), rate = fields["size"], fields.get("frame_rate")
    length = Length(*fields.get("length", ()))
    return Target(fields["name"], (wide, high), fields["multiple"], length, rate and as_rate(rate))
