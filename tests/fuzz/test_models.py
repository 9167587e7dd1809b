"""Checkpoints, model folders and inversions that came to harm, or were forged."""

from __future__ import annotations

from fuzz.cases import edits, fuzzed, replacements
from fuzz.probe import Probe
from hypothesis import given
from hypothesis import strategies as st

hurt = st.one_of(st.tuples(edits, st.just([])), st.tuples(st.just([]), replacements))
"""Bytes that changed, or JSON that says something else."""


@fuzzed(few=30)
@given(st.sampled_from([".safetensors", ".safetensors", ".ckpt"]), hurt)
def test_a_checkpoint_is_loaded_or_refused(probe: Probe, ending, harm):
    probe("checkpoint", (ending, *harm))


@fuzzed(few=10)
@given(st.floats(0, 1), hurt)
def test_a_model_folder_is_loaded_or_refused(probe: Probe, at, harm):
    probe("folder", (at, *harm))


@fuzzed(few=30)
@given(hurt)
def test_an_inversion_is_loaded_or_refused(probe: Probe, harm):
    probe("inversion", harm)
