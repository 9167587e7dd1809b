"""A path that is as smooth as it can be between walls."""

import math

import numpy as np

STEPS = 60
PRECISE = 1e-9
"""Mean of what is left between the walls' forces and their distances, in squared units, at the end:
a path of 1000 points is then within .003 units of the best one."""
NARROW = 1e-6
"""Walls nearer to each other are set so far apart meanwhile."""
Bands = tuple[np.ndarray, np.ndarray, np.ndarray]
"""A symmetric matrix by its diagonal and the two beside it, of n, n - 1 and n - 2 elements."""


def smooth_within(
    wanted: np.ndarray, low: np.ndarray, high: np.ndarray, period: float
) -> np.ndarray:
    """The path x (n,) between `low` and `high` that is nearest to `wanted` and bends least.

    It minimizes the sum of (x - wanted)^2 and of l (x[i-1] - 2 x[i] + x[i+1])^2, where l is such
    that without walls a wave of `period` points loses half of its height, and quicker ones more:
    Whittaker-Henderson smoothing. By Newton steps from inside (a primal-dual interior point);
    each solves a system of five diagonals. The walls are kept exactly.
    """
    if len(wanted) < 3 or period <= 0:
        return wanted.clip(low, high)
    narrow = np.maximum(NARROW - (high - low), 0) / 2
    below, above = low - narrow, high + narrow
    weight = (period / (2 * math.pi)) ** 4
    bands = _bending(len(wanted), weight)
    bands[0][:] += 1
    path = (below + above) / 2
    under, over = path - below, above - path  # updated, not taken anew: rounding would make them 0
    force = float(np.abs(_times(bands, path) - wanted).max()) + 1
    push = pull = np.full(len(path), force)  # of the walls; large enough to hold whatever presses
    for _ in range(STEPS):
        left = float((push * under + pull * over).mean()) / 2
        residual = _times(bands, path) - wanted - push + pull
        if left < PRECISE and np.abs(residual).max() < PRECISE * max(1.0, weight):
            break
        goal = left / 8
        diagonal = bands[0] + push / under + pull / over
        slope = _times(bands, path) - wanted - goal / under + goal / over
        step = _solved((diagonal, bands[1], bands[2]), -slope)
        more = goal / under - push - push / under * step
        less = goal / over - pull + pull / over * step
        length = _room(
            np.concatenate([under, over, push, pull]), np.concatenate([step, -step, more, less])
        )
        path, under, over = path + length * step, under + length * step, over - length * step
        push, pull = push + length * more, pull + length * less
    return path.clip(low, high)


def _room(values: np.ndarray, steps: np.ndarray) -> float:
    """How much of a step leaves all values positive, with some to spare; at most 1."""
    shrinking = steps < 0
    return min(1.0, 0.95 * float((values[shrinking] / -steps[shrinking]).min(initial=math.inf)))


def _bending(length: int, weight: float) -> Bands:
    """weight * D'D, where D takes second differences."""
    second = np.zeros((3, length))  # how often each diagonal gets each product of 1, -2, 1
    for at, one in enumerate((1.0, -2.0, 1.0)):
        second[0, at : length - 2 + at] += one * one
    second[1, : length - 2] -= 2
    second[1, 1 : length - 1] -= 2
    second[2, : length - 2] = 1
    return weight * second[0], weight * second[1, :-1], weight * second[2, :-2]


def _times(bands: Bands, values: np.ndarray) -> np.ndarray:
    middle, beside, beyond = bands
    out = middle * values
    out[:-1] += beside * values[1:]
    out[1:] += beside * values[:-1]
    out[:-2] += beyond * values[2:]
    out[2:] += beyond * values[:-2]
    return out


def _solved(bands: Bands, right: np.ndarray) -> np.ndarray:
    """x of A x = right, for a positive definite A: L D L' in plain numbers, which is quicker than
    arrays of one element."""
    middle, beside, beyond = (band.tolist() for band in bands)
    pivots, first, second, values = [], [0.0], [0.0, 0.0], right.tolist()
    for at, pivot in enumerate(middle):
        one, two = first[at], second[at]
        if at > 0:
            pivot -= one * one * pivots[at - 1]
            values[at] -= one * values[at - 1]
        if at > 1:
            pivot -= two * two * pivots[at - 2]
            values[at] -= two * values[at - 2]
        pivots.append(pivot)
        if at < len(beside):
            first.append((beside[at] - (one * beyond[at - 1] if at > 0 else 0.0)) / pivot)
        if at < len(beyond):
            second.append(beyond[at] / pivot)
    last = len(values) - 1
    values = [value / pivot for value, pivot in zip(values, pivots, strict=True)]
    for at in range(last - 1, -1, -1):
        values[at] -= first[at + 1] * values[at + 1]
        if at + 2 <= last:
            values[at] -= second[at + 2] * values[at + 2]
    return np.array(values)
