"""CONDITIONING of the host's as a `Conditioning` of this pack, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....pipelines.text.conditioning import Conditioning

if TYPE_CHECKING:
    from torch import Tensor

    from ....pipelines.text.tokens import Tokens

POOLED = "pooled_output"


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
    others = dict(entries[0][1])
    if "pooled" in prompt.states:
        others[POOLED] = prompt.states["pooled"][None]
    return [[prompt.states["tokens"][None], others], *entries[1:]]
