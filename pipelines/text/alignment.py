"""How the tokens of a source prompt correspond to those of a target prompt.

Source: "Prompt-to-Prompt Image Editing with Cross Attention Control" (Hertz et al., ICLR 2023),
word swap (Replace) and prompt refinement (Refine), as FateZero (ICCV 2023) uses them.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..common.errors import EvenframeError

CONTEXT_LENGTH = 77
CLIP_END = 49407
"""CLIP's EOS; Stable Diffusion 1 pads with it, Stable Diffusion 2 with another id."""
GAP, MATCH, MISMATCH = 0, 1, -1


def align_tokens(
    source_ids: Sequence[int] | Tensor,
    target_ids: Sequence[int] | Tensor,
    length: int = CONTEXT_LENGTH,
) -> tuple[Tensor, Tensor]:
    """Refine: for every target token, the source token it comes from.

    source_ids, target_ids: token ids with BOS and EOS, padded with any id or not.
    length: tokens in the encoded prompt.
    Returns (mapper, alphas), both (length,): mapper[n] is the source position of target token n or
    -1 for an inserted token; alphas[n] is 1.0 where there is a source token and 0.0 where not.
    Beyond the target's EOS position n maps to n, as published: in a longer source, to a word.

    A Needleman-Wunsch alignment (gap 0, match 1, mismatch -1); ties prefer an inserted target
    token, then a dropped source token, then a pair.
    """
    source, target = _unpadded(source_ids), _unpadded(target_ids)
    for name, ids in (("source", source), ("target", target)):
        if len(ids) > length:
            raise EvenframeError(
                f"The {name} prompt has {len(ids)} tokens: shorten it by {len(ids) - length} "
                f"(at most {length} with start and end)."
            )
    mapper = torch.arange(length)
    mapper[: len(target)] = torch.tensor(_needleman_wunsch(source, target), dtype=torch.long)
    return mapper, (mapper >= 0).to(torch.float32)


def replace_matrix(
    source_words: Sequence[Sequence[int]],
    target_words: Sequence[Sequence[int]],
    length: int = CONTEXT_LENGTH,
) -> Tensor:
    """Replace: the matrix that carries source attention columns to target columns.

    source_words, target_words: the token positions of each word, in order; equal numbers of words.
    length: tokens in the encoded prompt, L.
    Returns (L, L) float32, rows source and columns target, so that R = S_source @ matrix. A word of
    as many tokens as its partner maps one to one; otherwise each source token is spread evenly over
    the partner's tokens. EOS maps to EOS and padding to padding; every row sums to 1, so the mapped
    attention keeps its mass.
    """
    if len(source_words) != len(target_words):
        raise EvenframeError(
            f"Replace needs prompts of equally many words, but the source has {len(source_words)} "
            f"and the target {len(target_words)}: use Refine, or change one word for one word."
        )
    matrix = torch.zeros(length, length)
    matrix[0, 0] = 1.0
    source_end, target_end = 1, 1
    for source, target in zip(source_words, target_words, strict=True):
        if len(source) == len(target):
            matrix[list(source), list(target)] = 1.0
        else:
            matrix[torch.tensor(list(source))[:, None], list(target)] = 1.0 / len(target)
        source_end, target_end = source[-1] + 1, target[-1] + 1
    rest = torch.arange(source_end, length)
    matrix[rest, (rest - source_end + target_end).clamp(max=length - 1)] = 1.0
    return matrix


def _unpadded(ids: Sequence[int] | Tensor) -> list[int]:
    """Token ids up to and with the EOS: CLIP's, or the first of a trailing run of one id."""
    values = ids.tolist() if isinstance(ids, Tensor) else list(ids)
    if CLIP_END in values:
        return values[: values.index(CLIP_END) + 1]
    end = len(values)
    while end >= 2 and values[end - 2] == values[end - 1]:
        end -= 1
    return values[:end]


def _needleman_wunsch(source: list[int], target: list[int]) -> list[int]:
    """The source index of every target token, -1 where it was inserted."""
    rows, columns = len(source) + 1, len(target) + 1
    score = [[0] * columns for _ in range(rows)]  # GAP is 0, so the borders are too
    for i in range(1, rows):
        for j in range(1, columns):
            pair = MATCH if source[i - 1] == target[j - 1] else MISMATCH
            score[i][j] = max(
                score[i][j - 1] + GAP, score[i - 1][j] + GAP, score[i - 1][j - 1] + pair
            )
    mapper = [-1] * len(target)
    i, j = rows - 1, columns - 1
    while j > 0:
        if score[i][j] == score[i][j - 1] + GAP:
            j -= 1
        elif score[i][j] == score[i - 1][j] + GAP:
            i -= 1
        else:
            i, j = i - 1, j - 1
            mapper[j] = i
    return mapper
