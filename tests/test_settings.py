"""Settings that are declared once: what checks them, and what a node makes of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest

from evenframe.nodes.common.inputs import input_of, inputs_of, settings_of
from evenframe.nodes.host import schema as io
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.common.settings import check, setting
from evenframe.pipelines.controls.span import Span, span_setting
from evenframe.pipelines.text.prompt import parse_phrases

HALF = Span(0.0, 0.5)


def require_even(name: str, value: Any) -> None:
    if value % 2:
        raise EvenframeError(f"{name} is {value}: choose an even number.")


@dataclass(frozen=True)
class Blur:
    """One setting of each kind."""

    radius: float = setting(2.0, "Pixels.", within=(0, 64), step=0.5)
    kind: str = setting("box", "Its shape.", choices=("box", "round"), told="kind of blur")
    turns: int = setting(1, "How often.", whole=(1, 9))
    limit: float | None = setting(None, "The most.", within=(0, 1))
    cells: int = setting(2, "Cells.", whole=(0, 8), demand=require_even)
    words: tuple[str, ...] = setting((), "What is blurred.", read=parse_phrases)
    soft: bool = setting(True, "Softly.")
    when: Span = span_setting(HALF, blur_start="Its start.", blur_end="Its end.")
    other: int = 0

    def __post_init__(self) -> None:
        check(self)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"radius": 65}, "radius is 65: choose a value from 0 to 64."),
        ({"radius": "2"}, "radius is '2': choose a value from 0 to 64."),
        ({"radius": float("nan")}, "radius is nan: choose a value from 0 to 64."),
        ({"radius": None}, "radius is None: choose a value from 0 to 64."),
        ({"kind": "star"}, "kind of blur 'star' is unknown: use box, round."),
        ({"turns": 1.5}, "turns is 1.5: choose a whole number from 1 to 9."),
        ({"limit": 2.0}, "limit is 2.0: choose a value from 0 to 1."),
        ({"cells": 3}, "cells is 3: choose an even number."),
        ({"when": (0, 1)}, "when is (0, 1): give a span, as in Span(0.0, 0.5)."),
    ],
)
def test_a_setting_is_checked_as_it_is_declared(wrong: dict[str, Any], told: str):
    with pytest.raises(EvenframeError) as caught:
        Blur(**wrong)
    assert str(caught.value) == told


def test_none_passes_where_it_is_the_default_and_a_demand_stands_for_the_range():
    assert Blur(limit=None, cells=100).cells == 100


def test_inputs_have_the_range_default_and_effect_of_their_settings():
    radius, kind, turns, words, soft = inputs_of(Blur, "radius", "kind", "turns", "words", "soft")
    number = {"default": 2.0, "min": 0.0, "max": 64.0, "step": 0.5, "tooltip": "Pixels."}
    assert radius == io.Float.Input("radius", **number)
    options: dict[str, Any] = {"options": ["box", "round"], "default": "box"}
    assert kind == io.Combo.Input("kind", **options, tooltip="Its shape.")
    assert turns == io.Int.Input("turns", default=1, min=1, max=9, tooltip="How often.")
    assert words == io.String.Input("words", default="", tooltip="What is blurred.")
    assert soft == io.Boolean.Input("soft", default=True, tooltip="Softly.")


def test_a_node_names_an_input_and_widens_it_where_it_has_to():
    [limit] = inputs_of(Blur, "limit", optional=True, advanced=True, default=0.5)
    assert (limit.optional, limit.advanced) == (True, True)
    given = input_of(Blur, "limit", "most", default=-1.0, min=-1.0)
    assert given == io.Float.Input(
        "most", default=-1.0, min=-1.0, max=1.0, step=0.05, tooltip="The most."
    )


@dataclass(frozen=True)
class Fading:
    """Settings with a value that a field for numbers cannot have."""

    seed: int | None = setting(None, "None: none.", whole=(0, 9), stand_in=(-1, None))
    decay: float = setting(4.0, "Frames; inf is for ever.", within=(0, 99), stand_in=(0, math.inf))


def test_a_number_stands_in_for_what_is_no_number():
    seed, decay = inputs_of(Fading, "seed", "decay")
    stays: dict[str, Any] = {"tooltip": "-1: none.", "control_after_generate": False}
    assert seed == io.Int.Input("seed", default=-1, min=-1, max=9, **stays)
    assert decay == io.Float.Input(
        "decay", default=4.0, min=0.0, max=99.0, step=0.05, tooltip="Frames; 0 is for ever."
    )
    assert settings_of(Fading, {"seed": -1, "decay": 0.0}) == Fading(None, math.inf)
    assert settings_of(Fading, {"seed": 0, "decay": 1.0}) == Fading(0, 1.0)


def test_what_is_below_a_number_that_stands_in_below_the_range_means_the_same():
    assert settings_of(Fading, {"seed": -7}).seed is None
    assert settings_of(Fading, {"decay": -7.0}).decay == -7.0


def test_a_span_has_an_input_for_each_end():
    start, end = inputs_of(Blur, "when")
    share: dict[str, Any] = {"min": 0.0, "max": 1.0, "step": 0.05}
    assert start == io.Float.Input("blur_start", default=0.0, tooltip="Its start.", **share)
    assert end == io.Float.Input("blur_end", default=0.5, tooltip="Its end.", **share)


def test_values_of_inputs_become_settings():
    assert settings_of(Blur, {}) == Blur()
    values = {"radius": 3.0, "words": "a dog, cat", "blur_start": 0.2, "blur_end": 0.4, "other": 1}
    expected = Blur(radius=3.0, words=("a dog", "cat"), when=Span(0.2, 0.4), other=1)
    assert settings_of(Blur, values) == expected
    assert settings_of(Blur, {"blur_end": 0.4}).when == Span(0.0, 0.4)
