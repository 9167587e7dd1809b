"""TokenFlow's maths: which token of a key frame each token is nearest to, and how two are mixed.

Source: "TokenFlow: Consistent Diffusion Features for Consistent Video Editing" (ICLR 2024, arXiv
2307.10373), section 4.2, and its published code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

ELEMENTS = {"cpu": 2**18}
OTHER_ELEMENTS = 2**24
"""Cosines that are in memory at once."""


def batches(frames: int, size: int) -> list[range]:
    """Frames in a row that share a key frame; the last ones may be fewer."""
    return [range(start, min(start + size, frames)) for start in range(0, frames, size)]


def own_weights(parts: Sequence[range]) -> Tensor:
    """(f,) w1 = sigmoid(d2 / (d1 + d2)): how much of its own batch's key frame a frame takes beside
    the previous batch's. d1, d2: frames to the middle of either. 1 in the first batch."""
    weights = [torch.ones(len(parts[0]))]
    for before, part in pairwise(parts):
        places = torch.arange(part.start, part.stop, dtype=torch.float32)
        own, other = ((places - _middle(each)).abs() for each in (part, before))
        weights.append(torch.sigmoid(other / (own + other)))
    return torch.cat(weights)


def _middle(part: range) -> int:
    return part.start + len(part) // 2


def nearest(tokens: Tensor, keys: Tensor) -> Tensor:
    """(n,) which of the keys (m, c) is nearest to each token (n, c), by cosine: some at a time."""
    exact = torch.float32 if tokens.dtype == torch.float32 else torch.float16
    unit, to = (F.normalize(each.float(), dim=-1).to(exact) for each in (tokens, keys))
    count = max(1, ELEMENTS.get(tokens.device.type, OTHER_ELEMENTS) // len(keys))
    return torch.cat([(rows @ to.T).argmax(-1) for rows in unit.split(count)])


@dataclass(frozen=True, eq=False)
class Places:
    """Where each token comes from, among the tokens of all key frames one behind the other.

    own, previous: (f, n), in the key frame of its batch and of the one before; the same where there
    is none. weights: (f,), of the own.
    """

    own: Tensor
    previous: Tensor
    weights: Tensor

    def spread(self, outputs: Tensor) -> Tensor:
        """What a layer puts out for the key frames (k, n, c) to what it puts out for all frames:
        (f, n, c)."""
        flat = outputs.flatten(0, 1)  # (k n) c
        own, previous = (flat[each.to(flat.device)] for each in (self.own, self.previous))
        return torch.lerp(previous, own, self.weights.to(own)[:, None, None])


def places(tokens: Tensor, keys: Sequence[int], parts: Sequence[range], exact: bool) -> Places:
    """The places of the source's tokens (f, n, c) in those of the key frames, one in each part.

    exact: key frames keep what they are, and take nothing of the one before.
    """
    count, weights = tokens.shape[1], own_weights(parts)
    own, previous = list[Tensor](), list[Tensor]()
    for number, part in enumerate(parts):
        for frame in part:
            if frame == keys[number]:
                mine = torch.arange(count, device=tokens.device)
            else:
                mine = nearest(tokens[frame], tokens[keys[number]])
            own.append(number * count + mine)
            if not number or (exact and frame == keys[number]):
                weights[frame] = 1.0
                previous.append(own[-1])
            else:
                theirs = nearest(tokens[frame], tokens[keys[number - 1]])
                previous.append((number - 1) * count + theirs)
    return Places(torch.stack(own), torch.stack(previous), weights)
