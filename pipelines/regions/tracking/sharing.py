"""Who owns which of a mask's connected parts, and which of their pixels. Needs OpenCV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVELS = 8
"""Steps of each colour channel that are told apart."""
RARE = 1e-3
"""Added to the share of each bin: no colour is impossible."""
ASTRAY = 2.0
"""What it costs a pixel to move as another track does, or farther from its track's motion."""
BLUR = 5
"""Colours count as their mean in windows of so many cells."""
AWAY, MOST_AWAY, INSIDE, STAYED = 8.0, 3.0, 2.0, 1.0
"""What a distance of a track's size from its shape costs, and what any distance does at most, so
that colours outweigh it; what the same depth in the shape gains, and what a pixel gains that was
the track's on the frame before."""
CLAIM = 0.1
"""A track has a claim on a part that holds this share of its shape, or half of whose cells do."""
PIECE = 0.3
"""Parts smaller than this share of the smallest track are no body, but a limb."""
LEAST_SIDE = 16
"""Smaller pictures have no optical flow for OpenCV."""
MOST_WAYS = 4096
"""Ways to give parts to tracks that are tried."""

Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]
Grey = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of each track. shapes: where it is expected. before: where it was seen.

    motions: x, y in cells since then. colours: the shares of each bin. bins: (rows, columns), of
    the frame's colours. was, now: (rows, columns), the frame before and this one in grey.
    """

    shapes: Sequence[Mask]
    colours: Sequence[NDArray[np.float64]]
    before: Sequence[Mask]
    motions: Sequence[NDArray[np.float64]]
    bins: NDArray[np.intp]
    was: Grey
    now: Grey

    def scores(self) -> NDArray[np.float32]:
        """(tracks, rows, columns): how well each cell fits each track."""
        import cv2

        shares = np.stack(self.colours) + RARE
        ratios = np.log(shares / shares.mean(0))  # tracks bins
        came = -flow_between(self.now, self.was)  # rows columns 2
        apart = 1 + max(np.hypot(*(a - b)) for a in self.motions for b in self.motions)
        scores = []
        for shape, was, motion, ratio in zip(
            self.shapes, self.before, self.motions, ratios, strict=True
        ):
            size = np.sqrt(max(shape.sum(), 1))
            colour = cv2.blur(ratio[self.bins].astype(np.float32), (BLUR, BLUR))
            away = np.minimum(AWAY * distances(shape) / size, MOST_AWAY)
            depth = INSIDE * distances(~shape) / size
            astray = np.hypot(came[..., 0] - motion[0], came[..., 1] - motion[1]) / apart
            fit = colour + depth - away + STAYED * was - ASTRAY * np.minimum(astray, 1)
            scores.append(fit.astype(np.float32))
        return np.stack(scores)


def divide(parts: Sequence[Mask], evidence: Evidence) -> tuple[Labels, dict[int, set[int]]]:
    """(rows, columns): the label of each cell of the parts, from 1 on; 0 where no track claims any.

    Second, for each label those with whom it shares a part.
    """
    owned = np.zeros(evidence.bins.shape, np.uint8)
    sharing: dict[int, set[int]] = {label: set() for label in range(1, len(evidence.shapes) + 1)}
    groups = _groups(parts, evidence)
    shared = any(len(tracks) > 1 for tracks, _ in groups)
    scores = evidence.scores() if shared else np.zeros((len(sharing), *owned.shape), np.float32)
    for tracks, held in groups:
        for part, owners in _owners(tracks, [parts[index] for index in held], evidence, scores):
            labels = np.array(owners, np.uint8) + 1
            owned[part] = labels[scores[owners][:, part].argmax(0)]
            for label in labels.tolist():
                sharing[label] |= {*labels.tolist()} - {label}
    return owned, sharing


def _claims(part: Mask, shape: Mask, was: Mask) -> bool:
    """Whether a part is where a track is expected, or where most was that was seen of it."""
    here, held = int((part & shape).sum()), int((part & was).sum())
    expected = here and here >= min(CLAIM * shape.sum(), part.sum() / 2)
    return bool(expected or (held and held > was.sum() / 2))


def _groups(parts: Sequence[Mask], evidence: Evidence) -> list[tuple[list[int], list[int]]]:
    """Tracks and parts that have to do with each other, as (tracks, parts)."""
    groups: list[tuple[set[int], set[int]]] = []
    for index, part in enumerate(parts):
        expected = enumerate(zip(evidence.shapes, evidence.before, strict=True))
        claims = {track for track, (shape, was) in expected if _claims(part, shape, was)}
        met = [group for group in groups if group[0] & claims]
        groups = [group for group in groups if group not in met]
        if claims:
            tracks = claims.union(*(group[0] for group in met))
            groups.append((tracks, {index}.union(*(group[1] for group in met))))
        else:
            groups += met
    return [(sorted(tracks), sorted(held)) for tracks, held in groups]


def _owners(
    tracks: list[int], parts: list[Mask], evidence: Evidence, scores: NDArray[np.float32]
) -> list[tuple[Mask, list[int]]]:
    """Each part of a group, with the tracks that share it."""
    least = PIECE * min(evidence.shapes[track].sum() for track in tracks)
    bodies = [index for index, part in enumerate(parts) if part.sum() >= least]
    given: dict[int, list[int]] = {index: [] for index in bodies}
    if len(bodies) > 1 and len(tracks) > 1:
        for track, index in zip(tracks, _matched(tracks, parts, bodies, evidence), strict=True):
            given[index].append(track)
    elif bodies:
        given[bodies[0]] = tracks
    owners = []
    for index, part in enumerate(parts):
        fits = scores[tracks][:, part].mean(1)
        owners.append((part, given.get(index) or [tracks[int(fits.argmax())]]))
    return owners


def _matched(
    tracks: list[int], parts: list[Mask], bodies: list[int], evidence: Evidence
) -> tuple[int, ...]:
    """For each track its part: as many parts as can be have somebody, and all fit best."""
    values = np.array(
        [[_fit(track, parts[index], evidence) for index in bodies] for track in tracks]
    )
    wanted = min(len(tracks), len(bodies))
    if len(bodies) ** len(tracks) > MOST_WAYS:
        return tuple(bodies[column] for column in _one_by_one(values, wanted))
    ways = (way for way in product(range(len(bodies)), repeat=len(tracks)))
    full = (way for way in ways if len(set(way)) == wanted)
    best = max(full, key=lambda way: sum(values[row, column] for row, column in enumerate(way)))
    return tuple(bodies[column] for column in best)


def _one_by_one(values: NDArray[np.float64], wanted: int) -> list[int]:
    """For each row its column: the best pairs first, until so many columns have a row."""
    columns = values.argmax(1)
    left = values.copy()
    for _ in range(wanted):
        row, column = np.unravel_index(left.argmax(), left.shape)
        columns[row] = column
        left[row], left[:, column] = -np.inf, -np.inf
    return columns.tolist()


def _fit(track: int, part: Mask, evidence: Evidence) -> float:
    shape = evidence.shapes[track]
    inside = (part & shape).sum() / max(shape.sum(), 1)
    return float(inside + 2 * likeness(evidence.colours[track], part, evidence.bins))


def flow_between(before: Grey, after: Grey) -> NDArray[np.float32]:
    """(rows, columns, 2): x, y in cells by which each cell of `before` moves."""
    import cv2

    rows, columns = before.shape
    more = [(0, max(0, LEAST_SIDE - rows)), (0, max(0, LEAST_SIDE - columns))]
    flow: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    padded = (np.pad(grey, more, mode="edge") for grey in (before, after))
    return flow.calc(*padded, None)[:rows, :columns]


def bins_of(frame: NDArray[np.uint8]) -> NDArray[np.intp]:
    """(h, w): of each pixel of a frame (h, w, 3), the bin of its colour."""
    steps = frame.astype(np.intp) * LEVELS // 256
    return (steps[..., 0] * LEVELS + steps[..., 1]) * LEVELS + steps[..., 2]


def histogram(bins: NDArray[np.intp]) -> NDArray[np.float64]:
    """The share of each bin; all 0 of nothing."""
    return np.bincount(bins.ravel(), minlength=LEVELS**3) / max(bins.size, 1)


def likeness(colours: NDArray[np.float64], part: Mask, bins: NDArray[np.intp]) -> float:
    """Bhattacharyya's coefficient of shares and those of a part: 1 where they are equal."""
    return float(np.sqrt(colours * histogram(bins[part])).sum())


def distances(mask: Mask) -> NDArray[np.float32]:
    """(h, w): how far each cell lies outside of a mask, in cells; 0 inside."""
    import cv2

    if not mask.any():
        return np.full(mask.shape, float(sum(mask.shape)), np.float32)
    away: Any = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)
    return away
