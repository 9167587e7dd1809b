"""Attributes that an edit can ask for: shipped presets and free text. Never inferred from a person.

A preset is a data file (`data/attributes/*.toml`, see the comments there); a user adds another.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..errors import EvenframeError

DATA = Path(__file__).parent / "data"
PLACE = "{}"


@dataclass(frozen=True)
class Attribute:
    """What a person shall be shown as.

    name: of the value, or the free text. text: for the fairness prompt, with {} for the word that
    it describes. words: those by which a prompt may say it already. others: words that say another
    value of the same preset, each with its counterpart in this one, or "" where there is none.
    """

    name: str
    text: str
    words: tuple[str, ...] = ()
    others: tuple[tuple[str, str], ...] = ()

    @property
    def before(self) -> str:
        """The words that stand before the one described."""
        return self.text.split(PLACE)[0].strip()

    @property
    def after(self) -> str:
        """The words that stand after the one described."""
        return self.text.split(PLACE)[1].strip()


Presets = dict[str, dict[str, Attribute]]
"""Attributes by preset and value."""


@cache
def shipped() -> Presets:
    """The presets of this package, with those that a user has put beside them."""
    return read_presets(sorted((DATA / "attributes").glob("*.toml")))


def read_presets(files: Iterable[Path]) -> Presets:
    """Read preset files. Raises EvenframeError naming the file and what is wrong with it."""
    presets: Presets = {}
    for path in files:
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
            values, preset = dict(data["values"]), str(data["name"])
            texts = {name: str(value["text"]) for name, value in values.items()}
            words = {name: tuple(value.get("words", ())) for name, value in values.items()}
            instead = {
                name: tuple(value.get("instead", words[name])) for name, value in values.items()
            }
        except (OSError, tomllib.TOMLDecodeError, KeyError, AttributeError, TypeError) as error:
            raise EvenframeError(
                f"The attribute file '{path.name}' cannot be read ({error}): it needs a name, and "
                "values with a text each, as gender_presentation.toml has them."
            ) from error
        presets[preset] = {
            name: Attribute(
                name, _template(text, path.name), words[name], _others(name, words, instead[name])
            )
            for name, text in texts.items()
        }
    return presets


def find_attribute(text: str, presets: Presets | None = None) -> Attribute:
    """An attribute by the name of a preset's value ("female", "Monk 3"), or by free text.

    Free text stands before the word it describes ("elderly"), or says where with {} ("{} in a
    sari"); preset words in it count when a prompt is checked for contradictions.
    Raises EvenframeError where it is empty or has more than one {}.
    """
    known = shipped() if presets is None else presets
    plain = " ".join(text.split())
    if not plain.replace(PLACE, "").strip():
        raise EvenframeError(
            "The attribute is empty: write one, as in 'female', or choose a preset."
        )
    values = [value for preset in known.values() for value in preset.values()]
    for value in values:
        if value.name.lower() == plain.lower():
            return value
    template = _template(plain, "")
    said = set(plain.lower().split())
    like = [value for value in values if said & {value.name.lower(), *value.words}]
    # Free text stands for itself: no single word of it takes another's place.
    others = tuple((word, "") for value in like for word, _ in value.others)
    return Attribute(plain, template, others=others)


def _template(text: str, source: str) -> str:
    if text.count(PLACE) > 1:
        where = f" in '{source}'" if source else ""
        raise EvenframeError(f"The attribute '{text}'{where} has more than one {{}}: keep one.")
    return text if PLACE in text else f"{text} {PLACE}"


def _others(
    name: str, words: dict[str, tuple[str, ...]], instead: tuple[str, ...]
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
