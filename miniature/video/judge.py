"""The judge of time: what happens in a clip, from its pixels alone.

The judge of pictures reads each frame; here things are followed from frame to frame, and measured:
how they go, turn and grow, and what of their change that leaves unexplained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from ..judge import Analysis, FoundObject, analyse
from ..pixels import Array, Mask
from ..vocabulary import SIZE
from .motions import BOB
from .tracks import Found, Track, follow

SYMMETRY = {"square": np.pi / 2, "cross": np.pi / 2, "triangle": 2 * np.pi / 3}
"""Radians after which a shape looks as before, as far as the judge of pictures can tell."""
FEWEST = 3
"""Frames on which a thing must be clear for its motion to be measured."""
NEAR = 6
"""Pixels around a thing that are not counted as what stands still."""
AT_REST = 0.15
"""Pixels a frame, below which a thing counts as standing still."""


@dataclass(frozen=True)
class Path:
    """How a thing moved: its centre's best even path, and what is left of the way.

    vx, vy: pixels a frame. error: root mean square distance from the path, in pixels. turn: radians
    in the clip, clockwise; 0 for what has no angle. growth: last over first extent. bob: pixels
    that it rises with each step, of a figure. wobble: mean change of its outline from frame to
    frame, 1 less the overlap, once motion, turn and growth are taken out; None where that is on no
    two frames.
    """

    vx: float
    vy: float
    error: float
    turn: float
    growth: float
    bob: float
    wobble: float | None

    @property
    def speed(self) -> float:
        return float(np.hypot(self.vx, self.vy))


@dataclass(frozen=True)
class Watched:
    """What a clip shows.

    frames: each by itself. tracks: its things; paths: of each, None where it is seen too seldom.
    flicker: root mean square change from frame to frame of what stands still, in 0..1; None where
    nothing does, or in a single frame.
    """

    frames: tuple[Analysis, ...]
    tracks: tuple[Track, ...]
    paths: tuple[Path | None, ...]
    flicker: float | None


def watch(frames: NDArray) -> Watched:
    """Watch a clip of frames (f, 128, 128, 3), each as `analyse` takes them.

    Raises ValueError for another shape, and for no frames.
    """
    if len(frames) == 0:
        raise ValueError("a clip has at least one frame")
    seen = tuple(analyse(frame, in_motion=True) for frame in frames)
    tracks = follow(seen)
    paths = tuple(_path(track) for track in tracks)
    return Watched(seen, tracks, paths, _flicker(frames, seen, tracks, paths))


def centre(thing: Found) -> tuple[float, float]:
    """Its middle in pixels, finer than a pixel: the middle of what it covers, and of a triangle
    that from which both its ends are as far."""
    moments = cv2.moments(thing.cover)
    x, y = moments["m10"] / moments["m00"] + 0.5, moments["m01"] / moments["m00"] + 0.5
    if isinstance(thing, FoundObject) and thing.shape == "triangle":
        down = np.sqrt(moments["m00"] / 1.9) * (0.8 / 3)
        x, y = x + down * np.sin(thing.angle), y - down * np.cos(thing.angle)
    return x, y


def _path(track: Track) -> Path | None:
    shown, fewest = track.shown(), min(FEWEST, len(track.seen))
    if len(shown) < fewest:  # the end of what is hidden goes on as its middle does
        shown = [(frame, found) for frame, found in enumerate(track.seen) if found is not None]
    if len(shown) < fewest:
        return None
    times = np.array([frame for frame, _ in shown], float)
    things, last = [found for _, found in shown], len(track.seen) - 1
    x, y = np.array([centre(found) for found in things]).T
    steps = abs(np.sin(2 * np.pi * times / BOB[1]))
    walks = not isinstance(things[0], FoundObject) and len(times) > FEWEST
    vx, _, x_left = _even(times, x)
    vy, bob, y_left = _even(times, y, -steps if walks else None)
    angles, sizes = _angles(things), np.log([_size(found) for found in things])
    turn, growth = _even(times, angles)[0], _even(times, sizes)[0]
    middle = times.mean()
    views = [
        (time, _view(found, turn * (time - middle), np.exp(growth * (time - middle))))
        for time, found in shown
        if not track.hidden[time]
    ]
    return Path(
        vx,
        vy,
        float(np.sqrt((x_left**2 + y_left**2).mean())),
        turn * last,
        float(np.exp(growth * last)),
        bob,
        _wobble(views),
    )


def _even(
    times: NDArray, values: NDArray, beside: NDArray | None = None
) -> tuple[float, float, NDArray]:
    """(a, b, what is left) of values that are about c + a times + b beside."""
    if len(times) == 1:
        return 0.0, 0.0, values * 0
    columns = [np.ones_like(times), times, *(() if beside is None else (beside,))]
    basis = np.stack(columns, 1)
    found = np.linalg.lstsq(basis, values, rcond=None)[0]
    return float(found[1]), float(found[2]) if beside is not None else 0.0, values - basis @ found


def _angles(things: Sequence[Found]) -> NDArray:
    """Of each; all 0 where they have none."""
    shape = getattr(things[0], "shape", None)
    if shape not in SYMMETRY or any(getattr(thing, "shape", None) != shape for thing in things):
        return np.zeros(len(things))
    return np.unwrap([getattr(thing, "angle", 0.0) for thing in things], period=SYMMETRY[shape])


def _size(thing: Found) -> float:
    return float(np.sqrt(thing.cover.sum()))


def _view(thing: Found, angle: float, scale: float) -> Array:
    """What it covers, brought to the middle, turned back and scaled back; a little blurred, for a
    shift by parts of a pixel blurs, too."""
    moments = cv2.moments(thing.cover)
    x, y = moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]
    cosine, sine, middle = scale * np.cos(angle), scale * np.sin(angle), SIZE / 2
    across = x - cosine * middle + sine * middle
    down = y - sine * middle - cosine * middle
    back = np.array([[cosine, -sine, across], [sine, cosine, down]])  # from the view to the picture
    soft = cv2.GaussianBlur(thing.cover.astype(np.float32), (0, 0), 1.0)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(soft, back, (SIZE, SIZE), flags=flags), np.float32)


def _wobble(views: Sequence[tuple[int, Array]]) -> float | None:
    """Of views by their frames."""
    changes = [
        1 - float(np.minimum(a, b).sum() / np.maximum(a, b).sum())
        for (then, a), (now, b) in pairwise(views)
        if now - then == 1
    ]
    return float(np.mean(changes)) if changes else None


def _flicker(
    frames: NDArray,
    seen: Sequence[Analysis],
    tracks: Sequence[Track],
    paths: Sequence[Path | None],
) -> float | None:
    """Of the background, less where things that move are near, and of things at rest."""
    scale = 255 if frames.dtype == np.uint8 else 1
    behind = [each.behind for each in seen]
    apart = [frame / scale - back for frame, back in zip(frames, behind, strict=True)]
    panned = any(not np.array_equal(back, behind[0]) for back in behind)
    rests = [path is not None and _is_at_rest(path) for path in paths]
    still = [_still(apart[n], behind[n], n, tracks, rests, panned) for n in range(len(frames))]
    changes = []
    for (a, quiet), (b, also) in pairwise(zip(apart, still, strict=True)):
        if (both := quiet & also).any():
            changes.append(float(np.square(b - a)[both].mean()))
    return float(np.sqrt(np.mean(changes))) if changes else None


def _is_at_rest(path: Path) -> bool:
    return path.speed < AT_REST and abs(path.turn) < AT_REST and abs(path.growth - 1) < 0.05


def _still(
    apart: NDArray,
    behind: Array,
    frame: int,
    tracks: Sequence[Track],
    rests: Sequence[bool],
    panned: bool,
) -> Mask:
    """(128, 128): what should look the same on the next frame."""
    moving = np.linalg.norm(apart, axis=-1) > 0.1
    for track, rest in zip(tracks, rests, strict=True):
        found = track.seen[frame]
        if found is not None:
            own = cv2.dilate((found.cover > 0.02).astype(np.uint8), np.ones((5, 5))) > 0
            moving = moving & ~own if rest else moving | own
    if panned:  # a texture's edges fall between the pixels
        moving |= np.abs(np.diff(behind, axis=1, append=behind[:, -1:])).sum(-1) > 0
    return cv2.dilate(moving.astype(np.uint8), np.ones((2 * NEAR + 1,) * 2)) == 0
