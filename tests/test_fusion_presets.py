"""The published settings as presets, and what the preset's node says of them."""

import pytest

from evenframe.nodes.control import EvenframeFusionPreset
from evenframe.pipelines.attention import keyframes
from evenframe.pipelines.controls.fatezero.presets import PRESETS


def test_shape_edits_were_inverted_with_other_key_frames_than_the_rest():
    for name, preset in PRESETS.items():
        shape = name.split(",")[0] in ("shape", "person")
        assert keyframes.parse(preset.keyframes) == (("-1", "first") if shape else ("mid",))
        assert preset.layers == ("all" if shape else "auto") and preset.tuned == shape
        assert preset.steps == (30 if name in ("shape, free", "shape, longer neck") else 50)


@pytest.mark.parametrize(
    ("preset", "told"),
    [
        ("style", "key_frames 'mid', key_frame_layers 'auto' and 50 steps"),
        ("shape, free", "key_frames '-1, first', key_frame_layers 'all' and 30 steps"),
    ],
)
def test_the_node_says_how_to_invert(preset: str, told: str):
    output = EvenframeFusionPreset.execute(preset, "", "swan")
    [text] = output.ui["text"]
    assert f"{told}: set these in the DDIM Inverter" in text
    assert ("tuned on the clip" in text) == (preset == "shape, free")
