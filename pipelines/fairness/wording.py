"""The fairness prompt: the target prompt with each person's attribute made explicit.

What FAME's paper calls p_fair; how the words are put is this project's own.
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from ..common.errors import EvenframeError
from ..common.typed_text import plain_words, punctuation_apart
from ..text.tokens import Place
from .attributes import DEGREES, PRONOUNS, Attribute
from .children import child_words
from .grammar import STOP_WORDS
from .people import people_in
from .reading import read

ARTICLES = {"a", "an"}

Places = Sequence[Place]


@dataclass
class Draft:
    """A fairness prompt in the making.

    words: (text, index of the target word that it stands for, or None where it was added).
    relevant: indices of the target words that the attributes are about. unwanted: indices of those
    to be left out in the end. notes: what was found out on the way, as sentences.
    """

    words: list[tuple[str, int | None]]
    relevant: set[int] = field(default_factory=set)
    unwanted: set[int] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The whole prompt."""
        return " ".join(text for text, _ in self.words)

    def place(self, origin: int) -> int:
        """Where the word that stands for a target word is now."""
        return next(index for index, (_, of) in enumerate(self.words) if of == origin)

    def put(self, origin: int, text: str) -> None:
        """Put words in the place of a target word; the last of them stands for it."""
        at = self.place(origin)
        before, _, after = punctuation_apart(self.words[at][0])
        *added, last = text.split()
        self.words[at : at + 1] = [(word, None) for word in added]
        self.words.insert(at + len(added), (before + last + after, origin))
        self.relevant.add(origin)
        self._fix_article(at)

    def add(self, at: int, text: str) -> None:
        """Add words that stand for none of the target's."""
        self.words[at:at] = [(word, None) for word in text.split()]
        self._fix_article(at)

    def drop_unwanted(self) -> None:
        """Leave the unwanted words out, but none that an attribute is about."""
        for origin in sorted(self.unwanted - self.relevant):
            at = self.place(origin)
            del self.words[at]
            self._fix_article(at)

    def _fix_article(self, at: int) -> None:
        """ "a" or "an" by the letter that follows now."""
        if not 0 < at < len(self.words) or self.words[at - 1][0].lower() not in ARTICLES:
            return
        vowel = self.words[at][0][:1].lower() in "aeiou"
        self.words[at - 1] = ("an" if vowel else "a", self.words[at - 1][1])


def write(
    words: Sequence[str],
    wishes: Iterable[tuple[Attribute, Places]],
) -> Draft:
    """Make attributes explicit in a prompt.

    words: of the target prompt. wishes: attributes with the places that they are for. An attribute
    that the prompt has already is left; a word of its place that says the contrary gives its own,
    and so does a pronoun with nobody else before it, but no possessive of the place itself ('her
    doctor'). A note says so, and also where such a word stands elsewhere.
    Raises EvenframeError where two attributes of a kind are for the same words.
    """
    draft = Draft(list(zip(words, range(len(words)), strict=True)))
    plain, pairs = plain_words(words), list(wishes)
    _require_apart(plain, pairs)
    people = {*people_in(words), *child_words(read(words))}
    people |= {place for _, places in pairs for place in places}
    for attribute, places in pairs:
        told: set[int] = set()
        for start, end in places:
            draft.relevant.update(range(start, end))
            told |= _make_explicit(draft, plain, attribute, start, end)
        own = {index for start, end in places for index in (*description_of(plain, start), end - 1)}
        strangers = [place for place in people if own.isdisjoint(range(*place))]
        # A possessive before a noun is somebody else's: nobody is 'her doctor' to herself.
        told |= {description_of(plain, start).start - 1 for start, _ in places}
        told |= _turn_pronouns(draft, plain, attribute, told, strangers)
        _tell_elsewhere(draft, plain, attribute, told, strangers)
    draft.drop_unwanted()
    return draft


def _require_apart(plain: Sequence[str], wishes: Sequence[tuple[Attribute, Places]]) -> None:
    """A person has one attribute of a kind."""
    for (one, here), (two, there) in combinations(wishes, 2):
        kinds = [kind for kind in one.kinds if kind in two.kinds]
        shared = [
            " ".join(plain[start:end])
            for start, end in here
            for first, last in there
            if start < last and first < end
        ]
        if kinds and shared:
            raise EvenframeError(
                f"'{one.name}' and '{two.name}' ({kinds[0]}) are both for '{shared[0]}': keep one. "
                "Where two people are meant, give each words of its own: in 'a tall doctor and a "
                "small doctor', 'tall doctor: female, small doctor: male'."
            )


