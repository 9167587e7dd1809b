"""Presets that a user writes: where they are found, and what is said of wrong ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from comfyui_server import ROOT, ComfyServer, PromptRefused

from evenframe.nodes import node_classes
from evenframe.nodes.fairness import EvenframeFairnessPrompt
from evenframe.nodes.host import host, workflow
from evenframe.nodes.host.executor import Executor
from evenframe.nodes.host.standalone import Session, StandaloneHost
from evenframe.pipelines.errors import EvenframeError
from evenframe.pipelines.fairness.attributes import find_attribute
from evenframe.pipelines.fairness.presets import read_presets, shipped, with_own

CLOTHES = 'name = "clothes"\n\n[values.formal]\ntext = "formally dressed {}"\n'


def refused(folder: Path, text: str | bytes) -> str:
    """What is said of a preset file; with its folder left out."""
    path = folder / "mine.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(EvenframeError) as caught:
        with_own(folder)
    return str(caught.value).splitlines()[0].replace(f"{folder}/", "")


def test_a_user_adds_a_preset_as_a_file(tmp_path: Path):
    assert with_own(tmp_path / "absent") == with_own(tmp_path) == shipped()
    (tmp_path / "notes.txt").write_text("no preset")
    (tmp_path / "clothes.toml").write_text("\ufeff" + CLOTHES, encoding="utf-8")
    presets = with_own(tmp_path)
    assert find_attribute("Formal", presets).before == "formally dressed"
    assert list(presets) == [*shipped(), "clothes"]
    assert "clothes" not in shipped()


def test_an_own_preset_takes_the_place_of_a_shipped_one(tmp_path: Path):
    (tmp_path / "ages.toml").write_text(
        'name = "age group"\n[values.older]\ntext = "grey-haired {}"\nwords = ["Older", "old"]\n'
        '[values.young]\ntext = "young {}"\nwords = ["young"]\ninstead = ["young", "fresh young"]\n'
    )
    presets = with_own(tmp_path)
    assert list(presets) == list(shipped()) and list(presets["age group"]) == ["older", "young"]
    assert find_attribute("older", presets).text == "grey-haired {}"
    assert find_attribute("young", presets).others == (("older", "young"), ("old", "fresh young"))
    assert find_attribute("female", presets) == find_attribute("female", shipped())


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
    ],
)
def test_a_wrong_file_is_named_with_the_line(tmp_path: Path, text: str | bytes, starts: str):
    message = refused(tmp_path, text)
    assert message.startswith(starts)
    assert "TOML" not in starts or re.search(r"\(at line \d, column \d+\)", message)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(EvenframeError, match=r"folder\.toml' cannot be read: Is a directory\. Rep"):
        with_own(tmp_path)


def test_what_is_asked_for_is_one_attribute(tmp_path: Path):
    (tmp_path / "clothes.toml").write_text(CLOTHES)
    with pytest.raises(EvenframeError, match=r"mine\.toml': the name 'clothes' is taken by '.*/cl"):
        (tmp_path / "mine.toml").write_text(CLOTHES)
        read_presets(tmp_path.iterdir())
    twice = refused(tmp_path, "name = 'a'\n[values.Female]\ntext = 'feminine {}'\n")
    assert (
        "the value 'Female' is given twice, in the presets 'gender presentation' and 'a'" in twice
    )
    twice = refused(tmp_path, "name = 'a'\n[values.b]\ntext = 'c'\n[values.B]\ntext = 'c'\n")
    assert "the value 'B' is given twice, in the presets 'a' and 'a'" in twice


def test_the_guides_example_is_a_preset(tmp_path: Path):
    [example] = re.findall(r"^```toml\n(.*?)^```", (ROOT / "docs/fame.md").read_text(), re.M | re.S)
    (tmp_path / "example.toml").write_text(example)
    added = with_own(tmp_path).keys() - shipped().keys()
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


def test_a_wrong_file_stops_a_run_and_spares_the_menu(folder: Path):
    assert isinstance(host, StandaloneHost)
    (folder / "mine.toml").write_text("name = 'a'\n[values.b]\n")
    said = rf"{folder}/mine\.toml', line 2: the value 'b' has no text"
    assert "gender presentation: female" in offered().options
    assert re.search(f"Your own are missing: '{said}", offered().tooltip or "")
    executor = Executor(host, node_classes())
    for preset in ("a: b", "gender presentation: female", "none"):
        with pytest.raises(EvenframeError, match=rf"^node FairnessPrompt .*: '{said}"):
            executor.check(workflow.parse(wished(preset)))
    (folder / "mine.toml").unlink()
    with pytest.raises(EvenframeError, match="preset is 'a: b', which there is no more: choose"):
        executor.check(workflow.parse(wished("a: b")))
    with pytest.raises(EvenframeError, match="preset is 'a: b', which there is no more"):
        linked = {"preset": "a: b", "attribute": "", "words": "", "strength": 0.5}
        EvenframeFairnessPrompt.execute(None, None, **linked, mask="hard", eos_scope="first")  # pyright: ignore
    executor.check(workflow.parse(wished("gender presentation: female")))


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
        with pytest.raises(PromptRefused) as caught:
            comfyui.run(wished("clothes: formal"))
        assert f"{folder}/clothes.toml', line 5: 'word' of 'formal' is unknown" in str(caught.value)
    finally:
        (folder / "clothes.toml").unlink()
