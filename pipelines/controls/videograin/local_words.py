"""Words of a prompt as if each phrase stood alone: CLIP's words have read all before them, so that
"Iron Man and Spider-Man" gives its second man something of the first."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from ...text.conditioning import Conditioning
from ...text.tokens import Place

AROUND = ".,;:!?\"'()[]"


def with_local_words(
    encode: Callable[[str], Conditioning], prompt: Conditioning, places: Sequence[Place]
) -> Conditioning:
    """The prompt with the states that the words at some places have in a prompt of their own.

    A phrase that is read as another number of tokens there gives its first token to the first and
    its last one to the last. What somebody has blended into the prompt's own states, such as a
    fairness attribute, stays.
    """
    states = prompt.states["tokens"].clone()
    blended = states - encode(prompt.tokens.text).states["tokens"].to(states)
    for place in places:
        words = [word.text.strip(AROUND) for word in prompt.tokens.words[slice(*place)]]
        alone, at = encode(" ".join(words)), list(prompt.tokens.at(place))
        spread = torch.linspace(alone.tokens.first, alone.tokens.last, len(at))
        states[at] = alone.states["tokens"][spread.round().long()].to(states) + blended[at]
    return replace(prompt, states={**prompt.states, "tokens": states})
