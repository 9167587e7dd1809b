"""A node's inputs from the settings that they are for, and the settings from their values.

Names, ranges, choices, defaults and tooltips stand where the settings are declared, see
`pipelines/common/settings.py`; a node adds only what is its own: order, and which inputs are
optional or advanced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar, cast

from ...pipelines.common.settings import Setting, declared
from ..host import io

Settings = TypeVar("Settings")
SHARE_STEP = 0.05
CHANGED = ("seed", "noise_seed")
"""What ComfyUI's editor changes after every run, unless it is told not to."""


def inputs_of(settings: type, *names: str, **given: Any) -> list[io.Input]:
    """The inputs of some settings of a dataclass; one that has two ends gives an input for each.

    given: what all of them get beside, such as `advanced=True`.
    """
    return [
        _input(id, one, **given)
        for name in names
        for id, one in _parts(name, declared(settings)[name])
    ]


def _parts(name: str, setting: Setting) -> list[tuple[str, Setting]]:
    """What has an input: the setting, or each of its two ends."""
    if not setting.ends:
        return [(name, setting)]
    parts = zip(setting.ends, declared(type(setting.default)).items(), strict=True)
    return [
        (end, replace(one, default=getattr(setting.default, part), effect=effect))
        for (end, effect), (part, one) in parts
    ]


def input_of(settings: type, name: str, id: str = "", **given: Any) -> io.Input:
    """The input of one setting. id: its own name, if it has another. given: replaces what the
    setting declares, such as `default`, `min` or `tooltip`; `options` make it a list."""
    return _input(id or name, declared(settings)[name], **given)


def _input(id: str, setting: Setting, **given: Any) -> io.Input:
    default, effect = setting.default, setting.effect
    low, high = setting.whole or setting.within or (None, None)
    if setting.stand_in is not None and low is not None:
        number, value = setting.stand_in
        effect = effect.replace(str(value), f"{number:g}")
        default, low = number if default == value else default, min(low, number)
    given = {"default": default, "tooltip": effect, **given}
    if setting.choices or "options" in given:
        return io.Combo.Input(id, **{"options": list(setting.choices), **given})
    if isinstance(default, bool):
        return io.Boolean.Input(id, **given)
    if low is None:
        return io.String.Input(id, **{**given, "default": given["default"] or ""})
    if setting.whole is not None:
        stays = {"control_after_generate": False} if id in CHANGED else {}
        return io.Int.Input(id, **{"min": low, "max": high, **stays, **given})
    ends = {"min": float(low), "max": float(cast(float, high))}
    given = {**ends, "step": setting.step or SHARE_STEP, **given}
    return io.Float.Input(id, **{**given, "default": float(given["default"])})


def settings_of(settings: type[Settings], values: Mapping[str, Any]) -> Settings:
    """The settings from the values of their inputs: what is typed is read, two ends become one."""
    values = dict(values)
    for name, setting in declared(settings).items():
        if setting.ends:
            parts = zip(setting.ends, declared(type(setting.default)), strict=True)
            given = {part: values.pop(end) for (end, _), part in parts if end in values}
            if given:
                values[name] = replace(setting.default, **given)
        elif name in values:
            values[name] = _value(setting, values[name])
    return settings(**values)


def _value(setting: Setting, given: Any) -> Any:
    if setting.read is not None:
        return setting.read(given)
    if setting.stand_in is None:
        return given
    number, value = setting.stand_in
    low, _ = setting.whole or setting.within or (number, None)
    return value if given == number or number < low > given else given
