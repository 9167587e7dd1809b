"""Presets that a user writes: where they are found, and what is said of wrong ones."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typed
from comfyui_server import ROOT, ComfyServer
from hypothesis import HealthCheck, given, settings

from evenframe.nodes import node_classes
from evenframe.nodes.fairness import EvenframeFairnessPrompt
from evenframe.nodes.host import host, workflow
from evenframe.nodes.host.executor import Executor
from evenframe.nodes.host.standalone import Session, StandaloneHost
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.fairness.attributes import find_attribute
from evenframe.pipelines.fairness.presets import Presets, shipped, with_own

CLOTHES = 'name = "clothes"\n\n[values.formal]\ntext = "formally dressed {}"\n'


def refused(folder: Path, text: str | bytes) -> str:
    """What is said of a preset file, without its folder; the others are offered all the same."""
    path = folder / "mine.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    presets, [said] = with_own(folder)
    assert presets == shipped()
    assert said.endswith(" Until then this preset is left out.") and len(said.splitlines()) == 1
    return said.replace(f"{folder}/", "")


def presets_of(folder: Path) -> Presets:
    presets, left_out = with_own(folder)
    assert not left_out
    return presets


def test_a_user_adds_a_preset_as_a_file(tmp_path: Path):
    assert presets_of(tmp_path / "absent") == presets_of(tmp_path) == shipped()
    (tmp_path / "notes.txt").write_text("no preset")
    (tmp_path / "clothes.toml").write_text("\ufeff" + CLOTHES, encoding="utf-8")
    presets = presets_of(tmp_path)
    assert find_attribute("Formal", presets).before == "formally dressed"
    assert list(presets) == [*shipped(), "clothes"]
    assert "clothes" not in shipped()


def test_an_own_preset_takes_the_place_of_a_shipped_one(tmp_path: Path):
    (tmp_path / "ages.toml").write_text(
        'name = "age group"\n[values.older]\ntext = "grey-haired {}"\nwords = ["Older", "old"]\n'
        '[values.young]\ntext = "young {}"\nwords = ["young"]\ninstead = ["young", "fresh young"]\n'
    )
    presets = presets_of(tmp_path)
    assert list(presets) == list(shipped()) and list(presets["age group"]) == ["older", "young"]
    assert find_attribute("older", presets).text == "grey-haired {}"
    assert find_attribute("young", presets).others == (("older", "young"), ("old", "fresh young"))
    assert find_attribute("female", presets) == find_attribute("female", shipped())


def test_a_wrong_file_costs_its_own_preset_alone(tmp_path: Path):
    (tmp_path / "clothes.toml").write_text(CLOTHES)
    (tmp_path / "deep.toml").write_text("name = " + "[\n" * 5000)
    presets, [said] = with_own(tmp_path)
    assert list(presets) == [*shipped(), "clothes"]
    assert said.startswith(f"'{tmp_path}/deep.toml': brackets lie too deep inside each other")


def test_names_are_the_same_however_their_accents_are_spelled(tmp_path: Path):
    text = "name = 'hair'\n[values.'bien coiffée']\ntext = 'coiffée {}'\nwords = ['coiffée']\n"
    (tmp_path / "hair.toml").write_text(unicodedata.normalize("NFD", text), encoding="utf-8")
    presets = presets_of(tmp_path)
    for form in ("NFC", "NFD"):
        found = find_attribute(unicodedata.normalize(form, "Bien Coiffée"), presets)
        assert found.words == (unicodedata.normalize("NFC", "coiffée"),)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("elderly woman", ("gender presentation", "age group")),
        ("{} with her dog", ()),
        ("{} who likes himself", ()),
        ("{} wearing a tanned jacket", ()),
        ("tan-skinned", ("skin tone",)),
    ],
)
def test_free_text_is_of_the_kinds_whose_words_it_has(text: str, kinds: tuple[str, ...]):
    assert set(find_attribute(text, shipped()).kinds) == set(kinds)


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        ('name = "a"\n[values.b\n', "'mine.toml' cannot be read as TOML: Expected ']'"),
        ('name = "a"\nname = "b"\n', "'mine.toml' cannot be read as TOML: Cannot overwrite"),
        (b'name = "a"\n\xff', "'mine.toml', line 2: this is no UTF-8: save it as such."),
        (
            "[values.b]\ntext = 'c'\nname = 'a'\n",
            "'mine.toml': there is no name: begin the file wi",
        ),
        (
            "name = 3\n",
            "'mine.toml', line 1: there is no name: begin the file with one, as in name",
        ),
        ("name = 'a'\n", "'mine.toml': there are no values: write one, as in [values.formal]."),
        ("name = 'a'\n[values]\n", "'mine.toml', line 2: there are no values"),
        ("name = 'a'\n[value.b]\n", "'mine.toml', line 2: 'value' is unknown: use name and values"),
        ("name = 'a'\n[values]\nb = 'c'\n", "'mine.toml', line 3: the value 'b' is no table"),
        (CLOTHES + "[values.b]\n", "'mine.toml', line 5: the value 'b' has no text: write what"),
        (
            CLOTHES + "[values.b]\n\ntext = ' {}'\n",
            "'mine.toml', line 7: the value 'b' has no text",
        ),
        (CLOTHES + "[values]\nb = {text = 1}\n", "'mine.toml', line 6: the value 'b' has no text"),
        ("name = 'a'\n[values]\nb = {text = 1}\n", "'mine.toml', line 3: the value 'b' has no te"),
        (
            CLOTHES + "[ values . 'b c' ]  # note\nwords = []\ntext = '{} or {}'\n",
            "'mine.toml', line 7: The attribute '{} or {}' has more than one {}: keep one.",
        ),
        (CLOTHES + "word = ['b']\n", "'mine.toml', line 5: 'word' of 'formal' is unknown: use ins"),
        (CLOTHES + "words = 'b'\n", "'mine.toml', line 5: words of 'formal' is no list of texts"),
        (CLOTHES + "words = ['b c']\n", "'mine.toml', line 5: the words of 'formal' have 'b c'"),
        (CLOTHES + "instead = [1]\n", "'mine.toml', line 5: instead of 'formal' is no list of te"),
        (
            CLOTHES + "[values.'black, long']\ntext = 'c'\n",
            "'mine.toml', line 5: the value 'black, long' cannot be asked for: name it by words",
        ),
        (CLOTHES + "[values.' b']\ntext = 'c'\n", "'mine.toml', line 5: the value ' b' cannot be"),
        (CLOTHES + "[values.Formal]\ntext = 'c'\n", "'mine.toml', line 5: the value 'Formal' is t"),
        ("x = " + "9" * 990, "'mine.toml', line 1: 'x' is unknown: use name and values"),
        (CLOTHES + '"a\\nb" = 1\n', "'mine.toml', line 3: 'a\\nb' of 'formal' is unknown: use in"),
        (
            "a." * 40_000 + "a = 1",
            "'mine.toml', line 1: it has 80005 characters: break it into lin",
        ),
        (
            CLOTHES + "words = [" + "'a',\n" * 1001 + "]",
            "'mine.toml': its values have more than 1000 words",
        ),
        (
            "name = 'a'\n" + "".join(f"[values.b{n}]\ntext = 'c'\n" for n in range(201)),
            "'mine.toml': there are 201 values: give at most 200.",
        ),
        (b"#" * 100_001, "'mine.toml' has more than 100000 bytes: shorten it."),
    ],
)
def test_a_wrong_file_is_named_with_the_line(tmp_path: Path, text: str | bytes, starts: str):
    message = refused(tmp_path, text)
    assert message.startswith(starts)
    assert "TOML" not in starts or re.search(r"\(at line \d, column \d+\)", message)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_what_is_no_file_is_named(tmp_path: Path, make: Callable[[Path], None]):
    make(tmp_path / "odd.toml")
    presets, [said] = with_own(tmp_path)
    assert presets == shipped()
    assert said.startswith(f"'{tmp_path}/odd.toml' is no file that can be read: take it away.")


def test_what_is_asked_for_is_one_attribute(tmp_path: Path):
    (tmp_path / "clothes.toml").write_text(CLOTHES)
    (tmp_path / "mine.toml").write_text(CLOTHES)
    (tmp_path / "sex.toml").write_text("name = 'a'\n[values.Female]\ntext = 'feminine {}'\n")
    presets, said = with_own(tmp_path)
    assert list(presets) == [*shipped(), "clothes"]
    assert [one.replace(f"{tmp_path}/", "") for one in said] == [
        "'mine.toml': the name 'clothes' is taken by 'clothes.toml': choose another. Until then "
        "this preset is left out.",
        "'sex.toml': the value 'Female' is one of the preset 'gender presentation', too: choose "
        "another. Until then this preset is left out.",
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(typed.presets)
def test_any_file_is_a_preset_or_said_to_be_wrong(tmp_path: Path, text: str):
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8", errors="surrogatepass")
    presets, said = with_own(tmp_path)
    assert presets.keys() >= shipped().keys()
    assert all(one.encode() and len(one.splitlines()) == 1 for one in said)


def test_the_guides_example_is_a_preset(tmp_path: Path):
    [example] = re.findall(r"^```toml\n(.*?)^```", (ROOT / "docs/fame.md").read_text(), re.M | re.S)
    (tmp_path / "example.toml").write_text(example)
    added = presets_of(tmp_path).keys() - shipped().keys()
    assert len(added) == 1


# The node


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The session's folder for presets."""
    assert isinstance(host, StandaloneHost)
    (tmp_path / "presets").mkdir()
    with host.using(Session(output=tmp_path / "output", presets=tmp_path / "presets")):
        yield tmp_path / "presets"


