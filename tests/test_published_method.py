"""The nodes of VideoGrain, TokenFlow and of methods as they were published."""

import pytest

from evenframe.nodes.control import EvenframeTokenFlow, EvenframeVideoGrain
from evenframe.nodes.presets import EvenframePublishedMethod
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.controls.published import METHODS
from evenframe.pipelines.controls.reatco.joint_sampling import JointSampling
from evenframe.pipelines.controls.reatco.refocus import Refocus
from evenframe.pipelines.controls.token_flow.token_flow import TokenFlow
from evenframe.pipelines.controls.videograin.videograin import VideoGrain
from evenframe.pipelines.regions.region import box_region
from evenframe.pipelines.regions.regions import Regions

REGIONS = Regions((box_region([(0, 0, 64, 64)], (64, 64), name="a", words="cat"),), 1, (64, 64))


def defaults(node) -> dict[str, object]:
    """What a new node begins with."""
    inputs = node.GET_SCHEMA().inputs
    return {one.id: one.default for one in inputs if getattr(one, "default", None) is not None}


@pytest.mark.parametrize(
    ("node", "given", "control"),
    [
        (EvenframeVideoGrain, {"regions": REGIONS}, VideoGrain(REGIONS)),
        (EvenframeTokenFlow, {}, TokenFlow()),
    ],
)
def test_a_new_node_is_the_published_control(node, given, control):
    [[found]] = [node.execute(**defaults(node), **given).args[0]]
    told = {name: value for name, value in vars(control).items() if name != "regions"}
    assert {name: vars(found)[name] for name in told} == told


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_its_chain_and_says_what_belongs_to_it(name: str):
    output = EvenframePublishedMethod.execute(name, REGIONS)
    kinds = {
        "ReAtCo, published": [Refocus, JointSampling],
        "VideoGrain": [VideoGrain],
        "VideoGrain, background kept": [VideoGrain, JointSampling],
        "TokenFlow": [TokenFlow],
    }
    assert [type(control) for control in output.args[0]] == kinds[name]
    assert output.ui["text"][0].startswith("Published with ")


def test_regions_that_are_missing_are_asked_for():
    with pytest.raises(EvenframeError, match=r"VideoGrain has no regions: draw one for each"):
        EvenframePublishedMethod.execute("VideoGrain")
    assert EvenframePublishedMethod.execute("TokenFlow").args[0] == (TokenFlow(),)
