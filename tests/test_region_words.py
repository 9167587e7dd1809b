"""Which words of a prompt belong to which region."""

import logging

import pytest

from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.controls.base import Edit
from evenframe.pipelines.controls.region_words import region_places, tell_places
from evenframe.pipelines.regions.region import BoxRegion, box_region
from evenframe.pipelines.source.inversion import invert


def naming(*words: str) -> list[BoxRegion]:
    box = [(0, 0, 8, 8)]
    return [box_region(box, (8, 8), name=f"r{i}", words=phrase) for i, phrase in enumerate(words)]


def test_words_of_several_tokens_and_phrases(model):
    prompt = model.text.encode("a jellyfish and a big goldfish, in the ocean").tokens
    found = region_places(prompt, naming("jellyfish", "Big goldfish, ocean"))
    [[jellyfish], [phrase, ocean]] = [[prompt.at(p) for p in places] for places in found]
    words = {word.text: word.core or word.tokens for word in prompt.words}
    assert jellyfish == words["jellyfish"] and ocean == words["ocean"]
    assert phrase == words["big"] + words["goldfish,"]


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("a fish and a fish", ["fish"] * 3, [[(1, 2)], [(4, 5)], [(4, 5)]]),
        ("two fish", ["fish", "fish"], [[(1, 2)], [(1, 2)]]),
        ("a fish", ["fish, Fish, fish"], [[(1, 2)]]),
        ("une f\u00e9e, un \u00e9lan", ["fe\u0301e", "E\u0301lan"], [[(1, 2)], [(3, 4)]]),
        ("a fish and a cat", ["fish", "", "cat"], [[(1, 2)], [], [(4, 5)]]),
        # The longer phrase comes first, whichever region names it.
        ("a red fish and a fish", ["fish", "red fish"], [[(5, 6)], [(1, 3)]]),
        ("a red fish and a fish", ["red fish", "fish"], [[(1, 3)], [(5, 6)]]),
        ("a fish and a red fish", ["fish", "red fish", "fish"], [[(1, 2)], [(4, 6)], [(1, 2)]]),
    ],
)
def test_each_phrase_has_a_place(model, text: str, words: list[str], expected):
    assert region_places(model.text.encode(text).tokens, naming(*words)) == expected


def test_words_that_are_all_within_other_phrases_are_refused(model):
    with pytest.raises(EvenframeError) as caught:
        region_places(model.text.encode("a red fish").tokens, naming("fish", "red fish"))
    assert str(caught.value).startswith(
        "The words 'fish' of region 'r0' are in the prompt 'a red fish' only within 'red fish'"
    )


def test_the_chosen_place_is_told_once_in_an_edit(model, clip, caplog):
    inversion = invert(model, clip, "a fish and a fish", steps=1)
    regions = naming("fish", "fish")
    places = region_places(inversion.prompt.tokens, regions)
    with caplog.at_level(logging.WARNING):
        for window in (range(2), range(1, 3)):
            part = inversion.part(window)
            edit = Edit(model, part, inversion.prompt, window=window, length=3)
            tell_places(edit, regions, places)
    assert len(caplog.records) == 2
    said = "The word 'fish' occurs 2 times in the prompt 'a fish and a fish': region 'r1' takes"
    assert f"{said} number 2" in caplog.text
