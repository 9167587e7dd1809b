"""Prompts, words and weights of any signs."""

from __future__ import annotations

from fuzz.cases import fuzzed, numbers, texts
from fuzz.probe import Probe
from hypothesis import given
from hypothesis import strategies as st

pieces = st.sampled_from(
    [
        *("a", "red", "circle", "left", "of", "(red:1.3)", "argente\u0301e", "\ud83d", "👩🏽‍⚕️"),
        *("BREAK", "<lora:x:1>", "embedding:y", "\u200d", "\u0301", "İ", "ß", "'s", "-", "\t"),
        *("\n", "[", "&"),
    ]
)
prompts = st.one_of(texts, st.lists(pieces, max_size=20).map(" ".join))
weights = st.one_of(
    texts,
    st.lists(st.tuples(st.one_of(pieces, texts), numbers), max_size=4).map(
        lambda pairs: ", ".join(f"{word}: {number}" for word, number in pairs)
    ),
)


@fuzzed(few=60)
@given(prompts, prompts, st.one_of(st.integers(0, 20), pieces, texts), weights)
def test_prompts_are_read_or_refused(probe: Probe, source, target, word, factors):
    if isinstance(word, int):  # one that is there
        words = target.split() or ["a"]
        word = words[word % len(words)]
    probe("prompt", (source, target, word, factors))
