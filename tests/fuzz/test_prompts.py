"""Prompts, words, weights, shares and presets of any signs."""

from __future__ import annotations

import typed
from fuzz.cases import fuzzed
from fuzz.probe import Probe
from hypothesis import given
from hypothesis import strategies as st


@fuzzed(few=60)
@given(typed.texts, typed.texts, st.one_of(st.integers(0, 20), typed.texts), typed.listed)
def test_prompts_are_read_or_refused(probe: Probe, source, target, word, factors):
    if isinstance(word, int):  # one that is there
        words = target.split() or ["a"]
        word = words[word % len(words)]
    probe("prompt", (source, target, word, factors))


@fuzzed(few=40)
@given(typed.listed)
def test_shares_are_read_or_refused(probe: Probe, text):
    probe("shares", text)


@fuzzed(few=40)
@given(typed.presets)
def test_a_wrong_preset_is_left_out(probe: Probe, text):
    probe("presets", text)
