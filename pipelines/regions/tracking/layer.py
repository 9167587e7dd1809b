"""One object, carried from frame to frame: what is seen of it, and what is hidden.

What flow follows is carried by flow. What it loses is kept as a layer behind, in the colours that
it was last seen in, and moves on as the rest of the object does: where these colours show again, it
is seen again. Colours and motion tell the object's edge from what comes out behind it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .around import box_around, largest, mean
from .fields import Neighbours, agree, pixels, sample
from .looks import Looks, looks
from .motion import Affine, fit, shifted

CHANGED = 0.1
"""From this difference of a colour channel (0..1) on, a pixel shows something else."""
NEAR, SURROUNDED = 3, 0.75
"""A hole has so many pixels around it, this share of them in the mask."""
UNLIKE, DOUBTED = -2.0, 0.0
"""From this score on, what is followed belongs to the object: where flow there and back agree, and
where only the colours do."""
OFF, MOST_OFF = 1.0, 2.0
"""Pixels that a motion may be off by, and beyond which it is no worse."""
OWN_COLOUR = 0.3
"""From this score of its colour on, what moves with the object beside it belongs to it."""
AROUND = 0.5
"""The surroundings reach so far, in the longer side of the object."""
GROWTH = 2
"""Pixels by which an edge may come out in a step."""
PATCH, FOUND = 6, 0.55
"""What was hidden is seen again where this share of so many pixels around it looks like it."""
FRAGMENT = 0.03
"""Below this share of the whole, what seems to be seen is the edge of something else."""
FEW = 0.3
"""Where less of it than this share is seen, its motion must be like that before."""
MEANT = 0.5
"""A track means the place of a mask where it holds this share of it."""
LEAST_KEPT = 0.02
"""A step that keeps less does not strain a track more."""


@dataclass(frozen=True, eq=False)
class Layer:
    """An object on one frame.

    seen, hidden: (h, w) in 0..1. colours: (h, w, 3), of what is hidden. pace: (2,), pixels that its
    middle moves in a step. moved: from the frame that it began on. looks, shape: of that frame.
    steps: since then. strain: grows with each step, the more, the less of what was seen before it
    was surely followed; minus the logarithm of that share.
    """

    seen: Tensor
    hidden: Tensor
    colours: Tensor
    pace: Tensor
    moved: Affine
    looks: Looks
    shape: Tensor
    steps: int = 0
    strain: float = 0.0

    @property
    def mask(self) -> Tensor:
        """(h, w) of 0 and 1: what is seen."""
        return (self.seen > 0.5).float()

    @property
    def whole(self) -> Tensor:
        """(h, w) of 0 and 1: with what is hidden."""
        return (torch.maximum(self.seen, self.hidden) > 0.5).float()


@dataclass(frozen=True, eq=False)
class _Way:
    """How the pixels of a frame came there from the frame before, each (h, w) or (h, w, 2).

    source: where they were. known, agreed: whether flow explains their colours or its two
    directions cancel, or both do. sure: the same of pixels of the frame before, both.
    target: where these are.
    """

    grid: Tensor
    source: Tensor
    known: Tensor
    agreed: Tensor
    target: Tensor
    sure: Tensor


def begin(mask: Tensor, frame: Tensor, come: Layer | None = None) -> Layer:
    """What a mask (h, w) of 0 and 1 shows of a frame (h, w, 3).

    come: a track of the same object that ends here. What it thinks hidden beside the mask is
    believed, where the two mean the same place: the mask shows only what is seen.
    """
    still, hidden, colours = shifted(torch.zeros(2)), torch.zeros_like(mask), frame
    if come is not None and float((mask * come.whole).sum()) > MEANT * float(mask.sum()):
        hidden, colours = come.hidden * (1 - mask), come.colours
    shape = torch.maximum(mask, (hidden > 0.5).float())
    return Layer(mask, hidden, colours, torch.zeros(2), still, looks(mask, frame), shape)


def carried(layer: Layer, was: Tensor, now: Tensor, step: Neighbours) -> Layer:
    """The layer of the next frame. was, now: the frames (h, w, 3) of the step."""
    way, whole = _way(was, now, step), layer.whole
    own = _own_motion(layer, way, int(whole.sum()))
    signs = _signs(layer, whole, way, own, now)
    warped = sample(layer.seen[..., None], way.source)[..., 0]
    like = signs.score >= torch.where(way.agreed, UNLIKE, DOUBTED)
    around = mean(warped * way.known, NEAR) > SURROUNDED * mean(way.known.float(), NEAR)
    followed = torch.where(way.known, warped * like, around.float())
    hidden, colours = _behind(layer, way, own, was)
    again = _uncovered(hidden, colours, now, way, signs)
    seen = _completed(torch.maximum(followed, again.float()), signs)
    if float((seen > 0.5).sum()) < FRAGMENT * float(whole.sum()):
        hidden, seen = torch.maximum(hidden, seen), torch.zeros_like(seen)
    places = whole.nonzero().float()
    middle = places.mean(0).flip(0) if len(places) else torch.zeros(2)
    pace = own.of(middle) - middle
    if layer.steps:  # evened out, for when nothing shows it
        pace = (pace + layer.pace) / 2
    kept = float((layer.mask * way.sure).sum() / layer.mask.sum().clamp(min=1))
    return replace(
        layer,
        seen=seen,
        hidden=hidden * (seen <= 0.5),
        colours=colours,
        pace=pace,
        moved=own.after(layer.moved),
        steps=layer.steps + 1,
        strain=layer.strain - math.log(max(kept, LEAST_KEPT)),
    )


@dataclass(frozen=True, eq=False)
class _Signs:
    """What tells the object from its surroundings, each (h, w), of the pixels of the next frame.

    off: pixels by which they moved otherwise than the object. gain: by how many more they moved
    otherwise than its surroundings; 0 where that is not known. colour: see `looks.py`. score: the
    last two together, more than 0 for the object.
    """

    off: Tensor
    gain: Tensor
    colour: Tensor
    score: Tensor


def _signs(layer: Layer, whole: Tensor, way: _Way, own: Affine, now: Tensor) -> _Signs:
    apart = box_around(whole, AROUND) & (largest(whole, NEAR) == 0) & way.sure
    ground = fit(way.grid[apart], way.target[apart], 0)
    off = _off(own, way)
    gain = torch.zeros_like(off) if ground is None else _off(ground, way) - off
    colour = mean(layer.looks.of(now), 1)
    return _Signs(off, gain, colour, colour + mean(gain.clamp(-MOST_OFF, MOST_OFF), 1))


def _uncovered(hidden: Tensor, colours: Tensor, now: Tensor, way: _Way, signs: _Signs) -> Tensor:
    """(h, w) bool: what is seen again of what was hidden, as it has its colours and its motion."""
    place = hidden > 0.5
    alike = (place & ((_smooth(now) - colours).abs().amax(-1) < CHANGED)).float()
    share = mean(alike, PATCH) / mean(place.float(), PATCH).clamp(min=1e-6)
    again = place & (mean(alike, 2) > 0.5) & (share > FOUND) & (signs.score > 0)
    return again & ((signs.off < 1.5 * OFF) | ~way.known)


def _completed(seen: Tensor, signs: _Signs) -> Tensor:
    """What is seen (h, w) with what is surrounded by it, and what comes out beside it."""
    if not signs.gain.any():  # no motion apart from the surroundings': nothing tells them apart
        return seen
    mask = (seen > 0.5).float()
    moves = (signs.off < OFF) & (signs.gain > 0.5 * OFF)
    beside = (largest(mask, GROWTH) > 0) & moves & (signs.colour > OWN_COLOUR)
    surrounded = (mean(mask, NEAR) > 0.5) & (signs.score > 0)
    return torch.where((mask == 0) & (beside | surrounded), 1.0, seen)


def _way(was: Tensor, now: Tensor, step: Neighbours) -> _Way:
    grid = pixels(step.back)
    source, target = grid + step.back, grid + step.there
    same = (sample(was, source) - now).abs().amax(-1) <= CHANGED
    agreed = agree(step.back, step.there)
    stays = (sample(now, target) - was).abs().amax(-1) <= CHANGED
    sure = stays & agree(step.there, step.back)
    return _Way(grid, source, same | agreed, agreed, target, sure)


def _own_motion(layer: Layer, way: _Way, size: int) -> Affine:
    """Of what is seen; where that is too little to tell, on as before."""
    surely = layer.mask.bool() & way.sure
    own = fit(way.grid[surely], way.target[surely], size)
    if own is None:
        return shifted(layer.pace)
    if layer.steps and int(surely.sum()) < FEW * size:
        middle = way.grid[surely].mean(0)
        change = (own.of(middle) - middle - layer.pace).norm()
        if change > max(1.5 * OFF, 0.5 * float(layer.pace.norm())):
            return shifted(layer.pace)
    return own


def _off(motion: Affine, way: _Way) -> Tensor:
    """(h, w): by how many pixels flow differs from a motion."""
    return (motion.origin(way.grid) - way.source).norm(dim=-1)


def _behind(layer: Layer, way: _Way, own: Affine, was: Tensor) -> tuple[Tensor, Tensor]:
    """What is hidden, and what was lost in this step, moved on: (h, w), and colours (h, w, 3)."""
    hidden = torch.maximum(layer.hidden, layer.mask * ~way.sure)
    colours = torch.where((layer.hidden > 0.5)[..., None], layer.colours, was)
    moved = sample(torch.cat([hidden[..., None], colours], -1), own.origin(way.grid))
    return moved[..., 0], moved[..., 1:]


def _smooth(frame: Tensor) -> Tensor:
    return torch.stack([mean(channel, 1) for channel in frame.unbind(-1)], -1)
