"""Chains of controls: what goes together, and what is refused at its own node."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from evenframe.nodes.control import (
    EvenframeAttentionFusion,
    EvenframeFusionPreset,
    EvenframeJointSampling,
    EvenframeRefocus,
)
from evenframe.nodes.fairness_controls import EvenframeCrossReweighter, EvenframeSelfModulator
from evenframe.nodes.inversion import EvenframeWindows
from evenframe.pipelines.attention.keyframes import KeyFrames
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.common.window import Windowing
from evenframe.pipelines.controls.base import Control, ControlRun, Edit, chained
from evenframe.pipelines.controls.fatezero.fusion import Fusion
from evenframe.pipelines.controls.reatco.joint_sampling import JointSampling
from evenframe.pipelines.controls.reatco.refocus import Refocus
from evenframe.pipelines.editing import edit
from evenframe.pipelines.regions.region import box_region
from evenframe.pipelines.regions.regions import Regions
from evenframe.pipelines.source.inversion import Inversion, Settings, invert

BOX = box_region([(0, 0, 64, 64)] * 3, (64, 128), name="it", words="jeep")
REGIONS = Regions((BOX,), 3, (64, 128))


def refused(call: Callable[..., Any], *args: Any, **settings: Any) -> str:
    with pytest.raises(EvenframeError) as caught:
        call(*args, **settings)
    return str(caught.value).splitlines()[0]


def defaults(node: Any, **changed: Any) -> dict[str, Any]:
    values = {each.id: getattr(each, "default", None) for each in node.GET_SCHEMA().inputs}
    return {name: value for name, value in values.items() if value is not None} | changed


@dataclass(frozen=True)
class Plain(Control):
    """A control that declares nothing."""

    def begin(self, edit: Edit) -> ControlRun:
        return ControlRun()


@dataclass(frozen=True)
class Lonely(Plain):
    """A control of somebody else that stands alone."""

    unique: ClassVar[str] = "Watermark"


# What goes together


@pytest.fixture(scope="module")
def inversion(model, clip) -> Inversion:
    return invert(model, clip, "a jeep on a road", steps=2, store="recompute")


@pytest.mark.parametrize(
    ("pair", "name"),
    [
        ((Fusion(), Fusion("reweight", self_steps=0)), "Attention Fusion"),
        ((Refocus(REGIONS), Refocus(REGIONS, scale=1)), "RAD Refocuser"),
        ((JointSampling(REGIONS), JointSampling(REGIONS, inset=1)), "IRJS Blender"),
        ((Lonely(), Lonely()), "Watermark"),
    ],
)
def test_by_one_declaration_a_second_one_is_refused(model, inversion, pair: Any, name: str):
    expected = f"There are two {name}s: their order would matter. Put what both shall do into one"
    for call in (
        lambda: chained(pair[:1], pair[1]),
        lambda: chained((pair[0], Plain()), pair[1]),
        lambda: edit(model, inversion, "a red jeep on a road", controls=pair),
    ):
        assert refused(call).startswith(expected)


def test_controls_that_declare_nothing_may_stand_in_a_chain_twice(model, inversion):
    chain = chained(chained((), Plain()), Plain())
    assert chain == (Plain(), Plain())
    edit(model, inversion, "a red jeep on a road", controls=chain, guidance_scale=1)


def test_a_second_fusion_is_refused_at_its_own_node():
    chain = EvenframeFusionPreset.execute("style", "", "")[0]
    node = defaults(EvenframeAttentionFusion, controls=chain)
    assert refused(EvenframeAttentionFusion.execute, **node).startswith("There are two Attention F")
    for node in (EvenframeRefocus, EvenframeJointSampling):
        [first] = node.execute(**defaults(node, regions=REGIONS))[0]
        message = refused(node.execute, **defaults(node, regions=REGIONS, controls=(first,)))
        assert message.startswith("There are two ")


def test_two_that_keep_the_source_at_different_noise_are_refused_at_the_second_node():
    blend = Fusion(blend_words=("jeep",), latent_blend=True)
    node = defaults(EvenframeJointSampling, regions=REGIONS, noise="fresh", controls=(blend,))
    message = refused(EvenframeJointSampling.execute, **node)
    assert message.startswith("Two controls keep the source's latents, one at fresh noise and one")
    fine = defaults(EvenframeJointSampling, regions=REGIONS, controls=(blend,))
    assert len(EvenframeJointSampling.execute(**fine)[0]) == 2


# What is refused where it is made


@pytest.mark.parametrize(
    ("node", "changed", "starts"),
    [
        (EvenframeAttentionFusion, {"blend_start": 0.9}, "start is 0.9 and end is 0.8: a span"),
        (EvenframeAttentionFusion, {"latent_blend": True}, "latent_blend is on, but there are no"),
        (
            EvenframeAttentionFusion,
            {"target_blend_words": "jeep"},
            "The target blend words 'jeep' would do nothing, because latent_blend is off",
        ),
        (EvenframeFusionPreset, {"preset": "shape, free"}, "The preset for 'swan -> duck' changes"),
        (
            EvenframeRefocus,
            {"regions": REGIONS, "start": 0.6},
            "start is 0.6 and end is 0.5: a span of the steps must not end before it starts",
        ),
        (EvenframeRefocus, {"regions": Regions((), 3, (64, 128))}, "There are no regions: draw"),
        (
            EvenframeJointSampling,
            {"regions": Regions((), 3, (64, 128))},
            "There are no regions: draw",
        ),
        (EvenframeSelfModulator, {}, "There is no subject: name the words of the source prompt"),
        (EvenframeSelfModulator, {"start": 1.0, "end": 0.0}, "start is 1.0 and end is 0.0"),
        (EvenframeCrossReweighter, {"start": 1.0, "end": 0.0}, "start is 1.0 and end is 0.0"),
        (EvenframeWindows, {"size": 4, "stride": 5}, "The stride of the windows is 5: choose 1"),
    ],
)
def test_a_wrong_setting_is_reported_at_its_own_node(node: Any, changed: Any, starts: str):
    assert refused(node.execute, **defaults(node, **changed)).startswith(starts)


@pytest.mark.parametrize(
    ("settings", "starts"),
    [
        ({"steps": 0}, "steps is 0: choose a whole number from 1 to 1000"),
        ({"steps": 2.5}, "steps is 2.5: choose a whole number"),
        ({"keyframes": ()}, "key frames are empty"),
        ({"keyframes": ("middle",)}, "key frame 'middle' is unknown"),
        ({"store": "maps"}, "attention store mode 'maps' is unknown"),
        ({"seed": -1}, "seed is -1: choose a whole number from 0"),
        ({"layers": "coarse"}, "key-frame layers 'coarse' is unknown: use auto, all, half, quart"),
    ],
)
def test_an_inversions_settings_check_themselves(settings: dict[str, Any], starts: str):
    assert refused(Settings, **settings).startswith(starts)


def test_a_windowing_checks_itself():
    assert refused(Windowing, 4, 5).startswith("The stride of the windows is 5: choose 1 to 4")
    assert refused(Windowing, 4, 2, "gauss").startswith(
        "window weights 'gauss' is unknown: use uniform"
    )


@pytest.mark.parametrize(
    ("changed", "starts"),
    [
        ({"guidance_scale": -1.0}, "guidance_scale is -1.0: choose a value from 0 to 100"),
        ({"start_step": 2}, "start_step is 2: choose a whole number from 0 to 1"),
        ({"eta": 1.5}, "eta is 1.5: choose"),
        ({"seed": -1}, "seed is -1: choose a whole number from 0"),
    ],
)
def test_an_edits_numbers_are_checked_before_the_model_is_called(inversion, changed, starts: str):
    nobody: Any = None  # whoever asked it anything would fail otherwise
    assert refused(edit, nobody, inversion, "a jeep", **changed).startswith(starts)


def test_names_of_key_frames_reach_the_settings_as_they_are():
    names: KeyFrames = ("-1", "first")
    assert Settings(keyframes=names, layers="all").keyframes == names


# As published


def test_the_scale_of_a_new_refocuser_is_the_one_published_for_its_rule():
    for rule, size in (("code", 20.0), ("paper", 1.0)):
        node = defaults(EvenframeRefocus, regions=REGIONS, rule=rule)
        output = EvenframeRefocus.execute(**node)
        assert output[0][0].first_size == size and not output.ui


@pytest.mark.parametrize(
    ("rule", "scale", "told"),
    [
        ("paper", 20.0, "The scale is 20, as published for rule 'code'; for 'paper' it was 1."),
        ("code", 1.0, "The scale is 1, as published for rule 'paper'; for 'code' it was 20."),
        ("paper", 1.0, ""),
        ("code", 20.0, ""),
        ("paper", 7.0, ""),
        ("code", 0.0, ""),
    ],
)
def test_a_stored_scale_stays_and_the_node_says_what_was_published(rule, scale, told: str):
    node = defaults(EvenframeRefocus, regions=REGIONS, rule=rule, scale=scale)
    output = EvenframeRefocus.execute(**node)
    [refocus] = output[0]
    assert refocus.scale == refocus.first_size == scale
    text = output.ui["text"][0] if output.ui else ""
    assert text.startswith(told) and bool(text) == bool(told)
