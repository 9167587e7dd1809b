"""Every method on the same clips, where the truth is known: the keys `methods.*`.

Clips of the built-in world in which one thing takes another colour, or another shape, or a person
another presentation. Each method inverts the clip anew and edits it at the settings that
`pipelines/comparing/methods.py` has for it. The judge reads pixels; FAME is asked for people alone,
which is what it is for. `p` is against the plain edit, on the clips that both have. All of it by
the image miniature, and then, the keys `methods.video.*`, by the video miniature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from time import perf_counter

import numpy as np
import torch

from ..miniature import NAME
from ..miniature.judge import analyse
from ..miniature.sample_scenes import sample_scene
from ..miniature.scenes import Scene, compose
from ..miniature.verdict import judge_scene
from ..miniature.video import NAME as VIDEO_NAME
from ..miniature.video.judge import watch
from ..miniature.vocabulary import HELD_OUT_OBJECTS, SHAPES
from ..pipelines.common.pictures import sheet as pictures_sheet
from ..pipelines.common.whole_file import replace as write
from ..pipelines.comparing.editing import Shared, make
from ..pipelines.comparing.methods import METHODS, Method, Task, tuned
from ..pipelines.comparing.summary import RIGHT_FRAMES, as_markdown, summarise
from ..pipelines.models.families import load
from ..pipelines.models.model import Model
from ..pipelines.regions.edges import grown
from ..pipelines.tuning.settings import Tuning
from . import fairness, fusion, main
from .clips import Array, psnr_where, rendered
from .kept import kept
from .peaks import alone, peak
from .shares import Figures, share_of

BY_NAME = True
TUNING = Tuning(100, 3e-4)
"""The built-in model is small and wants the larger rate."""
WAYS = {**METHODS}
WAYS["tune-a-video"] = replace(WAYS["tune-a-video"], prepare=partial(tuned, tuning=TUNING))
SEED, CLIPS, STEPS = 7700, 42, 25
ROOM = 4
"""Pixels around what was and what shall be there that belong to the edit: edges are soft."""
ORDER = ("colour", "shape", "person")
Row = tuple[str, dict[str, Array]]
"""A prompt, and middle frames by what they show."""


@dataclass(frozen=True)
class Base:
    """A model that methods are measured on.

    key: how its figures begin. frames: of a clip. guidance, keyframes: see `Shared`. without:
    methods that refuse it.
    """

    name: str
    key: str
    frames: int
    guidance: float
    keyframes: str
    without: tuple[str, ...] = ()

    @property
    def ways(self) -> dict[str, Method]:
        return {name: method for name, method in WAYS.items() if name not in self.without}

    def shared(self, steps: int) -> Shared:
        return Shared(steps, self.guidance, self.keyframes)


IMAGE = Base(NAME, "methods.", 8, 4.0, "mid")
VIDEO = Base(VIDEO_NAME, "methods.video.", 9, 2.5, "all", ("tune-a-video", "tokenflow"))


@dataclass(frozen=True)
class Case:
    """A clip and its edit: `item` of the source becomes that of the target. kind: of `ORDER`."""

    kind: str
    source: Scene
    target: Scene
    item: int

    def task(self, mask: Array) -> Task:
        """What every method is asked for. mask: (f, 128, 128)."""
        person = self.kind == "person"
        return Task(
            self.source.prompt,
            self.target.prompt,
            (self.source.items[self.item].phrase(),),
            (self.target.items[self.item].phrase(),),
            torch.from_numpy(mask),
            str(self.target.items[self.item].presentation) if person else "",
            {"colour": "attribute"}.get(self.kind, self.kind),
        )


def run(
    clips: int | None = None,
    steps: int = STEPS,
    scale: float = 1.0,
    keep: Path | None = None,
    sheet: Path | None = None,
) -> Figures:
    """Measure; each share comes with its 95 % Wilson interval.

    clips, or scale as a share of them all. keep: a folder in which what is done is kept, for a run
    that is stopped. sheet: a picture of middle frames to write, of clips that are edited anew.
    """
    start, figures = perf_counter(), dict[str, float]()
    cases = make_cases(clips or max(len(ORDER), round(scale * CLIPS)))
    rows: list[Row] = [(case.target.prompt, {}) for case in cases]
    for base in (IMAGE, VIDEO):
        found = _found(base, cases, steps, keep, rows)
        print(base.name, as_markdown(summarise(found)), sep="\n\n")
        figures |= summary(found, base.key) | memory(base, steps)
    if sheet is not None:
        _save_sheet(sheet, rows)
    took = {"methods.clips": len(cases), "methods.duration_seconds": perf_counter() - start}
    return figures | took


def _found(
    base: Base, cases: Sequence[Case], steps: int, keep: Path | None, rows: Sequence[Row]
) -> dict[str, dict[str, Mapping[str, float]]]:
    """What each method reached, by the name of the method and that of the clip; middle frames are
    put into the rows."""
    model, ways = load(base.name), base.ways
    found: dict[str, dict[str, Mapping[str, float]]] = {name: {} for name in ways}
    for number, (case, (_, pictures)) in enumerate(zip(cases, rows, strict=True)):
        frames, mask = clip_of(case, base.frames)
        pictures[f"{base.name}: source"] = frames[base.frames // 2]
        for name, method in ways.items():
            if method.lacks(case.task(mask)):
                continue
            tried = partial(_measured, base, model, case, name, steps, pictures)
            told = kept(keep, f"{base.key}{number:03}-{name}", (case, base, steps), tried)
            found[name][f"{number:03} {case.kind}"] = told
    return found


def make_cases(count: int) -> list[Case]:
    """Seeded, of each kind in turn."""
    number = -(-count // len(ORDER))
    colours = [Case("colour", t.source, t.target, t.item) for t in fusion.make_tasks(number, SEED)]
    people = []
    for each in fairness.make_tasks(number, SEED):
        item = replace(each.source.items[0], presentation=each.target, explicit=True)
        target = compose("figure", (item,), each.source.background)
        people.append(Case("person", each.source, target, 0))
    by_kind = zip(colours, _shapes(number), people, strict=True)
    return [case for group in by_kind for case in group][:count]


def _shapes(count: int) -> list[Case]:
    """One of one or two things takes another shape; nothing that training never showed."""
    rng = np.random.default_rng(SEED + 1)
    cases: list[Case] = []
    while len(cases) < count:
        scene = sample_scene(rng, ("one", "two")[len(cases) % 2])
        nouns = [item.noun for item in scene.items]
        if len(set(nouns)) < len(nouns) or not scene.says_background:
            continue
        at = int(rng.integers(len(scene.items)))
        item = scene.items[at]
        allowed = [s for s in SHAPES if s not in nouns and (item.colour, s) not in HELD_OUT_OBJECTS]
        shape = str(rng.choice(allowed))
        items = list(scene.items)
        items[at] = replace(item, noun=shape, word=shape)
        target = compose(scene.kind, tuple(items), scene.background, scene.relation)
        cases.append(Case("shape", scene, target, at))
    return cases


def clip_of(case: Case, count: int) -> tuple[Array, Array]:
    """So many frames (f, 128, 128, 3), and where the edit belongs, (f, 128, 128) of 0 and 1."""
    (frames, before), (_, after) = (rendered(each, count) for each in (case.source, case.target))
    both = torch.from_numpy(np.maximum(before[case.item], after[case.item]))
    return frames, (grown(both, ROOM) > 0).float().numpy()


def _measured(
    base: Base, model: Model, case: Case, name: str, steps: int, pictures: dict[str, Array]
) -> dict[str, float]:
    """What a method reached; its middle frame goes to the pictures."""
    frames, mask = clip_of(case, base.frames)
    clip, task = torch.from_numpy(frames), case.task(mask)
    made = make(model, clip, task, WAYS[name], base.shared(steps))
    result = made.frames.numpy()
    pictures[f"{base.name}: {name}"] = result[base.frames // 2]
    return assess(case, frames, mask, result) | {"seconds": made.seconds}


def assess(case: Case, source: Array, mask: Array, result: Array) -> dict[str, float]:
    """right: whether nearly all frames show everything that the target says. outside_db: PSNR to
    the source outside of the mask. wobble, flicker: of things that move and of what stands still,
    as `miniature/video/judge.py` has them; nan where nothing was clear."""
    seen = [judge_scene(case.target, analyse(frame)).right for frame in result]
    watched = watch(result)
    wobbles = [p.wobble for p in watched.paths if p is not None and p.wobble is not None]
    return {
        "right": float(fmean(seen) >= RIGHT_FRAMES),
        "outside_db": psnr_where(result, source, mask == 0),
        "wobble": fmean(wobbles) if wobbles else float("nan"),
        "flicker": float("nan") if watched.flicker is None else watched.flicker,
    }


def summary(found: Mapping[str, Mapping[str, Mapping[str, float]]], key: str) -> Figures:
    """Of each method: each measure, its interval and p against the plain edit; right by kind.

    key: how the names of figures begin.
    """
    figures: Figures = {}
    for entry in summarise(found):
        one = f"{key}{entry.method}.{entry.measure}"
        values = {one: entry.mean, f"{one}.low": entry.low, f"{one}.high": entry.high}
        if entry.p is not None:
            values[f"{one}.p"] = entry.p
        figures |= {name: round(value, 4) for name, value in values.items()}
        figures[f"{one}.n"] = entry.n
    for method, clips in found.items():
        for kind in ORDER:
            right = [told["right"] == 1 for name, told in clips.items() if name.endswith(kind)]
            figures |= share_of(f"{key}{method}.right.{kind}", right)
    return figures


def memory(base: Base, steps: int) -> Figures:
    """Megabytes that an edit takes at most beside the model, each in a process of its own."""
    peaks = {name: alone(_peak, base, name, steps) for name in base.ways}
    return {f"{base.key}{name}.peak_mb": round(most, 1) for name, most in peaks.items()}


def _peak(base: Base, name: str, steps: int) -> float:
    case = next(each for each in make_cases(len(ORDER)) if each.kind == "person")
    (frames, mask), model = clip_of(case, base.frames), load(base.name)
    clip, task = torch.from_numpy(frames), case.task(mask)
    make(model, clip, task, WAYS["plain"], base.shared(1))  # what is loaded once
    most, _ = peak(lambda: make(model, clip, task, WAYS[name], base.shared(steps)))
    return most / 1e6


def _save_sheet(path: Path, rows: Sequence[Row]) -> None:
    lines = []
    for text, pictures in rows:
        strip = torch.from_numpy(np.stack(list(pictures.values())))
        lines.append((f"{text}: {', '.join(pictures)}", strip))
    columns = sum(1 + len(base.ways) for base in (IMAGE, VIDEO))
    write(path, pictures_sheet(lines, columns=columns).save)


if __name__ == "__main__":
    main(__file__)
