"""The published settings as presets, and what the preset's node says of them."""

import pytest

from evenframe.nodes.control import EvenframeFusionPreset
from evenframe.pipelines.attention import keyframes
from evenframe.pipelines.controls.fusion_presets import PRESETS


def test_shape_edits_were_inverted_with_other_key_frames_than_the_rest():
    for name, preset in PRESETS.items():
        shape = name.split(",")[0] in ("shape", "person")
        assert keyframes.parse(preset.keyframes) == (("-1", "first") if shape else ("mid",))
        assert preset.steps == (30 if name in ("shape, free", "shape, longer neck") else 50)


@pytest.mark.parametrize(
    ("preset", "told"),
    [("style", "'mid' and 50 steps"), ("shape, free", "'-1, first' and 30 steps")],
)
def test_the_node_says_how_to_invert(preset: str, told: str):
    output = EvenframeFusionPreset.execute(preset, "", "swan")
    assert f"key_frames {told}: set these in the DDIM Inverter" in output.ui["text"][0]
