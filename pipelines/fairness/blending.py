"""Prompt embeddings blended token by token, as FAME's soft debiasing needs it.

Source: "FAME: Fairness-aware Attention-modulated Video Editing" (arXiv 2510.22960, 2025) for what
is done; the closed form is this project's own.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..common.checks import require_choice, require_range
from ..common.errors import EvenframeError

EOS_SCOPES = ("first", "first+padding", "none")


def blend_embeddings(
    target: Tensor,
    fair: Tensor,
    mapper: Tensor | Sequence[int],
    mask: Tensor | Sequence[float],
    strength: float = 0.5,
    eos_scope: str = "first",
    words: range | None = None,
) -> Tensor:
    """e_i <- (1 - lambda M_i) e_target,i + lambda M_i e_fair,pi(i).

    target, fair: (L, c) embeddings. mapper: pi, the fairness position of each of the target's
    tokens from BOS to EOS, -1 for none. mask: M, 0..1 for the same tokens. strength: lambda, 0..1;
    0 gives the target itself. eos_scope: M is 1 on the "first" EOS, on "first+padding", or, with
    "none", 0 on both. Padding keeps its position, or takes the fairness prompt's EOS where that
    prompt still has words. BOS is never blended. words: positions of the target's words, before
    which a BOS may stand and behind which the EOS; None: from 1 to the end of the mapper, or where
    it is padded to L to the last token that it moves or the mask selects.
    Returns (L, c). Raises EvenframeError for values out of range and for shapes that do not fit.
    """
    require_range("strength (lambda)", strength, 0, 1)
    require_choice("eos_scope", eos_scope, EOS_SCOPES)
    _check_states(target, fair)
    length = len(target)
    _check_mapper(mapper, len(fair))
    _check_mask(mask, len(mapper), length)
    if strength == 0:
        return target
    if words is None:
        words = range(1, _end_of(mapper, mask, length))
    weights, index = selection(mapper, mask, words, length, eos_scope)
    share = (strength * weights).to(target)[:, None]
    moved_to = index.clamp(0, len(fair) - 1).to(fair.device)
    return torch.lerp(target, fair[moved_to].to(target), share)


def selection(
    mapper: Tensor | Sequence[int],
    mask: Tensor | Sequence[float],
    words: range,
    length: int,
    eos_scope: str,
) -> tuple[Tensor, Tensor]:
    """(M, pi) for all L positions, with the special tokens around the words as they shall be."""
    weights, index, end = torch.zeros(length), torch.arange(length), words.stop
    given = torch.as_tensor(mapper, dtype=torch.long).cpu()[: end + 1]
    index[: len(given)] = given
    # In a longer fairness prompt words stand where the target's padding begins.
    if end < length:
        index[end + 1 :] = index[end + 1 :].clamp(min=int(index[end]))
    chosen = torch.as_tensor(mask, dtype=torch.float32).cpu()[:end]
    weights[: len(chosen)] = chosen
    weights[end:] = 1.0 if eos_scope == "first+padding" else 0.0
    weights[end : end + 1] = 0.0 if eos_scope == "none" else 1.0
    weights[: words.start] = 0.0
    weights[index < 0] = 0.0
    return weights, index


def _check_states(target: Tensor, fair: Tensor) -> None:
    for name, states in (("target", target), ("fairness", fair)):
        if states.ndim != 2:
            raise EvenframeError(
                f"The {name} embeddings have the shape {tuple(states.shape)}: give those of one "
                "prompt, (tokens, width)."
            )
    if target.shape[-1] != fair.shape[-1]:
        raise EvenframeError(
            f"The prompts have embeddings of {target.shape[-1]} and {fair.shape[-1]} numbers: "
            "encode both with the text encoder of the same model."
        )


def _check_mapper(mapper: Tensor | Sequence[int], fair_length: int) -> None:
    moved_to = torch.as_tensor(mapper)
    if moved_to.ndim != 1 or not (moved_to >= 0).any():
        raise EvenframeError(
            f"The mapper has the shape {tuple(moved_to.shape)}: give the fairness position of "
            "each token of the target, in a row, with one that is not -1."
        )
    low, high = int(moved_to.min()), int(moved_to.max())
    if low < -1 or high >= fair_length:
        raise EvenframeError(
            f"The mapper has positions from {low} to {high}: give those of the fairness prompt, "
            f"0 to {fair_length - 1}, or -1 for none."
        )


def _check_mask(mask: Tensor | Sequence[float], mapped: int, length: int) -> None:
    """A mask is as long as the mapper; either may be padded to the length of the embeddings."""
    weights = torch.as_tensor(mask)
    given = len(weights) if weights.ndim == 1 else 0
    fits = given in (mapped, length) or (mapped == length and 0 < given < length)
    if mapped > length or not fits:
        raise EvenframeError(
            f"The mapper has {mapped} tokens and the mask the shape {tuple(weights.shape)}: give "
            f"both for the same tokens of the target, at most {length}."
        )
    wrong = weights[~((weights >= 0) & (weights <= 1))]
    if len(wrong):
        raise EvenframeError(f"The mask has the value {float(wrong[0]):g}: give 0 to 1.")


def _end_of(mapper: Tensor | Sequence[int], mask: Tensor | Sequence[float], length: int) -> int:
    """The position of the EOS; see `blend_embeddings`."""
    moved_to = torch.as_tensor(mapper).cpu()
    paired = (moved_to >= 0).nonzero().flatten()
    last = int(paired[-1])
    if last + 1 < length:
        return last
    marked = moved_to != torch.arange(len(moved_to))
    selected = torch.as_tensor(mask).cpu() > 0
    if not selected[-1]:  # a mask that reaches over the padding says nothing of the end
        marked[: len(selected)] |= selected[: len(marked)]
    found = marked.nonzero().flatten()
    return int(found[-1]) if len(found) else length - 1
