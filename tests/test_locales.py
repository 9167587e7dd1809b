"""Translations: English is what the code says, and other languages have all that they name."""

from __future__ import annotations

import re
from typing import Any

import pytest

import locales

OTHERS = [path.name for path in sorted(locales.FOLDER.iterdir()) if path.is_dir()]
OTHERS.remove("en")


@pytest.mark.parametrize("name", ["nodeDefs.json", "main.json"])
def test_english_is_what_the_code_says(name: str):
    path = locales.FOLDER / "en" / name
    assert path.read_text(encoding="utf-8") == locales.written(locales.english()[name]), (
        "run `make locales`"
    )


@pytest.mark.parametrize("language", OTHERS)
def test_a_language_names_nothing_that_is_not_there(language: str):
    """What it lacks, such as a new node, is shown in English."""
    want = locales.nodes()
    for node_id, told in locales.read(language, "nodeDefs.json").items():
        assert told["display_name"].endswith(" (Evenframe)") and told["description"], node_id
        for kind in ("inputs", "outputs"):
            assert told[kind].keys() <= want[node_id][kind].keys(), node_id
            for key, socket in told[kind].items():
                assert socket.keys() <= want[node_id][kind][key].keys(), (node_id, key)
                assert all(socket.values())


@pytest.mark.parametrize("language", OTHERS)
def test_a_language_has_no_string_that_no_widget_says(language: str):
    said: dict[str, str] = locales.read(language, "main.json")["evenframe"]
    assert set(said) <= set(locales.said())
    for text, translated in said.items():
        assert sorted(places(translated)) == sorted(places(text)), text


def places(text: str) -> list[str]:
    return re.findall(r"\{\w+\}", text)


@pytest.mark.parametrize("language", ["en", *OTHERS])
def test_comfyui_reads_no_signs_of_its_own_in_a_nodes_strings(language: str):
    """Its messages have a syntax, which would swallow them."""
    assert not re.search("[{}@|]", "".join(texts(locales.read(language, "nodeDefs.json"))))


def texts(told: Any) -> list[str]:
    if isinstance(told, str):
        return [told]
    return [text for part in told.values() for text in texts(part)]
