"""Tracking where the truth is known: shapes that move, scale and are hidden, over real clips.

`tracking.*_overlap`: the mean intersection over union with the truth, of masks (what is seen of a
shape) and of boxes (around the whole shape), on all frames but those that were given: the first,
and for `_corrected` also the one that the tracker trusts least. `*_confidence_error`: the mean
difference between the confidence and that overlap. Backgrounds and the shapes' textures are the
clips of `../shared/clips`, or noise that the camera passes where there are none.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..pipelines.common.grids import Box
from ..pipelines.regions.region import MaskRegion
from ..pipelines.regions.tracking.drawn import Drawing
from ..pipelines.regions.tracking.track import SHOWN, Tracked, track
from . import main

FLOORS = {
    "tracking.mask_overlap": 0.75,
    "tracking.mask_overlap_corrected": 0.9,
    "tracking.box_overlap": 0.75,
    "tracking.box_overlap_corrected": 0.9,
}
TARGETS = {"tracking.mask_confidence_error": 0.1, "tracking.box_confidence_error": 0.1}
CLIPS = Path(__file__).resolve().parents[2] / "shared" / "clips"
SEED, COUNT, FRAMES, SIDE = 7000, 10, 24, 256
FINER = 2
"""Outlines are drawn with so many samples a pixel along each axis."""


Place = tuple[float, float, float, float, float]
"""Centre (x, y), radii (x, y) and angle."""


@dataclass(frozen=True, eq=False)
class Case:
    """frames: (f, h, w, 3). truth: (f, h, w) of 0 and 1, what is seen. boxes: around the whole."""

    frames: Tensor
    truth: Tensor
    boxes: list[Box]


@dataclass(frozen=True)
class _Shape:
    """An outline r(angle) in shares of its radius, and how it moves.

    Centre: start + velocity t + a swing; radii: radius times growth^(t / f), in x and in y.
    """

    waves: tuple[tuple[int, float, float], ...]
    start: tuple[float, float]
    velocity: tuple[float, float]
    swing: float
    radius: float
    growth: tuple[float, float]
    turn: float

    def place(self, time: float, frames: int) -> Place:
        """Centre, radii and angle at a time in frames."""
        x = self.start[0] + self.velocity[0] * time
        y = self.start[1] + self.velocity[1] * time + self.swing * math.sin(time / 4)
        across, down = (self.radius * growth ** (time / (frames - 1)) for growth in self.growth)
        return x, y, across, down, self.turn * time


def cases(
    count: int = COUNT,
    seed: int = SEED,
    frames: int = FRAMES,
    side: int = SIDE,
    real: bool = True,
) -> Iterator[Case]:
    """Seeded cases of square frames. Each third is hidden in part for a while, another third whole.

    real: over the shared clips, where there are any.
    """
    rng = np.random.default_rng(seed)
    clips = _clips(rng, frames, side, real)
    for index in range(count):
        yield _case(rng, clips[index % len(clips)], clips[(index + 1) % len(clips)], index % 3)


def _clips(rng: np.random.Generator, frames: int, side: int, real: bool) -> list[Tensor]:
    """(f, side, side, 3) each."""
    from ..pipelines.video import Choice, Fitting, load

    paths = sorted(CLIPS.glob("*.mp4")) if real else []
    fitting = Fitting(mode="crop", width=side, height=side)
    found = [_longer(load(path, Choice(frames), fitting).frames, frames) for path in paths]
    return found or [_noise(rng, frames, side) for _ in range(3)]


def _longer(clip: Tensor, frames: int) -> Tensor:
    """Played forwards and backwards until there are so many frames."""
    turned = torch.cat([clip, clip.flip(0)[1:-1]])
    return turned.repeat(math.ceil(frames / len(turned)), 1, 1, 1)[:frames]


def _noise(rng: np.random.Generator, frames: int, side: int) -> Tensor:
    """A texture of several scales that the camera passes."""
    wide, speed = side + 4 * frames, rng.uniform(-1, 1, 2)
    picture = torch.zeros(1, 3, wide, wide)
    for cells, weight in ((3, 0.5), (10, 0.3), (40, 0.2)):
        grid = torch.from_numpy(rng.random((1, 3, cells, cells))).float()
        picture += weight * F.interpolate(grid, (wide, wide), mode="bicubic")
    picture = picture.clamp(0, 1)[0].permute(1, 2, 0)
    middle, shown = (wide - side) // 2, []
    for frame in range(frames):
        x, y = (int(middle + pace * (frame - frames / 2)) for pace in speed)
        shown.append(picture[y : y + side, x : x + side])
    return torch.stack(shown)


def _case(rng: np.random.Generator, ground: Tensor, other: Tensor, kind: int) -> Case:
    """kind: 0 never hidden, 1 in part, 2 whole."""
    frames, side = ground.shape[:2]
    shape, texture = _shape(rng, frames, side), other[0].flip(0)
    places = [shape.place(time, frames) for time in range(frames)]
    drawn = [_drawn(shape, place, texture, side) for place in places]
    posts = _posts(places[frames // 2], shape.velocity[0], kind, frames, side)
    post = other[-1].mean((0, 1)) * (0.6 + 0.4 * _stripes(side))
    made, seen = [], []
    for (whole, painted), hidden, picture in zip(drawn, posts, ground, strict=True):
        frame = picture + whole[..., None] * (painted - picture)
        made.append(frame + hidden[..., None] * (post - frame))
        seen.append(whole * (1 - hidden))
    truth = (torch.stack(seen) > 0.5).float()
    return Case(torch.stack(made).clamp(0, 1), truth, [_box(whole) for whole, _ in drawn])


def _shape(rng: np.random.Generator, frames: int, side: int) -> _Shape:
    """It crosses half of the frame and stays inside."""
    waves = tuple(
        (n, float(rng.uniform(0, 0.3) / (n - 1)), float(rng.uniform(0, 2 * math.pi)))
        for n in (2, 3, 5)
    )
    growth = (float(rng.uniform(0.7, 1.45)), float(rng.uniform(0.7, 1.45)))
    radius = float(rng.uniform(0.09, 0.13) * side)
    first = np.array([rng.uniform(0.18, 0.32), rng.uniform(0.25, 0.75)]) * side
    last = np.array([rng.uniform(0.68, 0.82), rng.uniform(0.25, 0.75)]) * side
    if rng.random() < 0.5:
        first, last = last, first
    velocity = (last - first) / (frames - 1)
    swing, turn = float(rng.uniform(0, 5)), float(rng.uniform(-0.025, 0.025))
    start, pace = (float(first[0]), float(first[1])), (float(velocity[0]), float(velocity[1]))
    return _Shape(waves, start, pace, swing, radius, growth, turn)


def _drawn(shape: _Shape, place: Place, texture: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """(h, w) the share of each pixel that is inside, and (h, w, 3) what is painted there."""
    x, y, across, down, angle = place
    at = (torch.arange(side * FINER) + 0.5) / FINER
    u, v = (at[None] - x) / across, (at[:, None] - y) / down
    cos, sin = math.cos(angle), math.sin(angle)
    u, v = cos * u + sin * v, cos * v - sin * u
    direction, edge = torch.atan2(v, u), torch.full_like(u, 0.85)
    for n, share, phase in shape.waves:
        edge += share * torch.cos(n * (direction - phase))
    inside = (u.hypot(v) < edge).float()
    whole = F.avg_pool2d(inside[None, None], FINER)[0, 0]
    where = torch.stack([u, v], -1)[None, ::FINER, ::FINER] * 0.5  # 1 h w 2
    painted = F.grid_sample(
        texture.permute(2, 0, 1)[None], where, align_corners=False, padding_mode="reflection"
    )
    return whole, painted[0].permute(1, 2, 0)


def _posts(place: Place, velocity: float, kind: int, frames: int, side: int) -> Iterator[Tensor]:
    """(h, w) of 0 and 1 a frame: none; a narrow post that stands in the way; a wide thing that
    comes the other way, and hides the shape whole in the middle of the clip."""
    width, pace = ((0.0, 0.0), (0.6, 0.0), (2.4, -1.5))[kind]
    columns = torch.arange(side) + 0.5
    for frame in range(frames):
        middle = place[0] + pace * velocity * (frame - frames // 2)
        yield ((columns - middle).abs() < width * place[2] / 2).float().expand(side, side)


def _stripes(side: int) -> Tensor:
    return ((torch.arange(side) // 6) % 2).float()[:, None, None].expand(side, side, 1)


def _box(whole: Tensor) -> Box:
    rows, columns = (whole > 0.5).nonzero().T
    left, top = float(columns.min()), float(rows.min())
    return left, top, float(columns.max() + 1), float(rows.max() + 1)


def mask_overlaps(found: Tensor, truth: Tensor) -> list[float]:
    """Intersection over union on every frame; 1 where both are empty."""
    both, either = (found * truth).sum((1, 2)), torch.maximum(found, truth).sum((1, 2))
    return torch.where(either > 0, both / either.clamp(min=1), 1.0).tolist()


def box_overlaps(found: Sequence[Box] | Tensor, truth: Sequence[Box]) -> list[float]:
    """Intersection over union on every frame, as rectangles."""
    a, b = torch.as_tensor(found).double(), torch.as_tensor(truth).double()
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    both = (high - low).clamp(min=0).prod(1)
    areas = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1)
    return (both / (areas - both)).tolist()


@dataclass(frozen=True, eq=False)
class Result:
    """A case followed as a mask or as a box. overlaps: on all frames but the drawn ones.
    errors: how far the confidence is from each of them."""

    overlaps: list[float]
    errors: list[float]
    weakest: int


def followed(case: Case, kind: str, *corrections: int) -> Result:
    """A case from its first frame on, as a "mask" or a "box", with the truth on other frames."""
    drawings = [Drawing(frame, case.boxes[frame]) for frame in (0, *corrections)]
    drawing = replace(drawings[0], corrections=tuple(drawings[1:]))
    given = [0, *corrections]
    mask = case.truth[given] if kind == "mask" else None
    tracked = track(case.frames, drawing, mask, name="shape")
    region = tracked.region
    if isinstance(region, MaskRegion):
        overlaps = mask_overlaps(region.masks, case.truth)
    else:
        overlaps = box_overlaps(region.boxes, case.boxes)
    others = [frame for frame in range(len(overlaps)) if frame not in given]
    found = [overlaps[frame] for frame in others]
    trust = tracked.confidence.tolist()
    errors = [abs(trust[frame] - overlaps[frame]) for frame in others]
    return Result(found, errors, _visible(case, tracked))


def _visible(case: Case, tracked: Tracked) -> int:
    """The frame of least confidence, of those on which a user sees most of the shape."""
    areas = case.truth.sum((1, 2))
    shown = areas >= SHOWN * areas.median()
    return int(torch.where(shown, tracked.confidence, 2.0).argmin())


def run(count: int = COUNT, seed: int = SEED, real: bool = True) -> dict[str, float]:
    """Mean overlaps without a correction and with one, and how far off the confidence is."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for case in cases(count, seed, real=real):
        for kind in ("mask", "box"):
            alone = followed(case, kind)
            corrected = followed(case, kind, alone.weakest)
            for key, result in (("", alone), ("_corrected", corrected)):
                found[f"{kind}_overlap{key}"].append(fmean(result.overlaps))
                found[f"{kind}_confidence_error{key}"].append(fmean(result.errors))
    return {f"tracking.{key}": round(fmean(values), 3) for key, values in sorted(found.items())}


if __name__ == "__main__":
    main(__file__)
