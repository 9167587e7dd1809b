"""Which words of the target prompt belong to which region; for every control that asks."""

import logging
from collections.abc import Sequence

from ..common.errors import EvenframeError
from ..common.typed_text import quoted
from ..regions.region import Region
from ..text.prompt import find_places, parse_phrases
from ..text.tokens import Place, Tokens
from .base import Edit

log = logging.getLogger(__name__)


def region_places(prompt: Tokens, regions: Sequence[Region]) -> list[list[Place]]:
    """The place of each phrase of each region's words, which commas separate.

    The longest phrases choose first, then the regions in their order: each takes the first of its
    places that is free. Where none is, a place belongs to several regions: the last that this very
    phrase has taken. Raises EvenframeError for a phrase that does not occur, and for one whose
    words all belong to other phrases.
    """
    asked = [
        (index, phrase)
        for index, item in enumerate(regions)
        for phrase in parse_phrases(item.words)
    ]
    taken: dict[Place, str] = {}
    found: dict[tuple[int, str], Place] = {}
    for index, phrase in sorted(asked, key=lambda one: -len(one[1].split())):
        place = _choose(prompt, phrase, regions[index].name, taken)
        taken.setdefault(place, phrase)
        found[index, phrase] = place
    return [
        list(dict.fromkeys(place for (owner, _), place in found.items() if owner == index))
        for index in range(len(regions))
    ]


def _choose(prompt: Tokens, phrase: str, region: str, taken: dict[Place, str]) -> Place:
    places = find_places(prompt, phrase)
    free = [place for place in places if not any(_overlap(place, other) for other in taken)]
    shared = [place for place in places if place in taken]
    if free or shared:
        return free[0] if free else shared[-1]
    other = next(words for place, words in taken.items() if _overlap(place, places[-1]))
    raise EvenframeError(
        f"The words {quoted(phrase)} of region {quoted(region)} are in the prompt "
        f"{quoted(prompt.text)} only within {quoted(other)}, which a region names, too: name the "
        "same words in both, or others."
    )


def _overlap(a: Place, b: Place) -> bool:
    return a[0] < b[1] and b[0] < a[1]


def tell_places(edit: Edit, regions: Sequence[Region], places: Sequence[Sequence[Place]]) -> None:
    """Log which place a region has where its phrase occurs more than once; once in an edit."""
    if not edit.first_window:
        return
    for region, theirs in zip(regions, places, strict=True):
        for phrase in parse_phrases(region.words):
            every = find_places(edit.prompt.tokens, phrase)
            number = next(index for index, place in enumerate(every) if place in theirs)
            if len(every) > 1:
                log.warning(
                    "The word '%s' occurs %d times in the prompt '%s': region '%s' takes "
                    "number %d.",
                    *(phrase, len(every), edit.prompt.tokens.text, region.name, number + 1),
                )
