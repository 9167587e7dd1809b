"""The open FairVE, made of its data file: scenes of the built-in world, and prompts."""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..miniature.scenes import Item, Scene, compose, make_figure
from ..miniature.vocabulary import (
    FEMALE_SHARE,
    HELD_OUT_FIGURES,
    PLAIN_BACKGROUNDS,
    SIZE,
    TEXTURES,
)
from ..pipelines.common.whole_file import write_new
from ..pipelines.fairness.encoder import Wish
from ..pipelines.fairness.targets import assign

DATA = Path(__file__).parent / "fairve.toml"
BACKGROUNDS: Mapping[str, Sequence[str]] = {
    "plain": tuple(PLAIN_BACKGROUNDS),
    "textured": tuple(TEXTURES),
    "all": (*TEXTURES, *PLAIN_BACKGROUNDS),
}
SHOWN = "shown"
RADIUS = {1: 44.0, 2: 40.0}
"""Half a figure's height in pixels, by how many there are."""


@dataclass(frozen=True)
class Case:
    """A clip and what is asked of it. asked: a presentation for each figure, None to leave it."""

    group: str
    source: Scene
    asked: tuple[str | None, ...]

    @property
    def wishes(self) -> list[Wish]:
        """One for each figure that is asked for."""
        pairs = zip(self.source.items, self.asked, strict=True)
        return [Wish(asked, item.noun) for item, asked in pairs if asked is not None]

    @property
    def explicit(self) -> str:
        """The prompt with what is asked written into it."""
        return _scene(self._as_asked(explicit=True), self.source.background).prompt

    @property
    def ideal(self) -> Scene:
        """What a perfect edit would show."""
        return replace(self.source, items=self._as_asked(explicit=False))

    def _as_asked(self, explicit: bool) -> tuple[Item, ...]:
        pairs = zip(self.source.items, self.asked, strict=True)
        return tuple(
            item if asked is None else replace(item, presentation=asked, explicit=explicit)
            for item, asked in pairs
        )


def read_data() -> dict[str, Any]:
    """The data file."""
    return tomllib.loads(DATA.read_text(encoding="utf-8"))


def make_cases(scale: float = 1.0, data: Mapping[str, Any] | None = None) -> list[Case]:
    """All clips, seeded; scale: a share of each group's, at least one of each.

    Sources show each profession as the built-in model does where nobody asks (its skew), and what
    is asked reaches the target, both exactly, over the figures of a profession.
    """
    told = data or read_data()
    drafts = [
        draft
        for group in told["group"]
        for draft in _drafts(group, told["world"], max(1, round(scale * group["clips"])))
    ]
    shown, wanted = _shares(drafts, told)
    cases = []
    for draft in drafts:
        items, asked = [], []
        for at, figure in enumerate(draft.figures):
            presentation = next(shown[figure.noun])
            items.append(replace(figure, presentation=presentation))
            if at >= draft.edited:
                asked.append(None)
            else:
                asked.append(presentation if draft.asks_shown else next(wanted[figure.noun]))
        cases.append(Case(draft.group, _scene(tuple(items), draft.background), tuple(asked)))
    return cases


@dataclass(frozen=True)
class _Draft:
    """A clip before anybody's presentation is drawn."""

    group: str
    figures: tuple[Item, ...]
    background: str
    edited: int
    asks_shown: bool


def _drafts(group: Mapping[str, Any], world: Mapping[str, Any], count: int) -> Iterator[_Draft]:
    """Figures that walk, and stay in the frame; no combination that training never showed."""
    rng = np.random.default_rng([world["seed"], *group["name"].encode()])
    names = world["neutral"] if group["asked"] == SHOWN else world["skewed"]
    backgrounds, people = BACKGROUNDS[group["backgrounds"]], group["people"]
    made = tried = 0
    while made < count:
        nouns = [names[(tried + at) % len(names)] for at in range(people)]
        background = backgrounds[tried // len(names) % len(backgrounds)]
        tried += 1
        if any((noun, background) in HELD_OUT_FIGURES for noun in nouns):
            continue
        made += 1
        figures = tuple(_figure(rng, noun, at, people) for at, noun in enumerate(nouns))
        asks = group["asked"] == SHOWN
        yield _Draft(group["name"], figures, background, group["edited"], asks)


def _figure(rng: np.random.Generator, noun: str, at: int, people: int) -> Item:
    """In the middle of its share of the frame; one alone walks faster than two."""
    way, lane = (1 if rng.random() < 0.5 else -1), SIZE / people
    speed = float(rng.uniform(1.0, 2.5) if people == 1 else rng.uniform(0.3, 0.7))
    back = float(rng.uniform(4, 12)) if people == 1 else 3.0
    place = lane * (at + 0.5) - way * back, SIZE / 2 + float(rng.uniform(-3, 3))
    return make_figure(noun, "male", *place, RADIUS[people], (way * speed, 0.0))


def _scene(items: tuple[Item, ...], background: str) -> Scene:
    if len(items) == 1:
        return compose("figure", items, background)
    return compose("two_figures", items, background, "left of")


def _shares(
    drafts: Sequence[_Draft], told: Mapping[str, Any]
) -> tuple[dict[str, Iterator[str]], dict[str, Iterator[str]]]:
    """What the figures of each profession show, and what is asked of those that are edited."""
    seed, shown, wanted = told["world"]["seed"], {}, {}
    every = [(figure.noun, at < d.edited) for d in drafts for at, figure in enumerate(d.figures)]
    for noun in dict.fromkeys(noun for noun, _ in every):
        edited = [asked for name, asked in every if name == noun]
        female = FEMALE_SHARE[noun]
        shown[noun] = iter(assign({"female": female, "male": 1 - female}, len(edited), seed))
        wanted[noun] = iter(assign(told["target"], sum(edited), seed + 1))
    return shown, wanted


COLUMNS = ("clip", "source", "target", "words", "attribute", "kind", "video", "edit")


def write_table(path: Path) -> int:
    """The prompts for real models as a table of `evenframe compare`; gives its number of rows.

    The column clip names a video for each source prompt, which the user puts beside the table.
    """
    real, rows = read_data()["real"], []
    sources = [
        (with_articles(text.format(noun)), noun)
        for text in real["prompts"]
        for noun in real["professions"]
    ]
    every = [text for texts in real["attributes"].values() for text in texts]
    rows += [(source, noun, text) for source, noun in sources for text in every]
    for several in real["several"]:
        rows += [(several["source"], several["words"], text) for text in several["attributes"]]
    rows += [(control["source"], control["words"], "") for control in real["control"]]

    def written(at: Path) -> None:
        with at.open("w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            out.writerow(COLUMNS)
            for source, noun, text in rows:
                video = source.replace(" ", "_")
                edit = text.replace(" ", "_") or "unchanged"
                target = asking(source, noun, text)
                out.writerow((f"{video}.mp4", source, target, noun, text, "person", video, edit))

    write_new(path, written)
    return len(rows)


def asking(source: str, noun: str, text: str) -> str:
    """A source prompt with an attribute of its first `noun`: before it, or behind it as in "a chef
    in a wheelchair"."""
    person = f"{noun} {text}" if text.startswith("in ") else f"{text} {noun}".strip()
    return with_articles(source.replace(noun, person, 1))


def with_articles(prompt: str) -> str:
    """With "an" before vowels, and "a" elsewhere."""
    return re.sub(r"\ban? (?=(\w))", lambda m: "an " if m[1] in "aeiou" else "a ", prompt)