def offered() -> Any:
    return EvenframeFairnessPrompt.GET_SCHEMA().inputs[2]


def wished(preset: str) -> dict[str, Any]:
    """A workflow that shows the record of an attribute, in API format."""
    encoder = {"preset": preset, "attribute": "", "words": "", "strength": 0.5}
    encoder |= {"mask": "hard", "eos_scope": "first"}
    clip = {"filename_prefix": "x", "format": "mp4", "frame_rate": 8.0, "undo_fit": False}
    inputs = {
        "LoadModel": {"model": "miniature (built in)", "dtype": "fp32", "prediction": "auto"},
        "Prompt": {"model": ["LoadModel", 0], "text": "a doctor on a gray background"},
        "FairnessPrompt": encoder | {"model": ["LoadModel", 0], "target_prompt": ["Prompt", 0]},
        "DemoClip": {"max_frames": 1},
        "SaveVideo": clip | {"crf": -1, "frames": ["DemoClip", 0], "log": ["FairnessPrompt", 1]},
    }
    return {
        name: {"class_type": f"Evenframe{name}", "inputs": given} for name, given in inputs.items()
    }


def test_the_node_offers_own_presets_and_takes_a_changed_file(folder: Path):
    assert isinstance(host, StandaloneHost)
    (folder / "clothes.toml").write_text(CLOTHES)
    assert offered().options[-1] == "clothes: formal" and offered().options[0] == "none"
    executor, graph = Executor(host, node_classes()), workflow.parse(wished("clothes: formal"))

    def record() -> str:
        return executor.run(graph).results["FairnessPrompt"].values[1]

    assert "a formally dressed doctor on a gray background" in record()
    (folder / "clothes.toml").write_text(CLOTHES.replace("formally", "neatly"))
    assert "a neatly dressed doctor on a gray background" in record()


