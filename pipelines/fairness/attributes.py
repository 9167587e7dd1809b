"""Attributes that an edit can ask for: presets and free text. Never inferred from a person."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..common.errors import EvenframeError
from ..common.typed_text import composed, folded, quoted, require_typed

DATA = Path(__file__).parent / "data"
PLACE = "{}"

PRONOUNS = frozenset({"she", "her", "herself", "he", "him", "his", "himself", "they", "their"})

DEGREES = frozenset({"very", "quite", "rather", "deep"})
"""They go with the word behind them: 'very dark-skinned' is no 'very light-skinned'."""


@dataclass(frozen=True)
class Attribute:
    """What a person shall be shown as.

    name: of the value, or the free text. text: for the fairness prompt, with {} for the word that
    it describes. words: those by which a prompt may say it already. others: words that say another
    value of the same preset, each with its counterpart in this one, or "" where there is none; a
    value whose text is a degree and a word ("very dark-skinned {}") is among them by both.
    kinds: the presets that it is a value of, or whose words it has.
    """

    name: str
    text: str
    words: tuple[str, ...] = ()
    others: tuple[tuple[str, str], ...] = ()
    kinds: tuple[str, ...] = ()

    @property
    def before(self) -> str:
        """The words that stand before the one described."""
        return self.text.split(PLACE)[0].strip()

    @property
    def after(self) -> str:
        """The words that stand after the one described."""
        return self.text.split(PLACE)[1].strip()


def find_attribute(text: str, presets: Mapping[str, Mapping[str, Attribute]]) -> Attribute:
    """An attribute by the name of a preset's value ("female", "Monk 3"), or by free text.

    Free text stands before the word it describes ("elderly"), or says where with {} ("{} in a
    sari"); preset words in it, but pronouns, count when a prompt is checked for contradictions.
    Raises EvenframeError where it is empty or has more than one {}.
    """
    plain = composed(" ".join(require_typed(text, "The attribute").split()))
    if not plain.replace(PLACE, "").strip():
        raise EvenframeError(
            "The attribute is empty: write one, as in 'female', or choose a preset."
        )
    values = [value for preset in presets.values() for value in preset.values()]
    for value in values:
        if folded(value.name) == folded(plain):
            return value
    wording = template(plain)
    # 'with her dog' asks for no gender presentation, and 'her' may be anybody.
    said = set(folded(plain).split()) - PRONOUNS
    like = [value for value in values if said & {folded(value.name), *value.words}]
    # Free text stands for itself: no single word of it takes another's place.
    others = tuple((word, "") for value in like for word, _ in value.others)
    kinds = tuple(dict.fromkeys(kind for value in like for kind in value.kinds))
    return Attribute(plain, wording, others=others, kinds=kinds)


def template(text: str) -> str:
    """An attribute's text with {} for the word that it describes, behind it where it has none."""
    if text.count(PLACE) > 1:
        raise EvenframeError(f"The attribute {quoted(text)} has more than one {{}}: keep one.")
    return text if PLACE in text else f"{text} {PLACE}"
