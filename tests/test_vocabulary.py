"""The miniature's words: what it knows by role, and known words where they never stood."""

from __future__ import annotations

import numpy as np
import pytest

from evenframe.miniature.sample_scenes import sample_scene
from evenframe.miniature.vocabulary import trained_words, vocabulary
from evenframe.pipelines.text.vocabulary import Vocabulary


def test_no_training_prompt_gets_a_note():
    random, known = np.random.default_rng(0), vocabulary()
    prompts = {sample_scene(random).prompt for _ in range(2000)}
    assert len(prompts) > 500
    assert [note for prompt in prompts for note in known.notes(prompt)] == []


@pytest.mark.parametrize(
    ("prompt", "note"),
    [
        (
            "a red circle on a yellow background",
            "The model knows 'yellow', but was never trained on 'yellow background': before "
            "'background' it knows gray, black, brown, navy, teal, striped, checkered.",
        ),
        (
            "a teal circle",
            "The model knows 'teal', but was never trained on 'teal circle': before 'circle' it "
            "knows red, green, blue, yellow, purple, white.",
        ),
        (
            "a red doctor on a gray background",
            "The model knows 'red', but was never trained on 'red doctor': before 'doctor' it "
            "knows female, male.",
        ),
        ("a zebra", "The model was never trained on 'zebra'."),
        ("a circle, red square", None),
        ("two blue crosses and a Red Circle", None),
        ("a circle above a square", None),
    ],
)
def test_a_known_word_in_a_place_where_it_never_stood_is_told(prompt: str, note: str | None):
    assert vocabulary().notes(prompt) == ([note] if note else [])


def test_every_word_with_a_meaning_is_listed():
    listed = " ".join(vocabulary().lines())
    grammar = {"a", "an", "of", "on", "background"}
    plural = {word for word in trained_words() if word.endswith("s") and word[:-1] in listed}
    missing = {word for word in trained_words() if word not in listed} - grammar - plural
    assert missing == {"crosses"}


def test_without_roles_only_unknown_words_are_told():
    few = Vocabulary(frozenset({"a", "doctor"}))
    assert few.lines() == [] and few.notes("a doctor a") == []
    assert few.notes("a nurse")[0].startswith("The model was never trained on 'nurse'")
