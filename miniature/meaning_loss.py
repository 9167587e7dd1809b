"""A loss on the text encoder: each word's state says what the prompt has told of its thing so far.

Trained by the denoiser's error alone, a text encoder this small lets words fall together. After
347,000 samples "left" and "right" differed by 7 %, because layout is decided in the noisiest steps,
where a better prediction hardly lowers the error: order was a coin's toss. And the states of the
last word of "a female doctor" and "a female engineer" differed by 1 %: the attention loss wants
both words at the same place, which is easiest where they are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor

from . import vocabulary as world
from .shards import SLOTS
from .tokenizer import WordEncoder

_SEED, _REACH = 2026, 3.0


class MeaningLoss:
    """Squared distance of the states from their meaning, along fixed directions.

    A word of an object, figure or background means itself and the words before it for the same
    thing; objects and figures also the relation before them; a relation means itself. The text
    encoder is causal, so what stands before cannot know what follows. Other words are free.

    motions: coordinates, on more axes, of words that say how the thing before them moves; there
    "left" is no relation.
    """

    def __init__(
        self,
        encoder: WordEncoder,
        width: int,
        device: torch.device,
        motions: Mapping[str, Sequence[float]] = MappingProxyType({}),
    ) -> None:
        meanings = _meanings()
        still = len(next(iter(meanings.values())))
        count = still + len(next(iter(motions.values()), ()))
        if width < count:
            raise ValueError(f"states of {width} cannot say {count} things: widen the text encoder")
        places = torch.zeros(len(encoder.ids), count)
        axes = _axes(width, still)
        if count > still:  # the still world's stay: its encoder has learned them
            axes = torch.cat([axes, _axes(width, count - still, beside=axes)], dim=1)
        for word, meaning in meanings.items():
            places[encoder([word])[1], :still] = _REACH * torch.tensor(meaning)
        moving = places.clone()
        for word, motion in motions.items():
            moving[encoder([word])[1]] = 0
            moving[encoder([word])[1], still:] = _REACH * torch.tensor(
                list(motion), dtype=places.dtype
            )
        self.axes = axes.to(device)  # c m
        # Of each token id, (v, m): where it stands alone, and behind a thing.
        self.places, self.moving = places.to(device), moving.to(device)

    def __call__(self, states: Tensor, ids: Tensor, slots: Tensor) -> Tensor:
        """states: (n, 77, c). ids, slots: (n, 77), slots as ``localisation_loss`` has them."""
        of_things = ((slots >= 0) & (slots < SLOTS - 1))[..., None]
        own = torch.where(of_things, self.moving[ids], self.places[ids])  # n 77 m
        relation = own * (slots < 0)[..., None]
        meant = relation.cumsum(1) * (slots < SLOTS - 1)[..., None]
        for slot in range(SLOTS):
            of_slot = (slots == slot)[..., None]
            meant = meant + (own * of_slot).cumsum(1) * of_slot
        asked = (slots >= 0) | relation.any(-1)  # n 77
        missed = (states @ self.axes - meant).square().sum(-1)
        return (missed * asked).sum() / asked.sum().clamp(min=1) / _REACH**2


def _axes(width: int, count: int, beside: Tensor | None = None) -> Tensor:
    """(width, count) orthonormal directions, always the same; orthogonal to those beside them."""
    random = torch.Generator().manual_seed(_SEED)
    drawn = torch.randn(width, count, generator=random)
    if beside is not None:
        drawn = drawn - beside @ (beside.T @ drawn)
    return torch.linalg.qr(drawn)[0]


def _meanings() -> dict[str, list[float]]:
    """Coordinates of each word: opposites share an axis, all others have their own."""
    kinds = (
        *world.OBJECT_COLOURS,
        *world.SHAPES,
        *world.BACKGROUNDS,
        *world.PROFESSIONS,
    )
    axes = ("x", "y", "number", "presentation", *kinds)

    def at(**places: float) -> list[float]:
        return [places.get(axis, 0.0) for axis in axes]

    few, many = world.NUMBERS.values()
    female, male = world.PRESENTATIONS
    meanings = {kind: at(**{kind: 1.0}) for kind in kinds}
    meanings |= {world.plural(shape): meanings[shape] for shape in world.SHAPES}
    meanings |= {words.split()[0]: at(x=x, y=y) for words, (x, y) in world.RELATIONS.items()}
    meanings |= {few: at(number=-1.0), many: at(number=1.0)}
    for name, side in ((female, -1.0), (male, 1.0)):
        meanings[name] = at(presentation=side)
        meanings[world.PERSON_WORDS[name]] = at(presentation=side, person=1.0)
    return meanings
