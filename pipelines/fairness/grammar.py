"""As much of English as tells a person in a prompt from a verb, a thing and an animal.

A word is known by the lists and classes in `data/`, and by its ending. What is in none of them is
taken for an adjective or a verb.
"""

from collections.abc import Collection

from .reading import CLASSES, Piece, Pieces, forms, is_in, is_plural

SINGULAR = frozenset({"a", "an", "one", "each", "every", "this", "that", "another"})
PLURAL, MODALS, STOP_WORDS = CLASSES["plural"], CLASSES["modals"], CLASSES["stop_words"]
DETERMINERS = SINGULAR | CLASSES["definite"]
SUBJECTS = frozenset({"he", "she", "it", "they", "we", "you", "i", "who", "which"})
OBJECTS = DETERMINERS | {"him", "them", "us", "me"}
FUNCTION = STOP_WORDS | DETERMINERS | SUBJECTS | MODALS | CLASSES["function"]
KIN = frozenset({"mother", "father", "parent", "parents", "sister", "brother", "mum", "mom"})
PEOPLE = ("people.txt", "roles.txt", "professions.txt")


def is_person(pieces: Pieces, start: int, end: int) -> bool:
    """Whether a word for a person means one here, and not a thing, an animal or a verb."""
    last, behind = pieces[end - 1], follower(pieces, end)
    if last.owns:
        return shows_person(pieces, end)
    if last.joined or (end - start == 1 and _is_verb(pieces, start)):
        return False
    # 'man' and 'woman' stand before few things: 'a man bus stop' is a slip, 'a lady bug' is not.
    if describes_next(pieces, end) and (
        not is_in(last, "people.txt") or is_in(pieces[end], "animals.txt")
    ):
        return False
    if last.text in KIN and determiner(pieces, start) == "its":  # an animal's
        return False
    # Of 'woman doctor' the doctor is meant, of 'women judge' the women.
    return behind is None or not is_person_word(behind) or is_verb_after(last, behind)


def _is_verb(pieces: Pieces, at: int) -> bool:
    word = pieces[at]
    if not is_in(word, "verbs.txt"):
        return False
    before = pieces[at - 1] if at and not pieces[at - 1].pause else None
    behind = follower(pieces, at + 1)
    if before is not None and before.text in SUBJECTS | MODALS:
        return before.text != "to" or not is_plural(word)
    article = determiner(pieces, at)
    if behind is not None and behind.text in OBJECTS:
        return before is None or before.text not in FUNCTION
    if before is not None and (is_in(before, "animals.txt") or is_person_word(before)):
        return is_verb_after(before, word)
    if is_plural(word):
        return article in SINGULAR
    return article in PLURAL and before is not None and is_plural(before)


def is_person_word(piece: Piece) -> bool:
    """Whether a single word is one of the lexicon's for people."""
    return is_in(piece, *PEOPLE)


def is_thing(piece: Piece) -> bool:
    """Whether what stands before it is no person: 'a chef hat', 'a nurse shark'."""
    return piece.text not in FUNCTION and is_in(piece, "animals.txt", "clothes.txt", "things.txt")


def shows_person(pieces: Pieces, start: int) -> bool:
    """Whether the noun phrase from a place is about how somebody looks: 'dark brown eyes'."""
    return any(map(is_shown, phrase_from(pieces, start)))


def is_shown(piece: Piece) -> bool:
    """Whether a word is about how somebody looks: 'face', 'hair', 'portrait'."""
    return any(text in CLASSES["shows"] for (text,) in forms([piece]))


def follower(pieces: Pieces, end: int) -> Piece | None:
    """The piece behind a place, if no punctuation parts them."""
    return pieces[end] if end < len(pieces) and not pieces[end - 1].pause else None


def phrase_from(pieces: Pieces, start: int) -> Pieces:
    """The pieces from a place up to the end of a noun phrase, at most five."""
    if start and pieces[start - 1].pause:
        return ()
    for at in range(start, min(start + 5, len(pieces))):
        if pieces[at].text in FUNCTION or is_doing(pieces[at]) or acts(pieces, at):
            return pieces[start:at]
        if pieces[at].pause:
            return pieces[start : at + 1]
    return pieces[start : start + 5]


def phrase_start(
    pieces: Pieces,
    start: int,
    within: Collection[str] = (),
    before_comma: Collection[str] = (),
) -> int:
    """Where the noun phrase begins whose word stands at a place, its determiner left out.

    within: function words that do not end it. before_comma: words whose comma does not.
    """
    for first in range(start, 0, -1):
        text, pause = pieces[first - 1].text, pieces[first - 1].pause
        if (text in FUNCTION and text not in within) or (pause and text not in before_comma):
            return first
    return 0


def determiner(pieces: Pieces, start: int) -> str:
    """The article, possessive or number at the beginning of the noun phrase of a place, or ""."""
    first = phrase_start(pieces, start)
    between = [piece.text for piece in pieces[first:start]]
    number = next((text for text in between if text in PLURAL or text.isdecimal()), "")
    before = pieces[first - 1].text if first and not pieces[first - 1].pause else ""
    return number or (before if before in DETERMINERS else "")


def is_verb_after(subject: Piece, word: Piece) -> bool:
    """Whether a word is what the noun before it does, by their numbers: 'the doctor fishes'."""
    if not is_in(word, "verbs.txt"):
        return False
    return word.text.endswith("ing") or is_plural(subject) != is_plural(word)


def acts(pieces: Pieces, at: int) -> bool:
    """Whether a word is what the noun right before it does: 'the baby bears', not 'baby bears'."""
    before, word = pieces[at - 1] if at else None, pieces[at]
    if before is None or before.owns or not is_in(word, "verbs.txt"):
        return False
    if before.text in ("old", "yo"):  # 'a 12 year old stands'
        return is_plural(word)
    noun = is_thing(before) or is_in(before, *PEOPLE, "children.txt", "offspring.txt")
    if not noun or not is_verb_after(before, word):
        return False
    return is_plural(before) or determiner(pieces, at - 1) in DETERMINERS - PLURAL


def describes_next(pieces: Pieces, end: int) -> bool:
    """Whether the word before `end` only says of what kind the thing behind it is: 'guard dog'."""
    behind = follower(pieces, end)
    while behind is not None and behind.joined:  # 't-shirt'
        end += 1
        behind = follower(pieces, end)
    return behind is not None and is_thing(behind) and not acts(pieces, end)


def is_doing(word: Piece) -> bool:
    """Whether a word is what somebody does, so that it parts them from what follows."""
    if is_thing(word) or is_person_word(word) or is_shown(word):
        return False
    return word.text.endswith("ing") or is_plural(word)


def links(pieces: Pieces, start: int, end: int, words: frozenset[str]) -> bool:
    """Whether nothing but a few such words stands between two places."""
    return 0 <= end - start <= 8 and all(piece.text in words for piece in pieces[start:end])
