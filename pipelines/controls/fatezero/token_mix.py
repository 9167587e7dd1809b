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

    from_source: (L, L), rows source tokens and columns target tokens, so that V_1 = from_source V.
    own: (L,), factors of the edit's own columns, so that V_2 = own V.
    """

    from_source: Tensor
    own: Tensor


def token_mix(
    method: str,
    source: Tokens,
    target: Tokens,
    length: int,
    weights: Iterable[tuple[str, float]] = (),
) -> TokenMix:
    """The columns of R[n] = a_n w_n S_source[map n] + (1 - a_n) w_n S_edit[n], as matrices."""
    factors = torch.ones(length)
    for word, factor in weights:
        factors[list(find_tokens(target, word))] = factor
    if method == "reweight":
        return TokenMix(torch.zeros(length, length), factors)
    if method == "replace":
        matrix = replace_matrix(
            [word.tokens for word in source.words], [word.tokens for word in target.words], length
        )
        return TokenMix(matrix * factors, torch.zeros(length))
    mapper, alphas = align(source, target, length)
    columns = torch.arange(length)
    matrix = torch.zeros(length, length)
    matrix[mapper.clamp(min=0), columns] = alphas
    return TokenMix(matrix * factors, (1 - alphas) * factors)
