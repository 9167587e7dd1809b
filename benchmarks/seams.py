"""What shows at the edge of a pasted edit, and what takes it away: the keys `seams.*`.

A made clip in which a ball over a landscape takes another colour. The stand-in editor gives smaller
frames back, whose colours drift: a gain of 0.9 to 1.1 and an offset for each channel, others on
every frame. The figures are differences from the source in 1/255, beside the edge of the region,
where the edit changed nothing but by its drift.

    evenframe bench seams --sheet FILE.png    # the edges of docs/only-there.md, at 200 %
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..pipelines.common.pictures import sheet
from ..pipelines.pasting.edge import Edge
from ..pipelines.pasting.only_there import only_there
from ..pipelines.regions.edges import grown
from ..pipelines.regions.region import mask_region
from ..pipelines.regions.regions import Regions
from ..pipelines.video import clip_from_images
from ..pipelines.video.film import images
from . import main

SEED, FRAMES, HEIGHT, WIDTH = 4, 4, 256, 448
RADIUS, GROW, FEATHER = 36, 16, 12
"""Of the ball; of its region around it; of the soft edge inside that. Pixels."""
SHOWN = (slice(88, 178), slice(96, 208))
"""Rows and columns of the pictures: a side of the region, and what lies around it."""
EDGES = {
    "hard edge": Edge(feather=0),
    f"feather {FEATHER}": Edge(feather=FEATHER),
    f"feather {FEATHER}, linear light": Edge(feather=FEATHER, linear_light=True),
    f"feather {FEATHER}, rim match": Edge(feather=FEATHER, rim_match=True),
}
FLOORS = {"seams.rim_match_takes_away_percent": 80}


@dataclass(frozen=True, eq=False)
class Shot:
    """Clips (f, h, w, 3): the source, and the same after the editor; the ball (f, h, w)."""

    source: Tensor
    edited: Tensor
    ball: Tensor

    def pasted(self, edge: Edge) -> Tensor:
        size = (HEIGHT, WIDTH)
        region = mask_region(self.ball, FRAMES, size, name="ball", grow=GROW)
        film = only_there(
            clip_from_images(self.source, 8), self.edited, Regions((region,), FRAMES, size), edge
        )
        return images(film)

    def beside_edge(self, frames: Tensor) -> float:
        """Mean difference from the source, in 1/255, inside of the region around the ball."""
        ball = (self.ball > 0).float()
        band = (grown(ball, 4) == 0) & (grown(ball, GROW - 1) > 0)
        return float((frames - self.source).abs()[band].mean() * 255)


def run(sheet: Path | None = None) -> dict[str, float]:
    """The drift beside the edge, as the editor gave it and after the rim match.

    sheet: a picture of the edges to write.
    """
    if sheet is not None:
        picture(sheet)
    drifted, true = made(drift=True), made(drift=False)
    hard, matched = Edge(feather=0), Edge(feather=0, rim_match=True)
    before, after, least = (
        drifted.beside_edge(drifted.pasted(hard)),
        drifted.beside_edge(drifted.pasted(matched)),
        true.beside_edge(true.pasted(hard)),
    )
    unasked = (true.pasted(matched) - true.pasted(hard)).abs().max()
    return {
        "seams.drift_255": round(before, 2),
        "seams.drift_after_rim_match_255": round(after, 2),
        "seams.smaller_frames_alone_255": round(least, 2),
        "seams.rim_match_takes_away_percent": round(100 * (before - after) / (before - least), 1),
        "seams.rim_match_without_drift_255": round(float(unasked) * 255, 2),
    }


def made(drift: bool) -> Shot:
    source, ball = _scene()
    orange = torch.tensor([0.95, 0.5, 0.1])
    edited = torch.lerp(source, orange * source.amax(-1, keepdim=True), ball[..., None])
    if drift:
        draw = torch.Generator().manual_seed(SEED)
        gain, offset = (torch.rand(FRAMES, 1, 1, 3, generator=draw) - 0.5 for _ in range(2))
        edited = edited * (1 + 0.2 * gain) + 0.08 * offset
    smaller = F.interpolate(edited.movedim(3, 1), scale_factor=0.75, mode="area").movedim(1, 3)
    return Shot(source, smaller.clamp(0, 1), ball)


def _scene() -> tuple[Tensor, Tensor]:
    """A blue ball that moves before a sky and a meadow, and where it is."""
    rows, columns = torch.linspace(0, 1, HEIGHT)[:, None], torch.arange(WIDTH)[None]
    sky = torch.lerp(
        torch.tensor([0.35, 0.55, 0.85]), torch.tensor([0.95, 0.85, 0.7]), rows[..., None]
    )
    draw = torch.Generator().manual_seed(SEED)
    meadow = torch.tensor([0.3, 0.45, 0.2]) * (0.6 + 0.8 * _texture(draw)[..., None])
    hill = 0.55 + 0.04 * torch.sin(columns / 40)
    ground = ((rows - hill) * 60).sigmoid()[..., None]
    behind = torch.lerp(sky.expand(HEIGHT, WIDTH, 3), meadow, ground)
    frames, balls = [], []
    for index in range(FRAMES):
        down, across = rows * (HEIGHT - 1) - 138, columns - 180.0 - 3 * index
        ball = (RADIUS + 0.5 - (down**2 + across**2).sqrt()).clamp(0, 1)
        light = (0.75 - 0.25 * down / RADIUS)[..., None]
        frames.append(torch.lerp(behind, torch.tensor([0.2, 0.35, 0.8]) * light, ball[..., None]))
        balls.append(ball)
    return torch.stack(frames).clamp(0, 1), torch.stack(balls)


def _texture(draw: torch.Generator) -> Tensor:
    """(h, w) in 0..1: noise of several sizes."""
    whole = torch.zeros(1, 1, HEIGHT, WIDTH)
    for cell in (4, 16, 64):
        noise = torch.rand(1, 1, HEIGHT // cell, WIDTH // cell, generator=draw)
        whole += F.interpolate(noise, (HEIGHT, WIDTH), mode="bicubic") / 3
    return whole[0, 0].clamp(0, 1)


def picture(path: Path) -> None:
    """The edges at 200 %, a row for each, a column for each frame."""
    shot = made(drift=True)
    rows = [("source", shot.source)]
    rows += [(name, shot.pasted(edge)) for name, edge in EDGES.items()]
    twice = [(name, _twice(frames[:, SHOWN[0], SHOWN[1]])) for name, frames in rows]
    sheet(twice).save(path)


def _twice(frames: Tensor) -> Tensor:
    return frames.repeat_interleave(2, 1).repeat_interleave(2, 2)


if __name__ == "__main__":
    main(__file__)
