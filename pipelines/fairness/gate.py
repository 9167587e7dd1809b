"""No attribute is asked for with words that describe a child, or of a person who is one."""

from collections.abc import Sequence

from ..common.errors import EvenframeError
from ..text.tokens import Place
from .ages import ages_in
from .children import AGE_LINKS, children_in
from .grammar import (
    SUBJECTS,
    acts,
    is_doing,
    is_person_word,
    is_shown,
    links,
    phrase_from,
    phrase_start,
)
from .reading import CLASSES, Pieces, is_in, read

BECOMES = CLASSES["becomes"]
LINKS = BECOMES | CLASSES["links"]


def require_adult(text: str) -> None:
    """Raise EvenframeError where a text, said of a person, describes a child."""
    pieces = read(text.split())
    for child in children_in(pieces):
        _refuse(pieces, child)


def require_adult_at(words: Sequence[str], place: Place) -> None:
    """Raise EvenframeError where a prompt describes the person at a place as a child.

    Other people of the prompt may be children: a nurse with a baby, a teacher of ten-year-olds.
    """
    pieces = read(words)
    inside = [at for at, piece in enumerate(pieces) if place[0] <= piece.word < place[1]]
    for child in children_in(pieces) if inside else ():
        if _is_about(pieces, child, (inside[0], inside[-1] + 1)):
            _refuse(pieces, child)


def _refuse(pieces: Pieces, place: Place) -> None:
    words = " ".join(piece.text for piece in pieces[slice(*place)])
    raise EvenframeError(
        f"'{words}' describes a child: this pack edits how adults are shown. Where an adult is "
        "meant, write so, as in 'woman', 'man', 'young adult' or 'adult son'."
    )


def _is_about(pieces: Pieces, child: Place, person: Place) -> bool:
    """Whether words that describe a child are about this person of the prompt."""
    if is_shown(pieces[person[1] - 1]):
        return _is_shown_of(pieces, child, person)
    first = phrase_start(pieces, person[0], {"very", "age", "aged"}, CLASSES["adjectives"])
    if max(first, child[0]) < min(person[1], child[1]):
        if child[1] > person[0]:
            return True
        behind = pieces[child[1]]  # 'a boy watches two doctors': the child is another
        return not (pieces[child[1] - 1].owns or is_doing(behind) or acts(pieces, child[1]))
    if child[0] == person[1] and not pieces[child[0] - 1].pause:  # 'a surfer girl'
        return True
    if any((age.first, age.end) == child for age in ages_in(pieces)):
        behind = person[1] <= child[0] and links(pieces, person[1], child[0], AGE_LINKS)
        return behind or _is_said_apart(pieces, child, person)
    start = phrase_start(pieces, child[0])
    if child[1] <= person[0]:  # 'a girl dressed as a doctor'
        between, linked = pieces[child[1] : first], links(pieces, child[1], first, LINKS)
    else:  # 'a doctor who is a little girl'
        between, linked = pieces[person[1] : start], links(pieces, person[1], start, LINKS)
        linked = linked and not any(map(is_doing, pieces[start : child[0]]))
    return linked and any(piece.text in BECOMES for piece in between)


def _is_shown_of(pieces: Pieces, child: Place, shown: Place) -> bool:
    """Whether it is a child's: 'a girl with long hair', 'a boy's face', 'the face of a child'."""
    if child[0] >= shown[1]:
        return pieces[shown[1]].text == "of" and phrase_start(pieces, child[0]) <= shown[1] + 2
    return not any(map(is_person_word, pieces[child[1] : shown[0]]))


def _is_said_apart(pieces: Pieces, age: Place, person: Place) -> bool:
    """'a violinist on a stage, 15 years old', 'the violinist smiles, she is 15 years old'."""
    first = age[0]
    while first and pieces[first - 1].text in AGE_LINKS and not pieces[first - 1].pause:
        first -= 1
    if first and pieces[first - 1].text in SUBJECTS:
        return True
    if not first or not pieces[first - 1].pause or phrase_from(pieces, age[1]):
        return False
    before = [
        at for at in range(first) if is_person_word(pieces[at]) or is_in(pieces[at], "animals.txt")
    ]
    return bool(before) and person[0] <= before[-1] < person[1]
