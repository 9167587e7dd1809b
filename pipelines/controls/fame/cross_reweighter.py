"""FAME's cross-attention reweighting: a person's pixels listen more to the word for the person.

Source: "FAME: Fairness-aware Attention-modulated Video Editing" (arXiv 2510.22960, 2025): scores
are adjusted by the cosine similarity between spatial query features and the fairness token
embeddings, continuously. The formula is this project's own, see formulas.py: both are compared in
the layer's key space, head by head.
"""

import logging
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import torch
from torch import Tensor

from ...attention.terms import Call, Term, Terms, extended, logits_of
from ...common.errors import EvenframeError
from ...common.settings import setting
from ...common.typed_text import quoted
from ...fairness.people import known_person
from ...regions.region import Region
from ...text.alignment import align
from ...text.prompt import find_places, parse_phrases
from ...text.tokens import Place, Tokens
from ..base import ControlRun, Edit
from ..region_words import region_places, tell_places
from .formulas import likeness, raised
from .shared import FameControl, FameRun
from .subject import Subjects, find_subjects, require_subject

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CrossReweighter(FameControl):
    """Settings of the reweighting. With neither regions nor a subject, it acts everywhere.

    Raises EvenframeError for settings out of range.
    """

    words: tuple[str, ...] = setting(
        (),
        "Words of the target prompt that stand for the person, with commas. Empty: the regions' "
        "own words, else a person that the pack knows.",
        read=parse_phrases,
    )
    _: KW_ONLY
    weight: float = setting(
        0.4, "How far a word that fits is raised (lambda).", within=(0, 1), told="weight (lambda)"
    )
    eos: bool = setting(False, "Raise the end of the prompt too, which sums it up.")
    spread: bool = setting(
        False,
        "Stretch the likeness to the whole range from 0 to 1 over the pixels; raw ones can be "
        "flat.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.regions is not None:
            require_subject(self.regions, self.subject)

    def begin(self, edit: Edit) -> ControlRun:
        """Find the words in both prompts and start."""
        people = self._people(edit)
        if self.strength == 0 or self.weight == 0:
            return ControlRun()
        subjects = None
        if self.regions is not None or self.subject:
            subjects = find_subjects(edit, self.regions, self.subject, self.threshold)
        return CrossReweighterRun(self, edit, people, subjects)

    def _people(self, edit: Edit) -> list["Person"]:
        items = () if self.regions is None else self.regions.items
        prompt = edit.prompt.tokens
        if self.words or not any(parse_phrases(region.words) for region in items):
            words = self.words or _known(prompt)
            places = [place for word in words for place in find_places(prompt, word)]
            return [person(edit, places, None, self.eos)]
        owned = region_places(prompt, items)
        tell_places(edit, items, owned)
        _tell_wordless(edit, items, owned)
        pairs = [(index, places) for index, places in enumerate(owned) if places]
        return [person(edit, places, index, self.eos) for index, places in pairs]


def _tell_wordless(edit: Edit, regions: Sequence[Region], owned: Sequence[Sequence[Place]]) -> None:
    for region, places in zip(regions, owned, strict=True):
        if not places and edit.first_window:
            log.warning(
                "Region '%s' has no words: nothing is raised there. Give it words of the "
                "target prompt, as the other regions have.",
                region.name,
            )


def _known(prompt: Tokens) -> tuple[str, ...]:
    places = known_person(prompt)
    if not places:
        raise EvenframeError(
            f"No word of the prompt {quoted(prompt.text)} is known to stand for a person: name the "
            "words."
        )
    start, end = places[0]
    return (" ".join(word.text for word in prompt.words[start:end]),)


@dataclass(frozen=True)
class Person:
    """Whose words are raised where. target, source: token positions in either prompt, those of the
    source where it has the words. region: index of the region, or None for all."""

    target: tuple[int, ...]
    source: tuple[int, ...]
    region: int | None


def person(edit: Edit, places: Sequence[Place], region: int | None, eos: bool) -> Person:
    """The tokens in both prompts of the words at some places of the target."""
    prompts = edit.prompt, edit.inversion.prompt
    target, source = (prompt.tokens for prompt in prompts)
    mapper, _ = align(source, target, *(len(prompt.states["tokens"]) for prompt in prompts))
    tokens = {token for place in places for token in target.at(place)}
    theirs = {token for place in places for token in _in_source(source, target, mapper, place)}
    if eos:
        tokens.add(target.require_summary("eos", "off"))
        theirs.add(source.require_summary("eos", "off"))
    return Person(tuple(sorted(tokens)), tuple(sorted(theirs)), region)


def _in_source(source: Tokens, target: Tokens, mapper: Tensor, place: Place) -> list[int]:
    """The source tokens that words of the target come from: the same words, or, in prompts of
    equally many words, those in their place."""
    same = [int(mapper[token]) for token in target.at(place) if mapper[token] >= 0]
    if same or len(source.words) != len(target.words):
        return same
    return [token for index in range(*place) for token in source.words[index].tokens]


class CrossReweighterRun(FameRun):
    """The reweighting at work in one edit."""

    _settings: CrossReweighter

    def __init__(
        self,
        settings: CrossReweighter,
        edit: Edit,
        people: Sequence[Person],
        subjects: Subjects | None,
    ):
        super().__init__(settings, edit)
        self._people, self._subjects = people, subjects
        self._masks: dict[tuple[int, int], Tensor] = {}

    def attend(self, call: Call, terms: Terms) -> Terms:
        """Reweight the target branch's cross-attention, in the coarser layers."""
        if not self.acts(call, "cross"):
            return terms
        return tuple(self._reweighted(term, call) for term in terms)

    def _reweighted(self, term: Term, call: Call) -> Term:
        for who in self._people:
            tokens = who.source if term.source else who.target
            if tokens:
                term = self._raised(term, call, tokens, self._mask(call, who.region))
        return term

    def _raised(
        self, term: Term, call: Call, tokens: tuple[int, ...], subject: Tensor | None
    ) -> Term:
        """The term with some columns raised: one more dimension of queries and keys for each."""
        settings, width = self._settings, call.q.shape[-1]
        logits = logits_of(term)  # f heads n tokens: as few columns as the prompt has tokens
        chosen = torch.tensor(tokens, device=logits.device)
        # What other controls have added to queries and keys is no feature of pixel or word.
        queries, keys = (x[..., :width].to(logits) for x in (term.q, term.k))
        amount = settings.strength * self._rho * settings.weight
        amount = amount * likeness(queries, keys[..., chosen, :], settings.spread)
        if subject is not None:
            amount = amount * subject.to(logits)[..., None]
        added = raised(logits, chosen, amount) - logits[..., chosen]
        columns = torch.zeros(
            term.k.shape[2], len(tokens), dtype=term.k.dtype, device=term.k.device
        )
        columns[chosen, torch.arange(len(tokens), device=chosen.device)] = 1
        return extended(term, added, columns)

    def _mask(self, call: Call, region: int | None) -> Tensor | None:
        """(f, 1, n) in 0..1, or None for everywhere."""
        if self._subjects is None:
            return None
        if call.grid not in self._masks:  # the same at every step, and costly to draw
            self._masks[call.grid] = self._subjects.masks(call.grid).to(call.q.device)
        masks = self._masks[call.grid]
        return (masks.amax(0) if region is None else masks[region])[:, None]
