"""Compares what the judge saw with what a prompt asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations

from .judge import Analysis, FoundFigure, FoundObject, relations
from .scenes import Item, Scene

Found = FoundObject | FoundFigure
ASPECTS = (
    "color",
    "shape",
    "items",
    "count",
    "relation",
    "background",
    "profession",
    "explicit_attribute",
)
"""``items`` is the number of items in any picture, ``count`` only where the prompt names it."""


@dataclass(frozen=True)
class Verdict:
    """Answers by aspect, one per item or per picture; an aspect that was not asked has none.

    Attributes:
        answers: aspect to answers; an undetermined one is False.
        matched: what was found for each item of the scene, None where nothing was.
    """

    answers: dict[str, tuple[bool, ...]]
    matched: tuple[Found | None, ...]

    @property
    def right(self) -> bool:
        """Everything that the prompt says is shown, and nothing else."""
        return all(all(values) for values in self.answers.values())


def judge_scene(scene: Scene, seen: Analysis) -> Verdict:
    """Check a picture against the prompt of a scene; places and sizes are not asked for."""
    matched = _match(scene.items, seen)
    number = seen.count == len(scene.items)
    answers: dict[str, tuple[bool, ...]] = {"items": (number,)}
    if scene.kind == "count":
        answers["count"] = (number,)
    pairs = list(zip(scene.items, matched, strict=True))
    objects = [(i, f) for i, f in pairs if not i.is_figure]
    figures = [(i, f) for i, f in pairs if i.is_figure]
    named = [(i, f) for i, f in figures if i.explicit]
    answers["color"] = _all(objects, "colour", "colour")
    answers["shape"] = _all(objects, "noun", "shape")
    answers["profession"] = _all(figures, "noun", "profession")
    answers["explicit_attribute"] = _all(named, "presentation", "presentation")
    if scene.says_background:
        answers["background"] = (seen.background == scene.background,)
    if scene.relation is not None:
        answers["relation"] = (_relation(scene, *matched),)
    return Verdict(answers, matched)


def _relation(scene: Scene, a: Found | None, b: Found | None) -> bool:
    if a is None or b is None or scene.relation is None:
        return False
    first, second = scene.items
    if first.phrase() == second.phrase():  # "a red circle above a red circle"
        return scene.relation in relations(a, b) | relations(b, a)
    return scene.relation in relations(a, b)


def _all(pairs: Sequence[tuple[Item, Found | None]], wanted: str, shown: str) -> tuple[bool, ...]:
    return tuple(getattr(i, wanted) == getattr(f, shown, None) for i, f in pairs)


def _match(items: Sequence[Item], seen: Analysis) -> tuple[Found | None, ...]:
    """The first of `matches`."""
    return matches(items, seen)[0]


def matches(items: Sequence[Item], seen: Analysis) -> list[tuple[Found | None, ...]]:
    """Assignments of what was found to the items by which most words are right: the best one, then
    those that are as good.

    They never look at places: two items that the judge could not tell apart by their own words may
    not be swapped to make a relation right.
    """
    found: list[Found | None] = [*seen.objects, *seen.figures][:6]
    found += [None] * len(items)

    def agreement(order: tuple[int, ...]) -> float:
        return sum(_agreement(i, found[k]) for i, k in zip(items, order, strict=True))

    orders = sorted(
        set(permutations(range(len(found)), len(items))), key=lambda o: (-agreement(o), o)
    )
    best = [order for order in orders if agreement(order) == agreement(orders[0])]
    return [tuple(found[k] for k in order) for order in best]


def _agreement(item: Item, found: Found | None) -> float:
    if found is None:
        return 0.0
    if isinstance(found, FoundFigure):
        if not item.is_figure:
            return -1.0
        right = item.noun == found.profession
        return 0.5 + right + (item.explicit and item.presentation == found.presentation)
    if item.is_figure:
        return -1.0
    return 0.5 + (item.colour == found.colour) + (item.noun == found.shape)


def tally(verdicts: Iterable[Verdict]) -> dict[str, tuple[int, int]]:
    """(right, asked) by aspect, and ``all`` for whole pictures."""
    counts: dict[str, tuple[int, int]] = {}
    for verdict in verdicts:
        counted = {**verdict.answers, "all": (verdict.right,)}
        for aspect, values in counted.items():
            right, asked = counts.get(aspect, (0, 0))
            counts[aspect] = (right + sum(values), asked + len(values))
    return counts
