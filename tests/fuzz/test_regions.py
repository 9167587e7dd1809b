"""Regions whose JSON is anything."""

from __future__ import annotations

import json

import typed
from fuzz.cases import fuzzed, replaced, replacements
from fuzz.probe import Probe
from hypothesis import given
from hypothesis import strategies as st

WHOLE = {
    "version": 1,
    "unit": "fraction",
    "regions": [
        {"name": "left", "words": "jellyfish", "box": [0.1, 0.6, 0.4, 0.95]},
        {
            "name": "right",
            "words": "goldfish",
            "grow": 4,
            "soften": 8,
            "keyframes": [
                {"frame": 0, "polygon": [[0.5, 0.5], [0.8, 0.5], [0.7, 0.9]]},
                {"frame": 7, "polygon": [[0.6, 0.5], [0.9, 0.5], [0.8, 0.9]]},
            ],
        },
    ],
}
changed = replacements.map(lambda changes: json.dumps(replaced(WHOLE, changes)))


@fuzzed(few=60)
@given(st.one_of(changed, typed.regions))
def test_regions_are_read_or_refused(probe: Probe, text: str):
    probe("regions", text)
