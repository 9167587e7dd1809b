"""Presets of attributes: a data file each, some shipped, some a user's own.

`data/attributes/gender_presentation.toml` says what the fields mean.
"""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ..common.errors import EvenframeError
from ..common.typed_text import composed, folded, quoted
from .attributes import DATA, DEGREES, PLACE, Attribute, template

Presets = dict[str, dict[str, Attribute]]
"""Attributes by preset and value."""

FIELDS = {"text", "words", "instead"}
MAX_BYTES, MAX_VALUES, MAX_WORDS = 100_000, 200, 1000
"""Of one file; the words of all its values together. Each value knows the words of all others."""
MAX_LINE = 1000
"""TOML's reader takes time and memory by the square of the dots in a key, which is on one line."""
HEADER = re.compile(r"\s*\[(.*)\]\s*(?:#.*)?$")


@cache
def shipped() -> Presets:
    """The presets of this package, in the order of their files' names."""
    return dict(_Reader(path).preset() for path in sorted((DATA / "attributes").glob("*.toml")))


def with_own(folder: Path) -> tuple[Presets, tuple[str, ...]]:
    """The shipped presets with those of a user's `folder` (`*.toml`), if there is one.

    An own preset with the name of a shipped one takes its place. A file that is wrong is left out,
    and so is one with a name or a value that another has.
    Returns the presets, and for each file that was left out what is wrong with it: a sentence that
    begins with its path and, where it can be told, the line.
    """
    own: dict[Path, tuple[str, dict[str, Attribute]]] = {}
    wrong: list[str] = []
    for path in sorted(folder.glob("*.toml")):
        try:
            own[path] = _Reader(path).preset()
        except EvenframeError as error:
            wrong.append(str(error))
    while clash := _clash(own):
        path, what = clash
        wrong.append(f"{quoted(str(path))}: {what}: choose another.")
        del own[path]
    left_out = tuple(f"{what} Until then this preset is left out." for what in wrong)
    return shipped() | dict(own.values()), left_out


def _clash(own: Mapping[Path, tuple[str, dict[str, Attribute]]]) -> tuple[Path, str] | None:
    """A file whose preset cannot stand beside those before it, and why; None where all can.

    An attribute is asked for by its value alone, so no two presets may have the same.
    """
    names: dict[str, Path] = {}
    for path, (name, _) in own.items():
        names.setdefault(name, path)
    owners = {
        folded(value): name
        for name, values in shipped().items()
        if name not in names
        for value in values
    }
    for path, (name, values) in own.items():
        if names[name] != path:
            return path, f"the name {quoted(name)} is taken by {quoted(str(names[name]))}"
        for value in values:
            if folded(value) in owners:
                other = quoted(owners[folded(value)])
                return path, f"the value {quoted(value)} is one of the preset {other}, too"
        owners |= {folded(value): name for value in values}
    return None


