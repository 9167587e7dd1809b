"""Presets of attributes: a data file each, some shipped, some a user's own.

`data/attributes/gender_presentation.toml` says what the fields mean.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import EvenframeError
from .attributes import DATA, DEGREES, PLACE, Attribute, template

Presets = dict[str, dict[str, Attribute]]
"""Attributes by preset and value."""

FIELDS = {"text", "words", "instead"}
HEADER = re.compile(r"\s*\[\s*(?:(values)\s*\.\s*)?(.+?)\s*\]\s*(?:#.*)?$")
"""The beginning of a table: [values.NAME], or another."""


@cache
def shipped() -> Presets:
    """The presets of this package."""
    return read_presets((DATA / "attributes").glob("*.toml"))


def with_own(folder: Path) -> Presets:
    """The shipped presets, then those of a user's `folder` (`*.toml`), if there is one.

    An own preset with the name of a shipped one takes its place.
    Raises EvenframeError as `read_presets` does, and where two presets have a value in common.
    """
    own = read_presets(folder.glob("*.toml"))
    presets = shipped() | own
    _require_distinct(presets, folder)
    return presets


def read_presets(files: Iterable[Path]) -> Presets:
    """Read preset files, in the order of their names.

    Raises EvenframeError that begins with the file's path and, where it can be told, the line.
    """
    presets: Presets = {}
    origins: dict[str, Path] = {}
    for path in sorted(files):
        name, values = _Reader(path).preset()
        if name in presets:
            raise EvenframeError(
                f"'{path}': the name '{name}' is taken by '{origins[name]}': choose another."
            )
        presets[name], origins[name] = values, path
    return presets


def _require_distinct(presets: Presets, folder: Path) -> None:
    """An attribute is asked for by its value alone, so no two presets may have the same."""
    owners: dict[str, str] = {}
    for preset, values in presets.items():
        for value in values:
            if value.lower() in owners:
                raise EvenframeError(
                    f"'{folder}': the value '{value}' is given twice, in the presets "
                    f"'{owners[value.lower()]}' and '{preset}': name one of them differently."
                )
            owners[value.lower()] = preset


class _Reader:
    """One preset file, and where in it something is wrong."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text = _read(path)

    def preset(self) -> tuple[str, dict[str, Attribute]]:
        """The preset's name and its attributes by value."""
        try:
            data = tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            raise EvenframeError(
                f"'{self._path}' cannot be read as TOML: {error}. Correct that place; "
                "gender_presentation.toml shows how a preset is written."
            ) from error
        for key in data.keys() - {"name", "values"}:
            raise self._wrong(f"'{key}' is unknown: use name and values", key)
        name, tables = data.get("name"), data.get("values")
        if not isinstance(name, str) or not _is_plain(name):
            raise self._wrong(
                'there is no name: begin the file with one, as in name = "clothes"', "name"
            )
        if not isinstance(tables, dict) or not tables:
            raise self._wrong("there are no values: write one, as in [values.formal]", "values")
        return name, self._values(name, tables)

    def _values(self, preset: str, tables: Mapping[str, Any]) -> dict[str, Attribute]:
        for value, table in tables.items():
            if not isinstance(table, dict):
                raise self._wrong(
                    f"the value '{value}' is no table: write [values.{value}]", value=value
                )
            for key in table.keys() - FIELDS:
                raise self._wrong(
                    f"'{key}' of '{value}' is unknown: use {', '.join(sorted(FIELDS))}", key, value
                )
            if not _is_plain(value) or set(value) & set(",:"):
                raise self._wrong(
                    f"the value '{value}' cannot be asked for: name it by words with single blanks "
                    "between them, without commas and colons",
                    value=value,
                )
        words = {value: self._words(table, value) for value, table in tables.items()}
        texts = {value: self._template(table, value) for value, table in tables.items()}
        instead = {
            value: self._strings(table, "instead", value) if "instead" in table else words[value]
            for value, table in tables.items()
        }
        return {
            value: Attribute(
                value,
                texts[value],
                words[value],
                (*others(value, words, instead[value]), *_degrees(value, texts)),
                (preset,),
            )
            for value, table in tables.items()
        }

    def _template(self, table: Mapping[str, Any], value: str) -> str:
        text = table.get("text")
        if not isinstance(text, str) or not text.replace(PLACE, "").strip():
            raise self._wrong(
                f"the value '{value}' has no text: write what stands in the prompt, as in "
                'text = "formally dressed {}"',
                "text",
                value,
            )
        try:
            return template(text)
        except EvenframeError as error:
            raise self._wrong(str(error).rstrip("."), "text", value) from error

    def _words(self, table: Mapping[str, Any], value: str) -> tuple[str, ...]:
        words = self._strings(table, "words", value)
        for word in words:
            if len(word.split()) != 1:
                raise self._wrong(
                    f"the words of '{value}' have '{word}': each is a single word of a prompt",
                    "words",
                    value,
                )
        return tuple(word.lower() for word in words)

    def _strings(self, table: Mapping[str, Any], key: str, value: str) -> tuple[str, ...]:
        given = table.get(key, [])
        if not isinstance(given, list) or not all(isinstance(entry, str) for entry in given):
            raise self._wrong(
                f'{key} of \'{value}\' is no list of texts: write {key} = ["one", "two"]',
                key,
                value,
            )
        return tuple(given)

    def _wrong(self, what: str, key: str = "", value: str = "") -> EvenframeError:
        line = find_line(self._text, key, value)
        where = f"'{self._path}', line {line}" if line else f"'{self._path}'"
        return EvenframeError(f"{where}: {what}.")


def _read(path: Path) -> str:
    try:
        data = path.read_bytes()
        return data.decode("utf-8-sig")  # some editors begin a file with a mark
    except OSError as error:
        raise EvenframeError(
            f"'{path}' cannot be read: {error.strerror}. Repair it or take it away."
        ) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise EvenframeError(
            f"'{path}', line {line}: this is no UTF-8: save it as such."
        ) from error


def _is_plain(name: str) -> bool:
    """Whether blanks in a name are single ones, and there is something else."""
    return bool(name) and name == " ".join(name.split())


def find_line(text: str, key: str, value: str = "") -> int:
    """The line of a preset file that gives a key, at the top or of a value; 0 where there is none.

    Of a value without the key it is the line that begins the value. TOML's reader does not tell.
    """
    begins, table = 0, ("", "")
    for number, line in enumerate(text.splitlines(), start=1):
        if header := HEADER.match(line):
            table = (header[1] or "", header[2].strip("\"'"))
            if value and table == ("values", value):
                begins = number
            elif not value and table[1].partition(".")[0] == key:
                return number
            continue
        given = line.partition("=")[0].strip(" \t\"'")
        if given and given == key and table == (("values", value) if value else ("", "")):
            return number
        if value and given == value and table == ("", "values"):
            begins = number
    return begins


def _degrees(name: str, texts: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Texts of other values that are a degree and a word, 'very dark-skinned'; nothing for each."""
    said = {text.lower().replace(PLACE, "").strip(): value for value, text in texts.items()}
    return tuple(
        (text, "")
        for text, value in said.items()
        if value != name and len(text.split()) == 2 and text.split()[0] in DEGREES
    )


def others(
    name: str, words: Mapping[str, tuple[str, ...]], instead: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    """Words that say another value, each with what takes its place."""
    pairs: dict[str, str] = {}
    for other, said in words.items():
        if other == name:
            continue
        for index, word in enumerate(said):
            if word not in words[name]:
                pairs.setdefault(word, instead[index] if index < len(instead) else "")
    return tuple(pairs.items())