def _make_explicit(
    draft: Draft, plain: Sequence[str], attribute: Attribute, start: int, end: int
) -> set[int]:
    """Returns which of the words that say the contrary are dealt with."""
    contrary, noun = dict(attribute.others), plain[end - 1]
    described = description_of(plain, start)
    has = _has(plain, attribute, start, end)
    own = range(start - len(attribute.before.split()) if has else start, start)
    against = [index for index in described if index not in own and _says(plain, index, contrary)]
    done = {*own, *against}
    described_as = {_with_degree(plain, index) for index in described}
    if noun in contrary:
        draft.put(end - 1, contrary[noun] or attribute.before or noun)
        _tell(draft, noun, attribute)
        done = {end - 1}
    elif against and (has or described_as & set(attribute.words)):
        _leave_out(draft, plain, against, attribute)
    elif against:
        _put_against(draft, plain, against, attribute)
        draft.add(draft.place(end - 1) + 1, attribute.after)
    elif has or {*described_as, noun} & set(attribute.words):
        draft.notes.append(f"The prompt says '{attribute.name}' already.")
    else:
        draft.add(draft.place(end - 1) + 1, attribute.after)
        draft.add(draft.place(start), attribute.before)
    if attribute.after:
        draft.notes.append(
            f"'{attribute.after}' stands after '{noun}', and a text encoder reads forwards: "
            "only what follows knows of it. Where the effect is too small, put it before."
        )
    return done


def _put_against(
    draft: Draft, plain: Sequence[str], against: Sequence[int], attribute: Attribute
) -> None:
    """The attribute's words in the places of those that contradict it, the last in the last."""
    words = attribute.before.split()
    used = against[-len(words) :] if words else []
    for index in used:
        draft.unwanted.update(set(_degree_span(plain, index)) - {index})
    spare = len(words) - len(used)
    texts = [" ".join(words[: spare + 1]), *words[spare + 1 :]]
    for index, text in zip(used, texts, strict=False):  # nothing is used where there are no words
        draft.put(index, text)
    for index in against:
        _tell(draft, _with_degree(plain, index), attribute)


def _leave_out(
    draft: Draft, plain: Sequence[str], against: Sequence[int], attribute: Attribute
) -> None:
    """Words that contradict the attribute go where it is said beside them already."""
    for index in against:
        draft.unwanted.update(_degree_span(plain, index))
        draft.notes.append(
            f"The prompt says '{_with_degree(plain, index)}', which contradicts "
            f"'{attribute.name}', and that too: the fairness prompt says only the attribute."
        )


def _tell(draft: Draft, word: str, attribute: Attribute) -> None:
    draft.notes.append(
        f"The prompt says '{word}', which contradicts '{attribute.name}': "
        "the fairness prompt says the attribute in its place."
    )


def _turn_pronouns(
    draft: Draft, plain: Sequence[str], attribute: Attribute, told: set[int], strangers: Places
) -> set[int]:
    """Pronouns before the first stranger; behind, they may be the stranger's. Returns which."""
    contrary = dict(attribute.others)
    nobody_else = min((start for start, _ in strangers), default=len(plain))
    turned = {
        index
        for index, word in enumerate(plain[:nobody_else])
        if word in PRONOUNS and contrary.get(word) and index not in told
    }
    for index in sorted(turned):
        draft.put(index, contrary[plain[index]])
        _tell(draft, plain[index], attribute)
    return turned


def _tell_elsewhere(
    draft: Draft, plain: Sequence[str], attribute: Attribute, told: set[int], strangers: Places
) -> None:
    """Contrary words that stay; what describes a stranger is none."""
    theirs = {index for start, _ in strangers for index in description_of(plain, start)}
    for index, word in enumerate(plain):
        if word in dict(attribute.others) and index not in told | theirs:
            draft.notes.append(
                f"The prompt also says '{word}', which is not '{attribute.name}', and it stays: "
                "where it is about the same person, write another word."
            )


def description_of(plain: Sequence[str], start: int) -> range:
    """Indices of the words before a noun that describe it, back to the article."""
    first = start
    while first > 0 and plain[first - 1] not in STOP_WORDS - DEGREES:
        first -= 1
    return range(first, start)


def _with_degree(plain: Sequence[str], index: int) -> str:
    """A word with the degree before it, as in 'very dark-skinned', or alone."""
    return " ".join(plain[at] for at in _degree_span(plain, index))


def _degree_span(plain: Sequence[str], index: int) -> range:
    """The indices of a word and the degree before it, if there is one."""
    return range(index - 1 if index and plain[index - 1] in DEGREES else index, index + 1)


def _says(plain: Sequence[str], index: int, words: Container[str]) -> bool:
    """Whether a word is one of some, alone or with its degree."""
    return plain[index] in words or _with_degree(plain, index) in words


def _has(plain: Sequence[str], attribute: Attribute, start: int, end: int) -> bool:
    """Whether the attribute's own words already stand around a place, with no other degree."""
    before, after = attribute.before.lower().split(), attribute.after.lower().split()
    first = max(start - len(before), 0)
    return (
        list(plain[first:start]) == before
        and list(plain[end : end + len(after)]) == after
        and _with_degree(plain, first) not in dict(attribute.others)
    )
