"""Compares what the judge of time saw with what a clip's prompt asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..judge import Analysis, FoundFigure, FoundObject, relations
from ..verdict import Verdict, judge_scene, matches
from ..verdict import tally as tally_frames
from .judge import Path, Watched
from .motions import CLIP, PANS, Motion
from .tracks import Found, Track, look
from .world import Clip

# Of the least that the world shows, about half: what is asked is what happens, and how far it goes
# is measured beside.
GOES = {False: 0.45, True: 0.35}
"""Pixels a frame from which a thing goes somewhere, and a figure walks."""
STAYS = 0.3
"""Pixels a frame up to which a thing stays where it is."""
TURNS, GROWS = 0.25, 1.16
"""Radians, and last over first extent, of a whole clip, from which a thing turns, and grows."""
STILL_TURN, STILL_GROWTH = 0.15, 1.08


@dataclass(frozen=True)
class ClipVerdict:
    """Answers about a clip.

    Attributes:
        frames: what is said of each picture; things that cross hide one another, so of those
            frames nothing is said but the background.
        motion: for each told motion, the camera's last, whether it is followed.
        identity: for each thing, whether it is one and the same from the first frame to the last.
        paths: of each thing, None where it is not found.
        travels: (measured, true) pixels from the first frame to the last, of things that are found.
    """

    frames: tuple[Verdict, ...]
    motion: tuple[bool, ...]
    identity: tuple[bool, ...]
    paths: tuple[Path | None, ...]
    travels: tuple[tuple[float, float], ...]

    @property
    def right(self) -> bool:
        """Everything that the prompt says of pictures is right on every frame."""
        return all(frame.right for frame in self.frames)


def judge_clip(clip: Clip, seen: Watched) -> ClipVerdict:
    """Check a clip, of which as many frames were watched as there are, against its prompt."""
    matched = _matched(clip, seen)
    tracks = [None if k is None else seen.tracks[k] for k in matched]
    paths = tuple(None if k is None else seen.paths[k] for k in matched)
    last = len(seen.frames) - 1
    frames = tuple(_judge_frame(clip, seen, tracks, frame) for frame in range(last + 1))
    motion = list(_followed(clip, paths, last))
    if clip.pan:
        motion.append(_is_panned(clip, paths))
    travels = []
    for index, path in enumerate(paths):
        if path is not None and clip.scene.kind != "crossing":
            first, end = clip.pose(index, 0), clip.pose(index, last)
            # The bob of a walk is none of its way.
            true = np.hypot(end.x - first.x, clip.movers[index].vy * last)
            travels.append((path.speed * last, float(true)))
    identity = tuple(track is not None and track.is_steady for track in tracks)
    return ClipVerdict(frames, tuple(motion) if last else (), identity, paths, tuple(travels))


def follows(path: Path, motion: Motion, is_figure: bool, last: int) -> bool:
    """Whether a path of so many frames, less one, is a motion that a prompt told."""
    share, goes = last / (CLIP - 1), GOES[is_figure]
    growth = path.growth ** (1 if motion.grow >= 0 else -1)
    if motion.way != (0, 0):
        x, y = motion.way
        along, aside = path.vx * x + path.vy * y, path.vx * y + path.vy * x
        return along >= goes and abs(aside) <= 0.5 * along
    if motion.turn:
        return path.speed < goes and abs(path.turn) >= TURNS * share
    if motion.grow:
        return path.speed < goes and growth >= GROWS**share
    still = abs(path.turn) < STILL_TURN and abs(np.log(path.growth)) < np.log(STILL_GROWTH)
    return path.speed < STAYS and bool(still)


def _is_panned(clip: Clip, paths: tuple[Path | None, ...]) -> bool:
    """Whether everything goes the other way than the camera."""
    way = PANS["right" if clip.pan > 0 else "left"]
    return all(
        path is not None and -path.vx * way >= GOES[False] and abs(path.vy) <= 0.5 * abs(path.vx)
        for path in paths
    )


def _followed(clip: Clip, paths: Sequence[Path | None], last: int) -> Iterator[bool]:
    """Whether each told motion is followed."""
    for mover, path in zip(clip.movers, paths, strict=True):
        if mover.told and mover.motion is not None:
            is_figure = mover.item.is_figure
            yield path is not None and follows(path, mover.motion, is_figure, last)


def _matched(clip: Clip, seen: Watched) -> tuple[int | None, ...]:
    """The track of each thing, so that most words are right of what the tracks usually show.

    Of things that look alike the words do not tell which is which: there the motions do, if they
    are told, and then the places.
    """
    usual = {place: track.usual() for place, track in enumerate(seen.tracks) if track.is_lasting}
    objects = tuple(each for each in usual.values() if isinstance(each, FoundObject))
    figures = tuple(each for each in usual.values() if isinstance(each, FoundFigure))
    places = {id(each): place for place, each in usual.items()}
    best = matches(clip.scene.items, Analysis(None, objects, figures))
    as_good = [tuple(None if f is None else places[id(f)] for f in each) for each in best]

    def right(order: tuple[int | None, ...]) -> tuple[int, bool]:
        paths = [None if k is None else seen.paths[k] for k in order]
        told = sum(_followed(clip, paths, len(seen.frames) - 1))
        found = [None if k is None else usual[k] for k in order]
        return told, clip.scene.relation is None or _is_related(clip, found)

    # Only those in which the same looks stand in the same places are as good for what is said.
    looks = [_looks(usual, order) for order in as_good]
    alike = [order for order, each in zip(as_good, looks, strict=True) if each == looks[0]]
    return max(alike, key=right)


def _looks(usual: Mapping[int, Found], order: Iterable[int | None]) -> list[object]:
    return [None if k is None else look(usual[k]) for k in order]


def _is_related(clip: Clip, found: Sequence[Found | None]) -> bool:
    one, other = found
    return bool(one and other and clip.scene.relation in relations(one, other))


def _judge_frame(clip: Clip, seen: Watched, tracks: Sequence[Track | None], frame: int) -> Verdict:
    verdict = judge_scene(clip.scene, seen.frames[frame])
    answers = dict(verdict.answers)
    if clip.scene.kind == "crossing" and any(track.hidden[frame] for track in seen.tracks):
        answers = {name: said for name, said in answers.items() if name == "background"}
    elif clip.scene.relation is not None:
        found = [track.seen[frame] if track is not None else None for track in tracks]
        if len({look(each) for each in found if each is not None}) == 1 and None not in found:
            answers["relation"] = (_is_related(clip, found),)  # only time tells which is which
    return Verdict(answers, verdict.matched)


def tally(verdicts: Iterable[ClipVerdict]) -> dict[str, tuple[int, int, int]]:
    """(right, asked, clips) by aspect: those of pictures over all frames, `all` whole clips,
    `motion` and `identity` their things. clips: in how many it was asked, since the answers of one
    go together."""
    counts = dict[str, tuple[int, int, int]]()
    for verdict in verdicts:
        told = tally_frames(verdict.frames)
        told["frames"] = told.pop("all", (0, 0))
        for name in ("motion", "identity"):
            told[name] = sum(getattr(verdict, name)), len(getattr(verdict, name))
        told["all"] = int(verdict.right), 1
        for name, (right, asked) in told.items():
            before = counts.get(name, (0, 0, 0))
            counts[name] = before[0] + right, before[1] + asked, before[2] + (asked > 0)
    return counts