class _Reader:
    """One preset file, and where in it something is wrong."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text = _read(path)

    def preset(self) -> tuple[str, dict[str, Attribute]]:
        """The preset's name and its attributes by value."""
        try:
            data = tomllib.loads(self._text)
        except ValueError as error:
            raise EvenframeError(
                f"{quoted(str(self._path))} cannot be read as TOML: {error}. Correct that place; "
                "gender_presentation.toml shows how a preset is written."
            ) from error
        except RecursionError as error:
            raise self._wrong(
                "brackets lie too deep inside each other: a preset needs two at most"
            ) from error
        for key in data.keys() - {"name", "values"}:
            raise self._wrong(f"{quoted(key)} is unknown: use name and values", key)
        name, tables = data.get("name"), data.get("values")
        if not isinstance(name, str) or not _is_plain(name):
            raise self._wrong(
                'there is no name: begin the file with one, as in name = "clothes"', "name"
            )
        if not isinstance(tables, dict) or not tables:
            raise self._wrong("there are no values: write one, as in [values.formal]", "values")
        return name, self._values(name, tables)

    def _values(self, preset: str, tables: Mapping[str, Any]) -> dict[str, Attribute]:
        self._require_fields(tables)
        words = {value: self._words(table, value) for value, table in tables.items()}
        if sum(map(len, words.values())) > MAX_WORDS:
            raise self._wrong(f"its values have more than {MAX_WORDS} words: leave some out")
        texts = {value: self._template(table, value) for value, table in tables.items()}
        made = {}
        for value, table in tables.items():
            own = self._strings(table, "instead", value) if "instead" in table else words[value]
            others = _others(value, words, texts, own)
            made[value] = Attribute(value, texts[value], words[value], others, (preset,))
        return made

    def _require_fields(self, tables: Mapping[str, Any]) -> None:
        """Each value is a table of its own name, with known fields."""
        if len(tables) > MAX_VALUES:
            raise self._wrong(f"there are {len(tables)} values: give at most {MAX_VALUES}")
        named: set[str] = set()
        for value, table in tables.items():
            told = quoted(value)
            if not isinstance(table, dict):
                raise self._wrong(
                    f"the value {told} is no table: begin one, as in [values.formal]",
                    "values",
                    value,
                )
            for key in table.keys() - FIELDS:
                known = ", ".join(sorted(FIELDS))
                raise self._wrong(
                    f"{quoted(key)} of {told} is unknown: use {known}", "values", value, key
                )
            if not _is_plain(value) or set(value) & set(",:"):
                raise self._wrong(
                    f"the value {told} cannot be asked for: name it by words with single blanks "
                    "between them, without commas and colons",
                    "values",
                    value,
                )
            if folded(value) in named:
                raise self._wrong(
                    f"the value {told} is there twice, capitals or not: name one differently",
                    "values",
                    value,
                )
            named.add(folded(value))

    def _template(self, table: Mapping[str, Any], value: str) -> str:
        text = table.get("text")
        if not isinstance(text, str) or not text.replace(PLACE, "").strip():
            raise self._wrong(
                f"the value {quoted(value)} has no text: write what stands in the prompt, as in "
                'text = "formally dressed {}"',
                "values",
                value,
                "text",
            )
        try:
            return template(text)
        except EvenframeError as error:
            raise self._wrong(str(error).rstrip("."), "values", value, "text") from error

    def _words(self, table: Mapping[str, Any], value: str) -> tuple[str, ...]:
        words = self._strings(table, "words", value)
        for word in words:
            if len(word.split()) != 1:
                raise self._wrong(
                    f"the words of {quoted(value)} have {quoted(word)}: each is a single word of a "
                    "prompt",
                    "values",
                    value,
                    "words",
                )
        return tuple(map(folded, words))

    def _strings(self, table: Mapping[str, Any], key: str, value: str) -> tuple[str, ...]:
        given = table.get(key, [])
        if not isinstance(given, list) or not all(isinstance(entry, str) for entry in given):
            raise self._wrong(
                f'{key} of {quoted(value)} is no list of texts: write {key} = ["one", "two"]',
                "values",
                value,
                key,
            )
        return tuple(given)

    def _wrong(self, what: str, *place: str) -> EvenframeError:
        """place: of what is wrong, such as ("values", "formal", "text"); none for all of it."""
        line = _find_line(self._text, place)
        where = f"{quoted(str(self._path))}, line {line}" if line else quoted(str(self._path))
        return EvenframeError(f"{where}: {what}.")


def _read(path: Path) -> str:
    told = quoted(str(path))
    if not path.is_file():  # to read a pipe would wait for ever
        raise EvenframeError(f"{told} is no file that can be read: take it away.")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise EvenframeError(
            f"{told} cannot be read: {error.strerror}. Repair it or take it away."
        ) from error
    if len(data) > MAX_BYTES:
        raise EvenframeError(f"{told} has more than {MAX_BYTES} bytes: shorten it.")
    try:
        text = composed(data.decode("utf-8-sig"))  # some editors begin a file with a mark
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise EvenframeError(f"{told}, line {line}: this is no UTF-8: save it as such.") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if len(line) > MAX_LINE:
            raise EvenframeError(
                f"{told}, line {number}: it has {len(line)} characters: break it into lines of at "
                f"most {MAX_LINE}, as a list may go on over several."
            )
    return text


def _is_plain(name: str) -> bool:
    """Whether blanks in a name are single ones, and there is something else."""
    return bool(name) and name == " ".join(name.split())


def _find_line(text: str, wanted: tuple[str, ...]) -> int:
    """The line of a preset file that gives a key, or begins the table where it is missing; else 0.

    TOML's reader does not tell.
    """
    begins, table = 0, ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := HEADER.match(line):
            place = table = _names(header[1])
        else:
            place = (*table, *_names(line.partition("=")[0]))
        if wanted and place[: len(wanted)] == wanted:
            return number
        if place == wanted[:-1]:
            begins = number
    return begins


def _names(dotted: str) -> tuple[str, ...]:
    """The first name of a key in TOML, and the rest."""
    return tuple(name.strip().strip("\"'") for name in dotted.split(".", 1))


def _others(
    name: str,
    words: Mapping[str, tuple[str, ...]],
    texts: Mapping[str, str],
    instead: tuple[str, ...],
) -> tuple[tuple[str, str], ...]:
    """Words and degrees ('very dark-skinned') that say another value, with what takes their place;
    nothing takes that of a degree."""
    pairs: dict[str, str] = {}
    for said in (said for other, said in words.items() if other != name):
        for index, word in enumerate(said):
            if word not in words[name]:
                pairs.setdefault(word, instead[index] if index < len(instead) else "")
    for text in (text for text in texts.values() if text != texts[name]):
        said = folded(text).replace(PLACE, "").strip()
        if len(said.split()) == 2 and said.split()[0] in DEGREES:
            pairs[said] = ""
    return tuple(pairs.items())