def test_a_wrong_file_is_told_and_stops_only_who_asks_for_it(folder: Path):
    assert isinstance(host, StandaloneHost)
    (folder / "mine.toml").write_text("name = 'a'\n[values.b]\n")
    said = rf"'{folder}/mine\.toml', line 2: the value 'b' has no text"
    assert "gender presentation: female" in offered().options
    assert re.search(f"both are asked for. {said}", offered().tooltip or "")
    executor = Executor(host, node_classes())
    gone = f"preset is 'a: b', which there is no more: choose one that the node offers. {said}"
    with pytest.raises(EvenframeError, match=f"^node FairnessPrompt .*: {gone}"):
        executor.check(workflow.parse(wished("a: b")))
    with pytest.raises(EvenframeError, match=f"^{gone}"):
        linked = {"preset": "a: b", "attribute": "", "words": "", "strength": 0.5}
        EvenframeFairnessPrompt.execute(None, None, **linked, mask="hard", eos_scope="first")  # pyright: ignore
    run = executor.run(workflow.parse(wished("gender presentation: female")))
    record = run.results["FairnessPrompt"].values[1]
    assert "a female doctor" in record and re.search(said, record.splitlines()[-1])


def test_the_folder_is_a_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert Session.from_environment().presets == tmp_path / "evenframe" / "presets"
    monkeypatch.setenv("EVENFRAME_PRESETS", str(tmp_path / "mine"))
    assert Session.from_environment().presets == tmp_path / "mine"


def test_in_comfyui(comfyui: ComfyServer):
    folder = comfyui.base / "user" / "__evenframe" / "presets"
    folder.mkdir(parents=True)

    def options() -> str:
        return str(comfyui.get("/object_info/EvenframeFairnessPrompt"))

    try:
        (folder / "clothes.toml").write_text(CLOTHES)
        assert "'clothes: formal'" in options()
        run = comfyui.run(wished("clothes: formal"))
        assert run.outcome == "execution_success", run.of("execution_error")
        assert "a formally dressed doctor" in comfyui.outputs(run)["FairnessPrompt"]["text"][0]
        (folder / "clothes.toml").write_text(CLOTHES + "word = []\n")
        assert "'gender presentation: female'" in options() and "clothes: formal" not in options()
        # Its Prompt may run alone, so the rest is only left out.
        told = comfyui.post("/prompt", {"prompt": wished("clothes: formal")})
        assert f"{folder}/clothes.toml', line 5: 'word' of 'formal' is unknown" in str(told)
    finally:
        (folder / "clothes.toml").unlink()
