"""Messages: one line, whatever text of the user's they quote."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenframe.__main__ import main
from evenframe.pipelines.common.errors import EvenframeError, one_line
from evenframe.pipelines.models.model import Model
from evenframe.pipelines.text.prompt import find_tokens


@given(st.text())
def test_a_message_is_one_line_that_any_unicode_terminal_can_show(text: str):
    message = str(EvenframeError(f"The word '{text}' is not there: choose another."))
    assert len(message.splitlines()) == 1 and message.endswith(": choose another.")
    message.encode()


def test_letters_of_any_script_stay_as_they_are():
    text = "argentée、東京 नमस्ते 👩\u200d🚀 \xa0"
    assert one_line(text) == text
    assert one_line("a\nb\r\x1b[2J\u2028\x85\ud83d") == r"a\nb\r\x1b[2J\u2028\x85\ud83d"


def test_a_word_of_a_prompt_with_a_line_break_keeps_its_remedy(model: Model):
    prompt = model.text.encode("a red\ncircle").tokens
    with pytest.raises(EvenframeError) as caught:
        find_tokens(prompt, "square")
    assert r"'a red\ncircle'" in str(caught.value)


def test_the_command_line_shows_all_of_a_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "workflow.json"
    node = {"class_type": "Evenframe\nTomorrow", "_meta": {"title": "a\x1b[31m\nb"}}
    path.write_text(json.dumps({"1": node}))
    assert main(["run", str(path)]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "\x1b" not in told
    assert "this version of Evenframe has no such node; it has EvenframeAdoptModel" in told
