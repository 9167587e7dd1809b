"""Which tokens of a prompt and of its fairness prompt are blended with each other.

How words are aligned is this project's own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..text.tokens import Tokens, Word
from .wording import Draft


@dataclass(frozen=True, eq=False)
class Pairing:
    """The tokens that come of blending, and what goes into each.

    tokens: theirs. own: (L,), for each position that of the target. mapper, mask: pi and M of
    `blend_embeddings`, for each token.
    """

    tokens: Tokens
    own: Tensor
    mapper: Tensor
    mask: Tensor

    @property
    def words(self) -> range:
        """Positions of the words' tokens."""
        return range(self.tokens.first, self.tokens.last + 1)


def in_place(target: Tokens, mapper: Tensor, mask: Tensor, length: int) -> Pairing:
    """The target's own tokens, each towards the fairness prompt's. length: of its states."""
    return Pairing(target, torch.arange(length), mapper, mask)


def with_added_words(
    target: Tokens, fair: Tokens, draft: Draft, mask: Tensor, lengths: tuple[int, int]
) -> Pairing:
    """The fairness prompt's tokens, each from the target's: an added word's from that which it
    describes, padding's from that in its place.

    mask: M of the target's tokens; of an added word's it is 1. lengths: of both prompts' states.
    """
    pairs, there = list(zip(draft.words, fair.words, strict=True)), torch.arange(lengths[1])
    own = there.clamp(len(target.ids), lengths[0] - 1)
    described = [(word.tokens, _origin(target.words[of.origin], of.added)) for of, word in pairs]
    own[: len(fair.ids)] = _aligned(fair, target, described)
    # Special tokens between the words, where a long prompt goes on in another part, stay in place.
    between = own < 0
    own = torch.where(between, there.clamp(max=lengths[0] - 1), own)
    weights = torch.where(between, 0.0, mask[own.clamp(max=len(mask) - 1)])[: len(fair.ids)]
    weights[[at for of, word in pairs if of.added for at in word.tokens]] = 1
    return Pairing(fair, own, torch.arange(len(fair.ids)), weights)


def _origin(word: Word, added: bool) -> tuple[int, ...]:
    """What an added word comes from has no comma."""
    return word.core or word.tokens if added else word.tokens


def align_words(target: Tokens, fair: Tokens, draft: Draft) -> Tensor:
    """pi: for each of the target's tokens its fairness position; -1 where there is none.

    Words of as many tokens go token by token; otherwise they are spread, last token to last, since
    the last one has read the others. Special tokens go to those in their place.
    """
    pairs = zip(draft.words, fair.words, strict=True)
    kept = [(target.words[of.origin].tokens, word.tokens) for of, word in pairs if not of.added]
    return _aligned(target, fair, kept)


def _aligned(
    one: Tokens, other: Tokens, pairs: Iterable[tuple[Sequence[int], Sequence[int]]]
) -> Tensor:
    """For each token of one prompt its position in the other, by the positions of words that belong
    together; -1 where there is none."""
    mapper = torch.full((len(one.ids),), -1)
    mapper[: one.first] = torch.arange(one.first)
    mapper[one.last + 1 :] = torch.arange(other.last + 1, len(other.ids))
    for word, others in pairs:
        steps = torch.linspace(0, 1, len(word)) if len(word) > 1 else torch.ones(1)
        picked = (steps * (len(others) - 1)).round().long()
        mapper[list(word)] = torch.tensor(others)[picked]
    return mapper
