"""CONDITIONING of the host's as a `Conditioning` of this pack, and back."""

from __future__ import annotations

from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Any

import torch

from ....pipelines.text.conditioning import Conditioning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from ....pipelines.text.tokens import Tokens

POOLED = "pooled_output"
BEGINS = "clip_start_percent"
"""Where an entry begins of a text that is encoded by other weights in the course of a run."""
OTHERS = (
    "The conditioning is of several prompts (Conditioning Combine). The words are those of one: "
    "controls concern that, and so does an attribute of Fairness Prompt Encoder; the others stay."
)
STRETCHES = (
    "A schedule on the CLIP encodes the text anew in the course of a run. Controls concern all of "
    "it; an attribute of Fairness Prompt Encoder is blended in until the first change."
)


def prompt_of(
    conditioning: Any, tokens: Tokens, model: str, notes: tuple[str, ...]
) -> Conditioning:
    """What the host has encoded.

    conditioning: its entries (states (1, L, c), a mapping); the first one's states are those of
    the tokens. Where there is more than these and what sums them up, it goes with the prompt as it
    is.
    """
    states, others = conditioning[0]
    kept: dict[str, Tensor] = {"tokens": states[0].float().cpu()}
    if others.get(POOLED) is not None:
        kept["pooled"] = others[POOLED][0].float().cpu()
    more = len(conditioning) > 1 or any(
        others[name] is not None for name in others.keys() - {POOLED}
    )
    return Conditioning(tokens, kept, model, notes, host=conditioning if more else None)


def conditioning_of(prompt: Conditioning) -> list[list[Any]]:
    """The host's entries of a prompt, with the states that it has by now."""
    entries = prompt.host or [[None, {}]]
    own = prompt.states["tokens"][None]
    others = dict(entries[0][1])
    if "pooled" in prompt.states:
        others[POOLED] = prompt.states["pooled"][None]
    same = _same(entries)
    rest = [[own if at in same else states, more] for at, (states, more) in enumerate(entries)][1:]
    return [[own, others], *rest]


def bearing(entries: Sequence[Any]) -> list[int]:
    """The entries that bear the words of the first one, at the same positions: it, those with its
    very states (in another area, with another ControlNet), and the later stretches of its schedule.
    """
    return sorted(_same(entries) | set(range(_stretches(entries))))


def notes_of(entries: Sequence[Any]) -> tuple[str, ...]:
    """What of these the writer of a prompt should know."""
    notes = (OTHERS,) if len(bearing(entries)) < len(entries) else ()
    return notes + ((STRETCHES,) if set(range(_stretches(entries))) - _same(entries) else ())


def _same(entries: Sequence[Any]) -> set[int]:
    first = entries[0][0]
    rest = enumerate((states for states, _ in entries[1:]), 1)
    return {0} | {at for at, states in rest if same_states(first, states)}


def same_states(one: Any, other: Any) -> bool:
    """Whether two entries have the same states, None for none."""
    if one is None or other is None or one.shape != other.shape:
        return False
    return one is other or torch.equal(one.float().cpu(), other.float().cpu())


def _stretches(entries: Sequence[Any]) -> int:
    """How many of the first entries are of one schedule: each begins later than the one before."""
    starts = [others.get(BEGINS) for _, others in entries]
    if starts[0] is None:
        return 1
    later = takewhile(lambda pair: pair[1] is not None and pair[1] > pair[0], pairwise(starts))
    return 1 + len([*later])
