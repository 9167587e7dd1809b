"""Ages that a prompt says: '17-year-old', 'aged twelve', '5yo', 'in her teens', 'under 18'."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .grammar import FUNCTION, is_person_word
from .reading import CLASSES, Pieces

ADULT = 18
"""In years."""

THOUSANDS = re.compile(r",(?=\d{3}(?!\d))")

# fmt: off
ONES = {word: number for number, word in enumerate((
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
))} | {"a": 1, "an": 1}
TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fourty": 40, "fifty": 50, "sixty": 60, "seventy": 70,
    "eighty": 80, "ninety": 90, "hundred": 100,
}
PER_YEAR = {
    "year": 1, "years": 1, "yr": 1, "yrs": 1, "y": 1, "yo": 1, "yos": 1, "yrold": 1, "yearold": 1,
    "month": 12, "months": 12, "mo": 12, "mos": 12, "mth": 12, "mths": 12,
    "week": 52, "weeks": 52, "wk": 52, "wks": 52, "day": 365, "days": 365,
}
ALREADY_OLD = frozenset({"yo", "yos", "yrold", "yearold"})
OLD = frozenset({"old", "olds", "o", "young"})
BELOW = frozenset({"under", "below", "u"})
BETWEEN = frozenset({"to", "or", "and"})
TURNS = frozenset({"turning", "turns", "turned"})
IS = frozenset({"is", "was", "are", "were", "being", "am"})
GOES_ON = frozenset({"and", "but", "now", "today", "when", "while"})
# fmt: on


@dataclass(frozen=True)
class Age:
    """An age, where it stands among the pieces, end exclusive, and whether it is a child's."""

    first: int
    end: int
    child: bool


def ages_in(pieces: Pieces) -> Iterator[Age]:
    """Every age that is said of somebody or something; what else is counted is none."""
    texts = [piece.text for piece in pieces]
    for at in range(len(pieces)):
        years = _number(texts, at)
        if years is not None:
            found = _with_unit(texts, at, years) or _alone(pieces, texts, at, years)
            if found:
                yield found
        elif texts[at] in ("teens", "twenties", "thirties", "forties", "fifties", "sixties") and (
            set(texts[max(at - 3, 0) : at]) & {"his", "her", "their", "its", "your", "my"}
        ):
            yield Age(at, at + 1, texts[at] == "teens")


def _number(texts: list[str], at: int) -> int | None:
    """The number that ends at a place; 'twenty-one' ends at 'one'."""
    text = texts[at]
    if text[0].isdecimal():
        whole = THOUSANDS.sub("", text).partition(".")[0].partition(",")[0]
        return int(whole) if len(whole) < 4 else 1000  # no need to read a long one
    before = texts[at - 1] if at else ""
    if text in TENS:
        return TENS[text]
    if text in ONES:
        over_hundred = before == "and" and texts[max(at - 2, 0)] == "hundred"
        return ONES[text] + TENS.get(before, 100 if over_hundred else 0)
    return None


def _with_unit(texts: list[str], at: int, number: int) -> Age | None:
    """'17-year-old', '6 months old', '8 y/o', 'aged nine months', '16 to 18 years old'."""
    end = at + 1
    for words in (["and", "a", "half"], ["ish"]):
        if texts[end : end + len(words)] == words:
            end += len(words)
    unit = texts[end] if end < len(texts) else ""
    if unit not in PER_YEAR or (texts[at] in ("a", "an") and unit in ALREADY_OLD):  # 'a yo-yo'
        return None
    end += 1
    first, years = _from_said(texts, at), number / PER_YEAR[unit]
    if unit not in ALREADY_OLD:
        if texts[end : end + 1] and texts[end] in OLD:
            end += 1
        elif texts[end : end + 2] == ["of", "age"]:
            end += 2
        elif first == at:
            return None
    if first >= 2 and texts[first - 1] in BETWEEN and texts[first - 2] not in ("a", "an"):
        lower = _number(texts, first - 2)
        if lower is not None:
            first, years = first - 2, min(years, lower / PER_YEAR[unit])
    return Age(first, end, years < ADULT)


def _alone(pieces: Pieces, texts: list[str], at: int, number: int) -> Age | None:
    """A number without its unit: 'aged 12', 'under-12', 'a man, seventeen,', 'a man of eighty'."""
    if texts[at] in ("a", "an", "one") and not pieces[at].pause:
        return None
    end, start = at + 1, _unhedged(texts, at)
    if texts[end : end + 1] == ["ish"]:
        return Age(start, end + 1, number < ADULT)
    last = at == len(pieces) - 1 or pieces[at].pause
    ends = last or texts[end] in FUNCTION
    before = texts[max(start - 2, 0) : start]
    said = _from_said(texts, at)
    if said < at:
        below = number <= ADULT and bool(BELOW & set(texts[max(said - 2, 0) : said]))
        return Age(said, end, number < ADULT or below)
    if number <= ADULT and _is_below(pieces, before, start, ends):
        return Age(start - len(before), end, True)
    if before and before[-1] in IS | TURNS and (last or texts[end] in GOES_ON):
        return Age(at, end, number < ADULT)
    somebody = len(before) == 2 and is_person_word(pieces[start - 2])
    if before[:1] and before[0] in CLASSES["parents"]:  # 'a mother of three'
        return None
    if somebody and before[1] == "of" and (ends or texts[end] in PER_YEAR):
        return Age(start - 1, end, number < ADULT)
    apart = start > 0 and pieces[start - 1].pause and is_person_word(pieces[start - 1])
    if last and (apart or len(pieces) == 1):
        return Age(at, end, number < ADULT)
    return None


def _is_below(pieces: Pieces, before: list[str], at: int, ends: bool) -> bool:
    """'under 18', 'an under-12 team', 'younger than 18', 'not yet 18'."""
    if before in (["younger", "than"], ["not", "yet"]):
        return True
    return bool(before) and before[-1] in BELOW and (pieces[at - 1].joined or ends)


def _unhedged(texts: list[str], at: int) -> int:
    """Where a number begins, with what makes it less exact: 'just 12', 'about nine'."""
    while at and texts[at - 1] in CLASSES["hedges"]:
        at -= 1
    return at


def _from_said(texts: list[str], at: int) -> int:
    """Where an age begins whose number is said to be one: 'aged 12', 'at the age of nine'."""
    first = _unhedged(texts, at)
    for words in (["age", "of"], ["aged"], ["age"], ["ages"]):
        if first >= len(words) and texts[first - len(words) : first] == words:
            return first - len(words)
    return at
