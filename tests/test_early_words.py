"""Words that no edit would find are told before anything runs, at the node that has them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenframe.nodes import node_classes
from evenframe.nodes.common import early
from evenframe.nodes.control import EvenframeAttentionFusion
from evenframe.nodes.host import host, workflow
from evenframe.nodes.host.executor import Executor
from evenframe.nodes.host.submitted import Submitted
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.text.prompt import find_places
from evenframe.pipelines.text.tokens import words_alone
from example_workflows import ROOT

Graph = dict[str, Any]
RECIPES = ROOT / "examples_workflows" / "api"


def recipe(name: str) -> Graph:
    return json.loads((RECIPES / f"{name}.json").read_text(encoding="utf-8"))


def node(graph: Graph, kind: str) -> Graph:
    return next(each for each in graph.values() if each["class_type"] == f"Evenframe{kind}")


def check(graph: Graph) -> None:
    Executor(host, node_classes()).check(workflow.parse(graph))  # type: ignore[arg-type]


def refused(graph: Graph) -> str:
    with pytest.raises(EvenframeError) as caught:
        check(graph)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "kind", "field", "value", "said"),
    [
        ("FateZero style edit", "FusionPreset", "new_words", "green, circle", "'green'"),
        ("FateZero style edit", "FusionPreset", "blend_words", "teal", "'teal'"),
        ("FateZero attribute edit", "AttentionFusion", "weights", "circle: 2, owl: 3", "'owl'"),
        ("FateZero attribute edit", "AttentionFusion", "blend_words", "owl", "'owl'"),
        ("FateZero shape edit", "AttentionFusion", "target_blend_words", "owl", "'owl'"),
        ("FAME strength sweep", "CrossReweighter", "words", "owl", "'owl'"),
        ("FAME strength sweep", "SelfModulator", "subject", "owl", "'owl'"),
    ],
)
def test_a_word_that_is_not_in_its_prompt(name: str, kind: str, field: str, value: str, said: str):
    graph = recipe(name)
    check(graph)
    at = node(graph, kind)
    at["inputs"].pop("regions", None)
    at["inputs"][field] = value
    message = refused(graph)
    assert f"(Evenframe{kind}" in message, "at the node that has it"
    assert f"In {at['_meta']['title']}, {field}: The word {said} is not in the prompt" in message


def test_a_word_of_a_region_is_told_with_the_node_that_drew_it():
    graph = recipe("ReAtCo two objects")
    check(graph)
    drawn = node(graph, "DrawRegions")
    regions = json.loads(drawn["inputs"]["text"])
    regions["regions"][1] |= {"name": "right", "words": "owl"}
    drawn["inputs"]["text"] = json.dumps(regions)
    message = refused(graph)
    assert f"In {drawn['_meta']['title']}, text, region 'right': The word 'owl' is not" in message


def test_words_through_the_fairness_encoder_are_those_of_its_prompt():
    graph = recipe("FAME strength sweep")
    encoder = next(id for id, each in graph.items() if each is node(graph, "FairnessPrompt"))
    for each in graph.values():
        if each["class_type"] == "EvenframeEdit":
            each["inputs"]["target_prompt"] = [encoder, 0]
    node(graph, "CrossReweighter")["inputs"]["words"] = "owl"
    assert "'owl' is not in the prompt" in refused(graph)
    node(graph, "FairnessPrompt")["inputs"]["explicit"] = True
    check(graph)  # it may be a word of the attribute


def wrong() -> Graph:
    graph = recipe("FateZero style edit")
    node(graph, "FusionPreset")["inputs"]["new_words"] = "owl"
    return graph


def test_nothing_is_said_of_what_may_run():
    assert "'owl'" in refused(wrong())
    graph = wrong()  # the preset does not weight its new words
    node(graph, "FusionPreset")["inputs"]["preset"] = "attribute, one word for one"
    check(graph)
    graph = wrong()  # a text that an encoder may read in another way
    graph[node(graph, "Edit")["inputs"]["target_prompt"][0]]["inputs"]["text"] = "a (red:1.2) [owl]"
    check(graph)
    graph = wrong()  # two edits, of which somebody may run one
    twin = json.loads(json.dumps(node(graph, "Edit")))
    graph["90"] = {"class_type": "EvenframePrompt", "inputs": {"text": "an owl", "model": ["2", 0]}}
    graph["91"] = twin | {"inputs": twin["inputs"] | {"target_prompt": ["90", 0]}}
    check(graph)
    graph = recipe("FAME strength sweep")  # nothing is done, so nobody is looked for
    modulator = node(graph, "SelfModulator")["inputs"]
    modulator |= {"strength": 0, "subject": "owl"}
    del modulator["regions"]
    check(graph)


def test_nothing_is_said_where_another_node_may_leave_the_edit_out(monkeypatch: pytest.MonkeyPatch):
    graph = wrong()
    at = next(id for id, each in graph.items() if each is node(graph, "FusionPreset"))
    text = words_alone("a red circle")

    def told(graph: Graph, skips: str = "") -> bool | str:
        with monkeypatch.context() as patch:
            seen = Submitted(graph, at, skips.__eq__)
            patch.setattr(early, "host", type("Host", (), {"submitted": lambda: seen}))
            return early.words_verdict(lambda _: [("new_words", "target", ["owl"])])

    assert text is not None and told(graph) is not True
    assert told(graph, "EvenframeSaveVideo") is True, "a switch, behind the edit"
    other = wrong()
    other["92"] = {"class_type": "AnySwitch", "inputs": {"any": [at, 0]}}
    assert told(other) is True, "another pack's, in the chain"
    linked = wrong()
    linked[node(linked, "Edit")["inputs"]["target_prompt"][0]]["inputs"]["text"] = ["2", 0]
    assert told(linked) is True, "a text that comes by a link"
    turned = wrong()
    turned[at]["inputs"]["controls"] = [at, 0]
    assert told(turned) is not True, "a circle ends"


PLAIN = st.text("aAzéß9中 .,;!?'\"-\n", max_size=40)


@settings(max_examples=60, deadline=None)
@given(text=PLAIN, phrase=PLAIN)
def test_what_is_refused_the_tokenizers_words_do_not_have_either(
    model: Model, text: str, phrase: str
):
    alone = words_alone(text)
    assert alone is not None
    try:
        tokens = model.text.encode(text).tokens
    except EvenframeError:
        return
    assert [word.text for word in alone.words] == [word.text for word in tokens.words]
    try:
        found = find_places(alone, phrase)
    except EvenframeError as error:
        with pytest.raises(EvenframeError) as caught:
            find_places(tokens, phrase)
        assert str(caught.value) == str(error), "one error, in one place"
    else:
        assert find_places(tokens, phrase) == found


def test_words_of_controls_in_a_sampler_are_those_of_its_source():
    prompts = {"source_prompt": "a red car", "target_prompt": "a blue owl"}
    link = {"model": ["loaded", 0], "clip": ["loaded", 1], "latent": ["encoded", 0]}
    graph: Graph = {
        "source": {"class_type": "EvenframeSourceForControls", "inputs": {**link, **prompts}},
        "fusion": {"class_type": "EvenframeAttentionFusion", "inputs": {}},
        "applied": {
            "class_type": "EvenframeApplyControls",
            "inputs": {"model": ["source", 0], "controls": ["fusion", 0]},
        },
        "sampler": {"class_type": "KSampler", "inputs": {"model": ["applied", 0]}},
    }

    def said(**words: str) -> bool | str:
        graph["fusion"]["inputs"] = words
        with host.checking(Submitted(graph, "fusion")):  # type: ignore[attr-defined]
            return EvenframeAttentionFusion.validate_inputs(**words)

    assert said(blend_words="car", weights="owl: 2") is True
    assert "blend_words: The word 'owl' is not in the prompt" in str(said(blend_words="owl"))
    assert "weights" in str(said(weights="car: 2"))
    graph["source"]["inputs"]["source_prompt"] = ["text", 0]
    assert said(blend_words="owl") is True, "a linked text is not known yet"
    graph["applied"]["inputs"]["model"] = ["loaded", 0]
    assert said(weights="car: 2") is True
