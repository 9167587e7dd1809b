"""How the tokens of a source prompt correspond to those of a target prompt.

Source: "Prompt-to-Prompt Image Editing with Cross Attention Control" (Hertz et al., ICLR 2023),
word swap (Replace) and prompt refinement (Refine), as FateZero (ICCV 2023) uses them.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..common.errors import EvenframeError
from .tokens import Tokens

CONTEXT_LENGTH = 77
CLIP_START, CLIP_END = 49406, 49407
"""Of a padded prompt of CLIP; Stable Diffusion 1 pads with the EOS, 2 with another id."""
GAP, MATCH, MISMATCH = 0, 1, -1


def align_tokens(
    source_ids: Sequence[int] | Tensor,
    target_ids: Sequence[int] | Tensor,
    length: int = CONTEXT_LENGTH,
    source_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """`align`, of token ids that may be padded with any id: the end is guessed from them."""
    return _aligned(_unpadded(source_ids), _unpadded(target_ids), length, source_length)


def align(
    source: Tokens, target: Tokens, length: int, source_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """Refine: for every target token, the source token it comes from.

    length: tokens in the encoded target, L; source_length: in the encoded source, None for as many.
    Returns (mapper, alphas), both (L,): mapper[n] is the source position of target token n or
    -1 for an inserted token; alphas[n] is 1.0 where there is a source token and 0.0 where not.
    Beyond the target's last token position n maps to n, as published: in a longer source, to a
    word; and to none beyond the source's end. Raises EvenframeError for prompts of more tokens than
    were encoded.

    A Needleman-Wunsch alignment (gap 0, match 1, mismatch -1); ties prefer an inserted target
    token, then a dropped source token, then a pair.
    """
    return _aligned(source.ids, target.ids, length, source_length)


def _aligned(
    source: Sequence[int], target: Sequence[int], length: int, source_length: int | None
) -> tuple[Tensor, Tensor]:
    theirs = length if source_length is None else source_length
    for name, ids, most in (("source", source, theirs), ("target", target, length)):
        if len(ids) > most:
            raise EvenframeError(
                f"The {name} prompt has {len(ids)} tokens: shorten it by {len(ids) - most} "
                f"(at most {most} with start and end)."
            )
    mapper = torch.arange(length)
    mapper[theirs:] = -1
    mapper[: len(target)] = torch.tensor(_needleman_wunsch(source, target), dtype=torch.long)
    return mapper, (mapper >= 0).to(torch.float32)


def replace_matrix(
    source_words: Sequence[Sequence[int]],
    target_words: Sequence[Sequence[int]],
    length: int = CONTEXT_LENGTH,
    source_length: int | None = None,
) -> Tensor:
    """Replace: the matrix that carries source attention columns to target columns.

    source_words, target_words: the token positions of each word, in order; equal numbers of words.
    length: tokens in the encoded target, L; source_length: in the encoded source, None for as many.
    Returns (source_length, L) float32, so that R = S_source @ matrix. A word of as many tokens as
    its partner maps one to one; otherwise each source token is spread evenly over the partner's
    tokens. What stands before the words maps to itself, and what follows them to what follows the
    others, or beyond the target's end to its last; every row sums to 1, so the mapped attention
    keeps its mass. Tokens between words, where an encoder ends and begins anew, map to as many
    there, else to the target's own end and beginning.
    """
    if len(source_words) != len(target_words):
        raise EvenframeError(
            f"Replace needs prompts of equally many words, but the source has {len(source_words)} "
            f"and the target {len(target_words)}: use Refine, or change one word for one word."
        )
    theirs = length if source_length is None else source_length
    matrix = torch.zeros(theirs, length)
    source_end = target_end = source_words[0][0] if source_words else 0
    before = torch.arange(source_end)
    matrix[before, before] = 1.0
    behind = min(target_words[-1][-1] + 1, length - 1) if target_words else 0
    for source, target in zip(source_words, target_words, strict=True):
        gap, there = range(source_end, source[0]), range(target_end, target[0])
        if gap:
            first = source_words[0][0]
            anew = [behind] * len(gap) + list(range(first))
            matrix[list(gap), list(there) if len(there) == len(gap) else anew[-len(gap) :]] = 1.0
        if len(source) == len(target):
            matrix[list(source), list(target)] = 1.0
        else:
            matrix[torch.tensor(list(source))[:, None], list(target)] = 1.0 / len(target)
        source_end, target_end = source[-1] + 1, target[-1] + 1
    rest = torch.arange(source_end, theirs)
    matrix[rest, (rest - source_end + target_end).clamp(max=length - 1)] = 1.0
    return matrix


def _unpadded(ids: Sequence[int] | Tensor) -> list[int]:
    """Token ids up to and with the EOS: CLIP's, or the first of a trailing run of one id.

    Of CLIP are those that begin with its BOS; for others its EOS is a piece of a word.
    """
    values = ids.tolist() if isinstance(ids, Tensor) else list(ids)
    if values[:1] == [CLIP_START] and CLIP_END in values:
        return values[: values.index(CLIP_END) + 1]
    end = len(values)
    while end >= 2 and values[end - 2] == values[end - 1]:
        end -= 1
    return values[:end]


def _needleman_wunsch(source: Sequence[int], target: Sequence[int]) -> list[int]:
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
