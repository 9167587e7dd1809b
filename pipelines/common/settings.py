"""Settings that say once what they may be and what they do.

A frozen dataclass declares its fields with `setting` and calls `check` when it is made; a user
interface makes its inputs from the same declarations:

    @dataclass(frozen=True)
    class Blur:
        radius: float = setting(2.0, "Pixels. More blurs more.", within=(0, 64))

        def __post_init__(self) -> None:
            check(self)
"""

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from .checks import require_choice, require_range, require_whole

KEY = "setting"


@dataclass(frozen=True)
class Setting:
    """What a setting may be, and what it does.

    default: its value where none is given; MISSING where one must be.
    effect: what it is and what raising it does, for a user.
    within: the range of a number, both ends included; whole: that of a whole number, None for no
        end. step: by how much it is worth changing.
    choices: the values that there are.
    demand: a check of its own, called with name and value, in the place of range and choices;
        these then are what a user interface offers.
    told: its name in messages, where that is not the field's.
    read: makes a value of what a user types.
    stand_in: (number, value): what a field for numbers has where the setting has a value that such
        a field cannot have, as in (-1, None).
    ends: where the value is made of two numbers, such as a span: (name, effect) of each.
    """

    default: Any
    effect: str
    within: tuple[float, float] | None = None
    whole: tuple[int, int | None] | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    demand: Callable[[str, Any], None] | None = None
    told: str = ""
    read: Callable[[str], Any] | None = None
    stand_in: tuple[float, Any] | None = None
    ends: tuple[tuple[str, str], ...] = ()

    def require(self, name: str, value: Any) -> None:
        """Raise EvenframeError for a value that the setting may not have."""
        name = self.told or name
        if self.demand is not None:
            self.demand(name, value)
        elif self.choices:
            require_choice(name, value, self.choices)
        elif self.whole is not None:
            require_whole(name, value, *self.whole)
        elif self.within is not None:
            require_range(name, value, *self.within)


def setting(default: Any = MISSING, effect: str = "", **limits: Any) -> Any:
    """A field of a dataclass that is a setting. limits: as for `Setting`."""
    return field(default=default, metadata={KEY: Setting(default, effect, **limits)})


def declared(settings: type) -> dict[str, Setting]:
    """The settings of a dataclass, in their order."""
    return {one.name: one.metadata[KEY] for one in fields(settings) if KEY in one.metadata}


def check(settings: Any) -> None:
    """Raise EvenframeError for the first setting of a dataclass whose value it may not have.

    None passes where it is the default.
    """
    for name, one in declared(type(settings)).items():
        value = getattr(settings, name)
        if value is not None or one.default is not None:
            one.require(name, value)
