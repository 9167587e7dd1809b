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
def test_a_language_names_every_node_and_input_and_nothing_else(language: str):
    have, want = locales.read(language, "nodeDefs.json"), locales.nodes()
    assert have.keys() == want.keys()
    for node_id, node in want.items():
        told = have[node_id]
        assert told["display_name"].endswith(" (Evenframe)") and told["description"]
        for kind in ("inputs", "outputs"):
            assert told[kind].keys() == node[kind].keys(), node_id
            for key, socket in node[kind].items():
                assert told[kind][key].keys() == socket.keys(), (node_id, key)
                assert all(told[kind][key].values())


@pytest.mark.parametrize("language", OTHERS)
def test_a_language_has_every_string_of_the_widgets(language: str):
    said: dict[str, str] = locales.read(language, "main.json")["evenframe"]
    assert set(said) == set(locales.said())
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
