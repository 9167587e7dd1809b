"""The configuration of a model's part, checked before anything is made by it.

The libraries check little of one: a configuration that is damaged fails when the model computes, or
makes a thousand blocks. So it must be of the kind that the libraries' own defaults are.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...common.errors import EvenframeError
from .folder_files import AGAIN

Config = Mapping[str, Any]

MAX_NUMBER = 1_000_000


@dataclass(frozen=True)
class Allowed:
    """What a configuration may have.

    defaults: what is read of it, with the library's own values. ranges: of numbers that count what
    is made, or of which not all can be used. numbers: what is a whole number though its default is
    none. either: one number for all levels, or a list of one for each. longest: of a list.
    """

    defaults: Config
    ranges: Mapping[str, tuple[float, float]]
    numbers: frozenset[str] = field(default=frozenset())
    either: frozenset[str] = field(default=frozenset())
    longest: int = 16

    def read(self, part: str, config: Config) -> dict[str, Any]:
        """What is read of a configuration. Raises EvenframeError with the part, the name and the
        value of what cannot be used."""
        used = {key: value for key, value in config.items() if key in self.defaults}
        for key, value in used.items():
            self._check(part, key, value, self.defaults[key])
        return used

    def _check(self, part: str, key: str, value: Any, default: Any) -> None:
        if value is None or value == default:
            if value is None and key in self.ranges:
                raise refusal(part, key, value, "a number is needed")
            return
        values = value if isinstance(value, list) else [value]
        if len(values) > self.longest:
            raise refusal(part, key, values, f"at most {self.longest} entries are read")
        several = isinstance(default, tuple | list)
        kind = 1 if key in self.numbers else next(iter(default), 0.0) if several else default
        if isinstance(value, list) and not several and key not in self.either:
            raise refusal(part, key, value, f"one value, such as {default!r}, is needed")
        for each in values:
            self._check_one(part, key, each, kind)

    def _check_one(self, part: str, key: str, value: Any, kind: Any) -> None:
        if isinstance(kind, bool | str) or kind is None:
            if type(value) is not type(kind):
                raise refusal(part, key, value, f"{kind!r} or its like is needed")
            return
        low, high = self.ranges.get(key, (0, MAX_NUMBER))
        wanted = (int,) if isinstance(kind, int) else (int, float)
        if type(value) not in wanted or not math.isfinite(value) or not low <= value <= high:
            raise refusal(part, key, value, f"a number from {low:g} to {high:g} is needed")


def defaults_of(model: type) -> Config:
    """The parameters that a module is made with, and the library's values of them."""
    parameters = inspect.signature(model.__init__).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not each.empty}


def refusal(part: str, key: str, value: Any, needed: str) -> EvenframeError:
    """What to say of a value that cannot be used."""
    return EvenframeError(
        f"'{part}/config.json' has {value!r:.60} as its '{key}', where {needed}: {AGAIN}."
    )
