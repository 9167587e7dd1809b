"""The folder of example workflows, where git or a packing tool made no link of it."""

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


def test_an_empty_folder_becomes_the_link_again(pack: Path) -> None:
    (pack / LINK).mkdir()
    mend_link(pack)
    assert (pack / LINK).is_symlink()
    assert (pack / LINK / "edit.json").is_file()


@pytest.mark.parametrize("broken", ["text", "folder"])
def test_without_links_the_folder_is_copied(
    pack: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("a required privilege is not held")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    if broken == "text":
        (pack / LINK).write_text(SOURCE)
    else:
        (pack / LINK).mkdir()
    mend_link(pack)
    assert not (pack / LINK).is_symlink()
    assert (pack / LINK / "edit.json").read_text() == "{}"


def test_anything_else_is_left_alone(pack: Path) -> None:
    mend_link(pack)
    assert not (pack / LINK).exists()
    (pack / LINK).write_text("notes of somebody's")
    mend_link(pack)
    assert (pack / LINK).read_text() == "notes of somebody's"
    (pack / LINK).unlink()
    (pack / LINK).mkdir()
    (pack / LINK / "own.json").write_text("{}")
    mend_link(pack)
    assert [path.name for path in (pack / LINK).iterdir()] == ["own.json"]


def test_nothing_is_taken_away_where_there_is_nothing_to_link_to(tmp_path: Path) -> None:
    (tmp_path / LINK).mkdir()
    mend_link(tmp_path)
    assert (tmp_path / LINK).is_dir()


def test_a_pack_that_cannot_be_written_to_still_loads(
    pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError("a read-only file system")

    monkeypatch.setattr(Path, "rmdir", refuse)
    (pack / LINK).mkdir()
    mend_link(pack)
    assert (pack / LINK).is_dir()
