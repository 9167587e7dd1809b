"""Which attention columns an edit takes from the source: word swap, refinement, reweighting.

Source: "Prompt-to-Prompt Image Editing with Cross Attention Control" (Hertz et al., ICLR 2023).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...text.alignment import align, replace_matrix
from ...text.prompt import find_tokens
from ...text.tokens import Tokens


@dataclass(frozen=True, eq=False)
class TokenMix:
    """Which attention columns the edit takes from the source, and which are its own.

    from_source: (source tokens, target tokens), so that V_1 = from_source V is of the source's.
    own: (target tokens,), factors of the edit's own columns, so that V_2 = own V.
    """

    from_source: Tensor
    own: Tensor


def token_mix(
    method: str,
    source: Tokens,
    target: Tokens,
    length: int,
    weights: Iterable[tuple[str, float]] = (),
    source_length: int | None = None,
) -> TokenMix:
    """The columns of R[n] = a_n w_n S_source[map n] + (1 - a_n) w_n S_edit[n], as matrices.

    length: tokens in the encoded target; source_length: in the encoded source, None for as many.
    What a longer target has beyond the source's end stays its own, but for words that come from it.
    """
    theirs = length if source_length is None else source_length
    factors = torch.ones(length)
    for word, factor in weights:
        factors[list(find_tokens(target, word))] = factor
    if method == "reweight":
        return TokenMix(torch.zeros(theirs, length), factors)
    columns = torch.arange(length)
    if method == "replace":
        before, after = ([word.tokens for word in prompt.words] for prompt in (source, target))
        matrix = replace_matrix(before, after, length, theirs)
        own = (columns >= theirs) & ~matrix.any(0)
        return TokenMix(matrix * factors, own * factors)
    mapper, alphas = align(source, target, length, theirs)
    matrix = torch.zeros(theirs, length)
    matrix[mapper.clamp(min=0), columns] = alphas
    return TokenMix(matrix * factors, (1 - alphas) * factors)
