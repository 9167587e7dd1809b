"""The folder of example workflows, where git could not make a link."""

from pathlib import Path

import pytest

from evenframe.nodes.host.templates import LINK, SOURCE, mend_link


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    (tmp_path / SOURCE).mkdir()
    (tmp_path / SOURCE / "edit.json").write_text("{}")
    return tmp_path


def test_a_text_file_becomes_the_link_again(pack: Path) -> None:
    (pack / LINK).write_text(f"{SOURCE}\n")
    mend_link(pack)
    assert (pack / LINK).is_symlink()
    assert (pack / LINK / "edit.json").is_file()


def test_without_links_the_folder_is_copied(pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("a required privilege is not held")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    (pack / LINK).write_text(SOURCE)
    mend_link(pack)
    assert not (pack / LINK).is_symlink()
    assert (pack / LINK / "edit.json").read_text() == "{}"


def test_anything_else_is_left_alone(pack: Path) -> None:
    mend_link(pack)
    assert not (pack / LINK).exists()
    (pack / LINK).write_text("notes of somebody's")
    mend_link(pack)
    assert (pack / LINK).read_text() == "notes of somebody's"
