"""Workflows in which anything may stand."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from fuzz.cases import fuzzed, replaced, replacements, texts, values
from fuzz.probe import Probe
from hypothesis import given
from hypothesis import strategies as st

RECIPES = sorted((Path(__file__).parents[2] / "examples_workflows" / "api").glob("*.json"))


@cache
def recipe(path: Path) -> object:
    return json.loads(path.read_text(encoding="utf-8"))


changed = st.builds(
    lambda path, changes: json.dumps(replaced(recipe(path), changes)),
    st.sampled_from(RECIPES),
    replacements,
)
odd = st.one_of(
    texts, values.map(json.dumps), st.integers(1, 20_000).map(lambda depth: '{"1":' * depth)
)


@fuzzed(few=60)
@given(st.one_of(changed, changed, odd))
def test_workflows_are_checked_or_refused(probe: Probe, text: str):
    probe("workflow", text)
