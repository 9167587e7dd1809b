"""FAME's soft debiasing prompt encoding.

Source: "FAME: Fairness-aware Attention-modulated Video Editing" (arXiv 2510.22960, 2025): the
embeddings of fairness-relevant tokens are blended towards those of a prompt that makes the
attribute explicit, by a coefficient lambda, and the EOS embedding with them. The closed form, how
words are found and how they are aligned is this project's own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..common.checks import require_choice
from ..common.errors import EvenframeError
from ..common.typed_text import plain_words, quoted
from ..models.checks import require_prompt
from ..text.conditioning import Conditioning
from ..text.prompt import parse_phrases
from ..text.tokens import Tokens
from .attributes import Attribute, find_attribute
from .blending import blend_embeddings, selection
from .gate import require_adult, require_adult_at
from .pairing import Pairing, align_words, in_place, with_added_words
from .people import Found, find_person
from .presets import Presets, shipped
from .wording import Draft, write

if TYPE_CHECKING:
    from ..models.model import Model

MASKS = ("hard", "soft")
SOFT_MIDDLE, SOFT_WIDTH = 0.5, 0.1
SHOWN = 0.005


@dataclass(frozen=True)
class Wish:
    """An attribute, and the words of the prompt that it is for; "" where they are to be found."""

    attribute: str
    words: str = ""


@dataclass(frozen=True)
class Blended:
    """One token that was blended.

    token, fair_token: positions in the target and the fairness prompt. word, fair_word: the words
    they belong to. weight: share of the fairness embedding, 0..1.
    """

    token: int
    word: str
    weight: float
    fair_token: int
    fair_word: str


@dataclass(frozen=True)
class Record:
    """What was blended, for people to read.

    target, fair: both prompts. found: how each wish's words were found. blended: every token with a
    weight above 0. notes: contradictions, words that the model does not know, as sentences.
    """

    target: str
    fair: str
    found: tuple[tuple[Wish, Found], ...]
    blended: tuple[Blended, ...]
    notes: tuple[str, ...]

    def describe(self) -> str:
        """The record as lines of text, without tokens that hardly changed."""
        lines = [f"target    {self.target}", f"fairness  {self.fair}"]
        for wish, found in self.found:
            ranked = "".join(f", {word} {cosine:.2f}" for word, cosine in found.ranking[:3])
            lines.append(f"'{wish.attribute}' is for '{wish.words}' ({found.how}{ranked})")
        lines += [
            f"{row.word}[{row.token}] <- {row.weight:.3g} {row.fair_word}[{row.fair_token}]"
            for row in self.blended
            if row.weight >= SHOWN
        ]
        return "\n".join([*lines, *self.notes])


@dataclass(frozen=True, eq=False)
class FairPrompt:
    """A prompt like any other, and the record of what is different in it."""

    prompt: Conditioning
    record: Record


@torch.no_grad()
def encode_fair(
    model: "Model",
    target: str | Conditioning,
    wishes: Sequence[Wish],
    *,
    strength: float = 0.5,
    mask: str = "hard",
    eos_scope: str = "first",
    explicit: bool = False,
    presets: Presets | None = None,
) -> FairPrompt:
    """Blend a prompt towards the same prompt with each person's attribute made explicit.

    strength: lambda, 0..1; 0 gives the target as it is, about 0.5 is best, above 0.75 distorts.
    mask: "hard" blends the words of the persons, "soft" also tokens like them. eos_scope: "first",
    "first+padding" or "none", see `blend_embeddings`; "none" alone where no token sums the prompt
    up. explicit: the attribute's own words are in the prompt, too, each blended from the word it
    describes: for models that read an attribute there. presets: attributes that have a name; None
    for the shipped ones.
    Raises EvenframeError for settings out of range, empty attributes, words that are not found,
    children, a fairness prompt that is too long, and explicit words in a prompt of several parts.
    """
    prompt = target if isinstance(target, Conditioning) else model.text.encode(target)
    require_prompt(model, prompt, "target prompt")
    require_choice("mask", mask, MASKS)
    tokens = prompt.tokens
    if eos_scope != "none":
        tokens.require_summary("eos_scope", "none")
    if not wishes:
        raise EvenframeError("There is no attribute: write one, as in 'female'.")
    known = shipped() if presets is None else presets
    found = [_find(model, tokens, wish, known) for wish in wishes]
    pairs = [(attribute, places.places) for _, attribute, places in found]
    draft = write([word.text for word in tokens.words], pairs)
    fair = _encode_longer(model.text.encode, draft.text)
    if len(fair.tokens.words) != len(draft.words):
        raise EvenframeError(
            f"The attribute has signs that the model cannot read: '{draft.text}'. Use plain words."
        )
    mapper = align_words(tokens, fair.tokens, draft)
    weights = _mask(prompt, fair.tokens, draft, mapper, mask)
    lengths = len(prompt.states["tokens"]), len(fair.states["tokens"])
    if explicit and strength > 0 and fair.tokens.ids != tokens.ids:
        _require_one_part(prompt, fair)
        pairing = with_added_words(tokens, fair.tokens, draft, weights, lengths)
    else:
        pairing = in_place(tokens, mapper, weights, lengths[0])
    made, rows = _blended(prompt, fair, pairing, strength, eos_scope)
    who, notes = tuple((wish, places) for wish, _, places in found), _notes(draft, fair, prompt)
    return FairPrompt(made, Record(tokens.text, fair.tokens.text, who, rows, notes))


def soft_mask(states: Tensor, chosen: Sequence[int]) -> Tensor:
    """M of tokens that resemble the chosen ones: max over j of sigmoid((cos - .5) / .1).

    states: (n, c) of a prompt's tokens from its first word on; compared without their mean.
    Returns (n,) in 0..1: cosines .5, .3 and 0 give .5, .119 and .0067.
    """
    centred = torch.nn.functional.normalize(states - states.mean(0), dim=-1)
    return soft_weight(centred @ centred[list(chosen)].T).amax(-1)


def soft_weight(cosine: Tensor) -> Tensor:
    """sigmoid((cos - .5) / .1)."""
    return torch.sigmoid((cosine - SOFT_MIDDLE) / SOFT_WIDTH)


def parse_wishes(text: str, words: str = "") -> tuple[Wish, ...]:
    """Read attributes: "female", or "doctor: female, nurse: older male" for several people.

    words: for attributes that name none.
    """
    wishes = []
    for part in parse_phrases(text):
        named, colon, attribute = (piece.strip() for piece in part.rpartition(":"))
        wishes.append(Wish(attribute, named if colon else words.strip()))
    return tuple(wishes)


def _find(
    model: "Model", prompt: Tokens, wish: Wish, presets: Presets
) -> tuple[Wish, Attribute, Found]:
    attribute = find_attribute(wish.attribute, presets)

    def embed(text: str) -> Tensor:
        return model.text.encode(text).pooled()

    found = find_person(prompt, wish.words, attribute.name, embed)
    words = [word.text for word in prompt.words]
    for text in (attribute.before, attribute.after):
        require_adult(text)
    if found.how == "ranking":  # who is meant is not known
        require_adult(prompt.text)
    for place in found.places:
        require_adult_at(words, place)
    start, end = found.places[0]
    return Wish(wish.attribute, " ".join(plain_words(words[start:end]))), attribute, found


def _encode_longer(encode: Callable[[str], Conditioning], text: str) -> Conditioning:
    try:
        return encode(text)
    except EvenframeError as error:
        raise EvenframeError(f"With its attribute: {error}") from error


def _mask(prompt: Conditioning, fair: Tokens, draft: Draft, mapper: Tensor, kind: str) -> Tensor:
    """M for the target's tokens; the EOS follows its scope instead."""
    tokens = prompt.tokens
    chosen = [at for word in sorted(draft.relevant) for at in tokens.at((word, word + 1))]
    first, count = tokens.first, len(tokens.ids)
    mask = torch.zeros(count)
    mask[chosen] = 1
    if kind == "soft":
        states = prompt.states["tokens"][first:count].float().cpu()
        mask[first:] = soft_mask(states, [token - first for token in chosen])
    if tokens.summary is not None:
        # Such an encoder reads forwards: before the first word that differs, so are the states.
        pairs = enumerate(zip(tokens.ids, fair.ids, strict=False))
        mask[: next((at for at, (own, their) in pairs if own != their), count)] = 0
    return torch.where(mapper >= 0, mask, 0.0)


