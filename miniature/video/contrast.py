"""A loss that asks the transformer to use what a prompt says of motion and of numbers.

Which way a thing goes is decided in the noisiest steps, where knowing it hardly lowers the error:
after 92,000 clips "standing still" was followed in 5 of 5 clips, directions in 7 of 20, and turning
and growing in none, though the text's states differed by half. So the same noisy clip is shown with
another motion or number, too, and must be told apart: its error must be larger than that of the
right prompt. A classifier by errors, as in "Your Diffusion Model is Secretly a Zero-Shot
Classifier" (Li et al., 2023), trained as one.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from .. import vocabulary as world
from ..tokenizer import WordEncoder
from .motions import (
    FIGURE_MOTIONS,
    OBJECT_MOTIONS,
    PANNING,
    PANS,
    Motion,
    is_held_out,
    is_visible,
)

LEAST_NOISE = 0.7
"""Noise share from which words decide; below, what moves how is in the clip itself."""
SHARPNESS = 50.0
"""Of the margin: it is met where the wrong prompt errs by a few of 1/50 of the error more."""


class OtherPrompts:
    """Prompts that say another motion, of one of their things or of the camera, or another number.

    None says what is held out, or what cannot be seen: that a circle turns.
    """

    def __init__(self, encoder: WordEncoder) -> None:
        def tokens(text: str) -> tuple[int, ...]:
            words = text.split()
            return tuple(int(token) for token in encoder(words)[1 : 1 + len(words)])

        self._end = encoder.end
        figures = [(noun, noun) for noun in (*world.PROFESSIONS, *world.PERSON_WORDS.values())]
        objects = [(form, noun) for noun in world.SHAPES for form in (noun, world.plural(noun))]
        self._ways = {
            tokens(form)[0]: [tokens(motion.words) for motion in motions if _is_shown(noun, motion)]
            for named, motions in ((figures, FIGURE_MOTIONS), (objects, OBJECT_MOTIONS))
            for form, noun in named
        }
        self._ways[tokens(PANNING)[-1]] = [tokens(way) for way in PANS]
        self._numbers = [tokens(word) for word in world.NUMBERS.values()]

    def __call__(self, ids: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """(ids (n, 77), which (n,) differ from those given): others where there is what to change,
        one thing at random."""
        others = [self._other(row.tolist(), random) for row in ids]
        made = torch.tensor([row for row, _ in others], device=ids.device)
        return made, torch.tensor([differs for _, differs in others], device=ids.device)

    def _other(self, row: list[int], random: torch.Generator) -> tuple[list[int], bool]:
        found = self._phrases(row)
        if not found:
            return row, False
        at, phrase, ways = found[_drawn(len(found), random)]
        rest = [way for way in ways if way != phrase]
        way = rest[_drawn(len(rest), random)]
        changed = [*row[:at], *way, *row[at + len(phrase) :]]
        return (changed + [self._end] * len(row))[: len(row)], True

    def _phrases(self, row: list[int]) -> list[tuple[int, tuple[int, ...], list[tuple[int, ...]]]]:
        """(place, tokens, what else could stand there) of each told motion and number."""
        found = []
        for at in range(1, len(row)):
            for choices in (self._ways.get(row[at - 1], []), self._numbers):
                phrase = next((p for p in choices if tuple(row[at : at + len(p)]) == p), None)
                if phrase is not None:
                    found.append((at, phrase, choices))
        return found


def _is_shown(noun: str, motion: Motion) -> bool:
    """Whether a training may see a thing do it."""
    return is_visible(noun, motion) and not is_held_out(noun, motion)


def _drawn(count: int, random: torch.Generator) -> int:
    return int(torch.randint(count, (1,), generator=random))


def contrast(right: Tensor, wrong: Tensor) -> Tensor:
    """(n,): what is missing of the margin of squared errors by the right and by the wrong prompt.

    Its slope is at most that of the error itself, and fades where the margin is met.
    """
    scale = right.detach() / SHARPNESS
    return scale * softplus((right - wrong) / scale)
