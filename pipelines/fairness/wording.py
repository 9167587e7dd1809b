"""The fairness prompt: the target prompt with each person's attribute made explicit.

What FAME's paper calls p_fair; how the words are put is this project's own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

from ..common.errors import EvenframeError
from ..common.typed_text import plain_words, punctuation_apart
from ..text.tokens import Place
from .attributes import DEGREES, PRONOUNS, Attribute
from .children import children_in
from .grammar import STOP_WORDS
from .people import people_in
from .reading import read, word_places

ARTICLES = {"a", "an"}

Places = Sequence[Place]


@dataclass(frozen=True)
class FairWord:
    """A word of a fairness prompt.

    origin: index of the target's word that it stands for, or that it was added to describe.
    """

    text: str
    origin: int
    added: bool = False


def write(words: Sequence[str], wishes: Iterable[tuple[Attribute, Places]]) -> "Draft":
    """Make attributes explicit in a prompt.

    words: of the target prompt. wishes: attributes with the places that they are for. An attribute
    that the prompt has already is left; a word of its place that says the contrary gives its own,
    and so does a pronoun with nobody else before it, but no possessive of the place itself ('her
    doctor'). A note says so, and also where such a word stands elsewhere.
    Raises EvenframeError where two attributes of a kind are for the same words.
    """
    plain, pairs = plain_words(words), list(wishes)
    draft = Draft([FairWord(word, index) for index, word in enumerate(words)], plain)
    _require_apart(plain, pairs)
    pieces = read(words)
    people = {*people_in(words), *word_places(pieces, children_in(pieces))}
    people |= {place for _, places in pairs for place in places}
    for attribute, places in pairs:
        told: set[int] = set()
        for start, end in places:
            draft.relevant.update(range(start, end))
            told |= draft.make_explicit(attribute, start, end)
        own = {at for start, end in places for at in (*draft.description_of(start), end - 1)}
        strangers = [place for place in people if own.isdisjoint(range(*place))]
        # A possessive before a noun is somebody else's: nobody is 'her doctor' to herself.
        told |= {draft.description_of(start).start - 1 for start, _ in places}
        told |= draft.turn_pronouns(attribute, told, strangers)
        draft.tell_elsewhere(attribute, told, strangers)
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


@dataclass
class Draft:
    """A fairness prompt in the making.

    words: in order. plain: the target's words. relevant: indices of those that the attributes are
    about. unwanted: of those to be left out in the end. notes: what was found out on the way, as
    sentences.
    """

    words: list[FairWord]
    plain: Sequence[str]
    relevant: set[int] = field(default_factory=set)
    unwanted: set[int] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The whole prompt."""
        return " ".join(word.text for word in self.words)

    def make_explicit(self, attribute: Attribute, start: int, end: int) -> set[int]:
        """Say the attribute at a place. Returns which of the words that say the contrary are dealt
        with."""
        contrary, noun = dict(attribute.others), self.plain[end - 1]
        described = self.description_of(start)
        has = self._has(attribute, start, end)
        own = range(start - len(attribute.before.split()) if has else start, start)
        against = [
            index
            for index in described
            if index not in own and not {self.plain[index], self._said(index)}.isdisjoint(contrary)
        ]
        done = {*own, *against}
        described_as = {self._said(index) for index in described}
        if noun in contrary:
            self._put(end - 1, contrary[noun] or attribute.before or noun)
            self._tell(noun, attribute)
            done = {end - 1}
        elif against and (has or described_as & set(attribute.words)):
            for index in against:
                self.unwanted.update(self._degree_span(index))
                self._tell(self._said(index), attribute, said=True)
        elif against:
            self._put_against(against, attribute)
            self._add(self._place(end - 1) + 1, attribute.after, end - 1)
        elif has or {*described_as, noun} & set(attribute.words):
            self.notes.append(f"The prompt says '{attribute.name}' already.")
        else:
            self._add(self._place(end - 1) + 1, attribute.after, end - 1)
            self._add(self._place(start), attribute.before, end - 1)
        if attribute.after:
            self.notes.append(
                f"'{attribute.after}' stands after '{noun}', and a text encoder reads forwards: "
                "only what follows knows of it. Where the effect is too small, put it before."
            )
        return done

    def turn_pronouns(self, attribute: Attribute, told: set[int], strangers: Places) -> set[int]:
        """Pronouns before the first stranger; behind, they may be the stranger's. Returns which."""
        contrary = dict(attribute.others)
        nobody_else = min((start for start, _ in strangers), default=len(self.plain))
        turned = [
            index
            for index, word in enumerate(self.plain[:nobody_else])
            if word in PRONOUNS and contrary.get(word) and index not in told
        ]
        for index in turned:
            self._put(index, contrary[self.plain[index]])
            self._tell(self.plain[index], attribute)
        return set(turned)

    def tell_elsewhere(self, attribute: Attribute, told: set[int], strangers: Places) -> None:
        """Contrary words that stay; what describes a stranger is none."""
        theirs = {index for start, _ in strangers for index in self.description_of(start)}
        for index, word in enumerate(self.plain):
            if word in dict(attribute.others) and index not in told | theirs:
                self.notes.append(
                    f"The prompt also says '{word}', which is not '{attribute.name}', and it "
                    "stays: where it is about the same person, write another word."
                )

    def drop_unwanted(self) -> None:
        """Leave the unwanted words out, but none that an attribute is about."""
        for origin in sorted(self.unwanted - self.relevant):
            at = self._place(origin)
            del self.words[at]
            self._fix_article(at)

    def description_of(self, start: int) -> range:
        """Indices of the words before a noun that describe it, back to the article."""
        first = start
        while first > 0 and self.plain[first - 1] not in STOP_WORDS - DEGREES:
            first -= 1
        return range(first, start)

    def _put_against(self, against: Sequence[int], attribute: Attribute) -> None:
        """The attribute's words in the places of those that contradict it, the last in the last."""
        words = attribute.before.split()
        used = against[-len(words) :] if words else []
        for index in used:
            self.unwanted.update(set(self._degree_span(index)) - {index})
        spare = len(words) - len(used)
        texts = [" ".join(words[: spare + 1]), *words[spare + 1 :]]
        for index, text in zip(used, texts, strict=False):  # none is used where there are no words
            self._put(index, text)
        for index in against:
            self._tell(self._said(index), attribute)

    def _tell(self, word: str, attribute: Attribute, said: bool = False) -> None:
        """said: the attribute stands beside the word that contradicts it."""
        instead = "the fairness prompt says the attribute in its place."
        if said:
            instead = "the fairness prompt says only the attribute."
        self.notes.append(
            f"The prompt says '{word}', which contradicts '{attribute.name}'"
            f"{', and that too' if said else ''}: {instead}"
        )

    def _said(self, index: int) -> str:
        """A word with the degree before it, as in 'very dark-skinned', or alone."""
        return " ".join(self.plain[at] for at in self._degree_span(index))

    def _degree_span(self, index: int) -> range:
        """The indices of a word and the degree before it, if there is one."""
        return range(index - (index > 0 and self.plain[index - 1] in DEGREES), index + 1)

    def _has(self, attribute: Attribute, start: int, end: int) -> bool:
        """Whether the attribute's own words stand around a place, with no other degree."""
        before, after = attribute.before.lower().split(), attribute.after.lower().split()
        first = max(start - len(before), 0)
        return (
            list(self.plain[first:start]) == before
            and list(self.plain[end : end + len(after)]) == after
            and self._said(first) not in dict(attribute.others)
        )

    def _place(self, origin: int) -> int:
        """Where the word that stands for a target word is now."""
        return next(
            at for at, word in enumerate(self.words) if word.origin == origin and not word.added
        )

    def _put(self, origin: int, text: str) -> None:
        """Put words in the place of a target word; the last of them stands for it."""
        at = self._place(origin)
        before, _, after = punctuation_apart(self.words[at].text)
        *added, last = text.split()
        self.words[at : at + 1] = [FairWord(word, origin, added=True) for word in added]
        self.words.insert(at + len(added), FairWord(before + last + after, origin))
        self.relevant.add(origin)
        self._fix_article(at)

    def _add(self, at: int, text: str, described: int) -> None:
        """Add words that stand for none of the target's, to describe one."""
        self.words[at:at] = [FairWord(word, described, added=True) for word in text.split()]
        self._fix_article(at)

    def _fix_article(self, at: int) -> None:
        """ "a" or "an" by the letter that follows now."""
        if not 0 < at < len(self.words) or self.words[at - 1].text.lower() not in ARTICLES:
            return
        vowel = self.words[at].text[:1].lower() in "aeiou"
        self.words[at - 1] = replace(self.words[at - 1], text="an" if vowel else "a")
