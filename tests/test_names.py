"""What stands between % signs in file names."""

from datetime import datetime
from typing import Any

import pytest

from evenframe.nodes.common.names import filled

NOW = datetime(2026, 3, 7, 4, 5, 9)
PROMPT: dict[str, Any] = {
    "1": {"class_type": "EvenframePrompt", "inputs": {"text": 'a/b:c\n"d"', "model": ["2", 0]}},
    "2": {
        "class_type": "EvenframeEdit",
        "inputs": {"seed": 7, "eta": 0.5, "scale": 8.0, "on": True, "steps": ["9", 0]},
        "_meta": {"title": "The edit"},
    },
    "3": {"class_type": "EvenframeEdit", "inputs": {"seed": 8}},
    "5:4": {"class_type": "EvenframeInvert", "inputs": {"steps": 50}},
}
EDITOR = {
    "workflow": {
        "nodes": [
            {"id": 3, "type": "EvenframeEdit", "properties": {"Node name for S&R": "second"}},
            {"id": 2, "type": "EvenframeEdit", "widgets_values_named": {"steps": 20, "seed": 1}},
            {"id": 5, "type": "inside", "title": "Inner"},
            {"id": 6, "type": "PrimitiveNode", "title": "Who", "widgets_values_named": {"v": "me"}},
        ],
        "definitions": {
            "subgraphs": [
                {
                    "id": "inside",
                    "nodes": [
                        {"id": 4, "type": "EvenframeInvert", "title": "In there"},
                        {"id": 1, "type": "inside"},
                    ],
                }
            ]
        },
    }
}


@pytest.mark.parametrize(
    ("prefix", "name"),
    [
        ("plain/name", "plain/name"),
        ("%date:yyyy-MM-dd%/x", "2026-03-07/x"),
        ("%date:yy.M.d_hh.mm.ss%", "26.3.7_04.05.09"),
        ("%date:h-m-s%", "4-5-9"),
        ("%date:yyyy/MM%", "2026/03"),
        ("%year%%month%%day%_%hour%%minute%%second%", "20260307_040509"),
        ("%width%x%height%", "640x360"),
        ("%EvenframeEdit.seed%", "7"),
        ("%The edit.seed%", "7"),
        ("%EvenframeEdit.eta%_%EvenframeEdit.scale%_%EvenframeEdit.on%", "0.5_8_true"),
        ("%EvenframePrompt.text%", "a_b_c__d_"),
        ("%EvenframeEdit.steps%", "%EvenframeEdit.steps%"),
        ("%EvenframeEdit.none%", "%EvenframeEdit.none%"),
        ("%Nobody.seed%", "%Nobody.seed%"),
        ("50% of %width%", "50% of 640"),
        ("%date%_%%_%", "%date%_%%_%"),
    ],
)
def test_names_are_filled_in_from_what_is_sent(prefix: str, name: str):
    assert filled(prefix, PROMPT, None, (640, 360), NOW) == name


@pytest.mark.parametrize(
    ("prefix", "name"),
    [
        ("%second.seed%", "8"),
        ("%EvenframeEdit.seed%", "7"),
        ("%EvenframeEdit.steps%", "20"),
        ("%In there.steps%_%EvenframeInvert.steps%", "50_50"),
        ("%Who.v%", "me"),
    ],
)
def test_the_editor_knows_more_names_and_values(prefix: str, name: str):
    assert filled(prefix, PROMPT, EDITOR, now=NOW) == name


def test_a_long_value_is_cut():
    prompt = {"1": {"class_type": "Text", "inputs": {"text": "word " * 100}}}
    assert len(filled("%Text.text%", prompt)) == 64


@pytest.mark.parametrize(
    "workflow",
    [
        None,
        [],
        {"nodes": {"id": 1}},
        {"nodes": [None, 3, {"id": [], "type": {}}], "definitions": {"subgraphs": [{"id": []}, 1]}},
        {"nodes": [{"properties": 3, "widgets_values_named": "x", "title": []}], "definitions": []},
    ],
)
def test_an_editors_workflow_may_be_anything(workflow: Any):
    prompt: Any = {"1": None, "2": {"class_type": [], "inputs": [], "_meta": 3}}
    assert filled("%a.b%", prompt, {"workflow": workflow}) == "%a.b%"


def test_subgraphs_that_hold_each_other_end():
    inner = [{"id": n, "type": "x"} for n in range(50)]
    workflow = {"nodes": inner, "definitions": {"subgraphs": [{"id": "x", "nodes": inner}]}}
    assert filled("%a.b%", {}, {"workflow": workflow}) == "%a.b%"