def _require_one_part(*prompts: Conditioning) -> None:
    parts = max(len(prompt.host or ()) for prompt in prompts)
    if parts > 1:
        raise EvenframeError(
            f"The conditioning of {quoted(prompts[0].tokens.text)} has {parts} parts, of other "
            "prompts, areas or steps, so no word can be added to it: give that of one prompt, or "
            "switch explicit off."
        )


def _blended(
    prompt: Conditioning, fair: Conditioning, pairing: Pairing, strength: float, eos_scope: str
) -> tuple[Conditioning, tuple[Blended, ...]]:
    """The prompt, and the record's rows: tokens that were blended; padding counts as the EOS."""
    mapper, mask, words = pairing.mapper, pairing.mask, pairing.words
    theirs, states = fair.states["tokens"], prompt.states["tokens"]
    own = states[pairing.own.to(states.device)]
    blended = blend_embeddings(own, theirs, mapper, mask, strength, eos_scope, words)
    kept = prompt.reworded(fair) if pairing.tokens is fair.tokens else prompt
    made = replace(kept, states={**prompt.states, "tokens": blended})
    weights, index = selection(mapper, mask, words, len(own), eos_scope)
    names, fair_names = _names(prompt.tokens), _names(fair.tokens)
    found = zip(pairing.own.tolist(), index.tolist(), weights.tolist(), strict=True)
    rows = [
        Blended(token, names[token], strength * weight, at, fair_names[at])
        for token, at, weight in found
        if token in names and at in fair_names and strength * weight > 0
    ]
    return made, tuple(rows)


def _notes(draft: Draft, fair: Conditioning, prompt: Conditioning) -> tuple[str, ...]:
    stays = () if prompt.host is None else prompt.notes  # what a host has beside its words
    return tuple(dict.fromkeys([*draft.notes, *fair.notes, *stays]))


def _names(prompt: Tokens) -> dict[int, str]:
    """Which word each token belongs to."""
    special = {at: "(start)" if at < prompt.first else "(end)" for at in range(len(prompt.ids))}
    return special | {token: word.text for word in prompt.words for token in word.tokens}
