"""Which words of a text describe a child.

The rule errs on the side of a child: a word for one is let pass only where what stands beside it
says that a thing ('a child seat'), an animal ('a baby elephant'), a name ('Billy the Kid') or an
adult ('a children's nurse') is meant. Somebody's son or daughter is a child unless the words say
otherwise.
"""

from collections.abc import Sequence

from ..text.tokens import Place
from .ages import TURNS, Age, ages_in
from .grammar import (
    FUNCTION,
    PEOPLE,
    SINGULAR,
    describes_next,
    determiner,
    follower,
    is_person_word,
    is_thing,
    links,
    phrase_from,
    phrase_start,
    shows_person,
)
from .reading import CLASSES, Pieces, forms, is_in, is_plural, lexicon, matches

GROWN = frozenset({"adult", "grown", "grownup", "elderly", "old"})
AGE_LINKS = CLASSES["age_links"] | TURNS


def children_in(pieces: Pieces) -> tuple[Place, ...]:
    """Places of the pieces that describe a child: words for one, and ages."""
    ages = tuple(ages_in(pieces))
    young = [(age.first, age.end) for age in ages if age.child and not _is_of_a_thing(pieces, age)]
    said = {at for age in ages for at in range(age.first, age.end)}
    names, kin = lexicon("not_children.txt"), lexicon("offspring.txt")
    for start, end in matches(pieces, lexicon("children.txt") | names | kin):
        found = forms(pieces[start:end])
        if found & names or not said.isdisjoint(range(start, end)):
            continue
        if found & kin and _is_grown(pieces, start, end, ages):
            continue
        if _describes_child(pieces, start, end):
            young.append((start, end))
    return tuple(young)


def _is_of_a_thing(pieces: Pieces, age: Age) -> bool:
    """Whether an animal or a thing is so old: 'a 12-year-old dog', 'whisky aged 12 years'."""
    behind = phrase_from(pieces, age.end)
    if any(is_in(piece, "children.txt", "offspring.txt") for piece in behind):
        return False
    people = [at for at, piece in enumerate(behind) if is_person_word(piece)]
    if people:  # 'a 17-year-old car mechanic', but 'a 5-year-old boxer dog'
        return any(map(is_thing, behind[people[-1] + 1 :]))
    if behind:
        return _leads_to_thing(behind)
    before = pieces[age.first - 1] if age.first else None
    return before is not None and not before.pause and is_thing(before)


def _leads_to_thing(behind: Pieces) -> bool:
    """Whether nothing but plain adjectives stands before a thing or an animal."""
    first = next((at for at, piece in enumerate(behind) if is_thing(piece)), None)
    return first is not None and all(piece.text in CLASSES["plain"] for piece in behind[:first])


def _describes_child(pieces: Pieces, start: int, end: int) -> bool:
    """Whether a word for a child means one here."""
    last, behind = pieces[end - 1], follower(pieces, end)
    words = {word for form in forms(pieces[start:end]) for word in form}
    article = determiner(pieces, start)
    if last.joined and behind is not None and behind.text in CLASSES["tails"]:
        return False
    first = phrase_start(pieces, start)
    if first and pieces[first - 1].text in ("without", "no"):
        return False
    if article == "its" and words & CLASSES["young"]:  # 'a goat and its kid'
        return False
    if "pupil" in words:
        return not _is_of_eyes(pieces, start, end)
    if "minor" in words and not last.owns:
        return is_plural(last) or not _is_minor_thing(pieces, start)
    if last.text == "youth" and article not in SINGULAR:
        return False
    if last.owns:
        return _is_of_child(pieces, start, end)
    following = phrase_from(pieces, end)
    animal = any(is_in(piece, "animals.txt") for piece in following)
    if animal and words & CLASSES["young"] and _leads_to_thing(following):
        return False
    if behind is None or not words & CLASSES["of_things"] or is_in(behind, "animals.txt"):
        return True
    if is_in(behind, "clothes.txt") and _is_worn(pieces, start):
        return True
    further = follower(pieces, end + 1)
    if is_in(behind, "verbs.txt") and further is not None and further.text.endswith("ing"):
        return True  # 'a kid rock climbing'
    return not describes_next(pieces, end)


def _is_of_child(pieces: Pieces, start: int, end: int) -> bool:
    """Whether what a child's possessive stands before shows the child, or is worn by somebody."""
    following = phrase_from(pieces, end)
    if shows_person(pieces, end) or not following:
        return True
    if any(is_in(piece, "clothes.txt") for piece in following):
        return _is_worn(pieces, start)
    return not any(is_thing(piece) or is_person_word(piece) for piece in following)


def _is_of_eyes(pieces: Pieces, start: int, end: int) -> bool:
    """'dilated pupils', 'the pupils of her eyes', but not 'a pupil with blue eyes'."""
    near = {piece.text for piece in pieces[max(start - 1, 0) : end + 1]}
    of = end < len(pieces) and pieces[end].text in ("of", "in")
    eyes = any(piece.text in ("eye", "eyes") for piece in pieces[end : end + 5])
    return bool(near & CLASSES["of_eyes"]) or (of and eyes)


def _is_worn(pieces: Pieces, start: int) -> bool:
    """Whether somebody is in it: 'in a girl's dress', 'wearing boys' shoes'."""
    before = {piece.text for piece in pieces[max(start - 4, 0) : start]}
    return bool({"in", "wearing", "wears", "wear"} & before)


def _is_minor_thing(pieces: Pieces, at: int) -> bool:
    """'a minor injury', 'in A minor', but not 'a minor sits' or 'a minor girl'."""
    behind = follower(pieces, at + 1)
    before = [piece.text for piece in pieces[max(at - 2, 0) : at]]
    if len(before) == 2 and before[0] == "in" and len(before[1]) == 1:
        return before[1] != "a" or bool(CLASSES["music"] & {piece.text for piece in pieces})
    if behind is None or behind.text in FUNCTION or behind.text.endswith(("ing", "ed")):
        return False
    if is_in(behind, *PEOPLE, "children.txt", "offspring.txt"):
        return any(map(is_thing, phrase_from(pieces, at + 1)))
    return not (is_plural(behind) and determiner(pieces, at))


def _is_grown(pieces: Pieces, start: int, end: int, ages: Sequence[Age]) -> bool:
    """Whether somebody's son is said to be an adult, before the word or right behind it."""
    first = phrase_start(pieces, start)
    while first and pieces[first - 1].text == "up":  # 'grown-up'
        first = phrase_start(pieces, first - 1)
    own = [
        age
        for age in ages
        if first <= age.first < start or links(pieces, end, age.first, AGE_LINKS)
    ]
    said = {piece.text for piece in pieces[first:start]}
    return not any(age.child for age in own) if own else bool(said & GROWN)
