"""An edit pasted back into 1080p: what changes outside, where it lies, its seam, its cost.

The source is H.264 with a camera's pan and grain, the edit 832x480. The time is that of saving the
paste, with a still box and with a moving mask of a sixth of the frame each, over decoding and
encoding the same frames alone: processor seconds of one process, turn by turn, on one thread but
for the decoder's. Memory is what that process holds at most beyond what it has before.
"""

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import process_time

import numpy as np
import torch
from torch import Tensor

from ..pipelines.pasting.edge import Edge
from ..pipelines.pasting.only_there import only_there
from ..pipelines.regions.region import box_region, mask_region
from ..pipelines.regions.regions import Regions
from ..pipelines.video import Choice, Film, Fitting, load, outline, save
from ..pipelines.video.original import original
from . import main
from .camera import write
from .displacement import displaced
from .peaks import alone, peak

FRAMES = 300
LOOKED_AT = 6
"""Frames of the figures of quality."""
WIDE, HIGH = 1920, 1080
EDIT = (832, 480)
BOX = (300, 120, 560, 376)
"""A sixth of the edit's pixels."""
TARGETS = {
    "only_there.outside_max": 0,
    "only_there.seam_left_share": 0.2,
    "only_there.shift_px": 0.05,
    "only_there.time_ratio": 2,
    "only_there.peak_gb": 1,
}
Figures = dict[str, float]


def scenes(count: int, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """(h, w, 3) uint8: a pan over waves of all sizes, with grain."""
    wide, high = size
    draw = np.random.default_rng(0)
    down, across = np.fft.fftfreq(high + 64)[:, None], np.fft.rfftfreq(wide + 640)
    strength = 1 / np.maximum(np.hypot(down, across), 1 / high)
    phases = np.fft.rfft2(draw.normal(size=(3, high + 64, wide + 640)))
    waves = np.fft.irfft2(phases * strength, (high + 64, wide + 640))
    world = (127 + 35 * (waves - waves.mean()) / waves.std()).transpose(1, 2, 0)
    grain = draw.normal(0, 3, (high + 64, wide + 64, 1))
    for index in range(count):
        x, y = 2 * index % 640, round(32 + 30 * math.sin(index / 9))
        dx, dy = draw.integers(0, 64, 2)
        frame = world[y : y + high, x : x + wide] + grain[dy : dy + high, dx : dx + wide]
        yield frame.clip(0, 255).astype(np.uint8)


def regions(count: int, moving: bool) -> Regions:
    """Drawn on the edit's frames: a box that stands, or an ellipse of its size that moves."""
    wide, high = EDIT
    if not moving:
        return Regions((box_region([BOX] * count, (high, wide), name="it"),), count, (high, wide))
    rows, columns = torch.arange(high)[:, None] + 0.5, torch.arange(wide) + 0.5
    masks = torch.empty(count, high, wide)
    for index, mask in enumerate(masks):
        x, y = wide / 2 + 200 * math.sin(index / 20), high / 2 + 60 * math.cos(index / 15)
        mask[:] = ((columns - x) / 146) ** 2 + ((rows - y) / 145) ** 2 < 1
    return Regions((mask_region(masks, count, (high, wide), name="it"),), count, (high, wide))


def quality(path: Path) -> Figures:
    """With the edit's frames as they were loaded, and with drifting colours."""
    clip = load(path, Choice(LOOKED_AT), Fitting(width=EDIT[0], height=EDIT[1]))
    drawn, hard = regions(LOOKED_AT, moving=False), Edge(feather=0)
    scale = np.divide((WIDE, HIGH), EDIT)
    left, top, right, bottom = np.rint(np.array(BOX) * [*scale, *scale]).astype(int)
    source = pixels_of(original(clip, whole=False).film)
    unedited = pixels_of(only_there(clip, clip.frames, drawn, hard, whole=False))
    off, on = (
        pixels_of(only_there(clip, drifting(clip.frames), drawn, edge, whole=False))
        for edge in (hard, Edge(feather=0, rim_match=True))
    )
    outside = np.ones((HIGH, WIDE), bool)
    outside[top:bottom, left:right] = False
    inside = np.s_[top:bottom, left:right]
    near = ~outside
    near[top + 8 : bottom - 8, left + 8 : right - 8] = False

    def seam(result: np.ndarray) -> float:
        return float(np.abs((result - unedited)[:, near].mean(1)).mean())

    moved = [displaced(a[inside], b[inside])[0] for a, b in zip(source, unedited, strict=True)]
    changed = (np.abs(each - source)[:, outside].max() for each in (unedited, off, on))
    return {
        "only_there.outside_max": float(max(changed)),
        "only_there.seam_left_share": seam(on) / seam(off),
        "only_there.shift_px": max(moved),
    }


def drifting(frames: Tensor) -> Tensor:
    """Gains of 0.9 to 1.1 and offsets of their own for each frame and channel."""
    times, channels = torch.arange(len(frames))[:, None], torch.arange(3)
    gain = 1 + 0.1 * torch.sin(1.0 + 2.1 * times + 2 * channels)
    offset = 0.03 * torch.cos(0.5 + 1.3 * times + channels)
    return (frames * gain[:, None, None] + offset[:, None, None]).clamp(0, 1)


def pixels_of(film: Film) -> np.ndarray:
    return np.stack([shot.pixels for shot in film.shots()]).astype(np.float32)


def cost(folder: Path, count: int) -> Figures:
    """In a process of its own: seconds and bytes of saving, with the edit given as a film."""
    torch.set_num_threads(1)
    clip, edit = outline(folder / "source.mp4"), original(outline(folder / "edit.mp4")).film
    edge = Edge(grow=4, feather=16, rim_match=True)
    plain = original(clip).film
    films = {"plain": plain} | {
        name: only_there(clip, edit, regions(count, moving), edge)
        for name, moving in (("still", False), ("moving", True))
    }
    seconds: dict[str, float] = {}

    def save_all() -> None:
        for name, film in films.items():
            start = process_time()
            save(folder / f"{name}.mp4", film)
            seconds[name] = process_time() - start

    save(folder / "first.mp4", original(outline(folder / "first-source.mp4")).film)  # loads modules
    most, _ = peak(save_all)
    return {
        "only_there.time_ratio": max(seconds["still"], seconds["moving"]) / seconds["plain"],
        "only_there.still_time_ratio": seconds["still"] / seconds["plain"],
        "only_there.plain_seconds": seconds["plain"],
        "only_there.peak_gb": most / 1e9,
    }


def run(count: int = FRAMES) -> Figures:
    """All figures; `count` frames for those of the cost."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = write(folder / "source.mp4", scenes(count, (WIDE, HIGH)))
        write(folder / "edit.mp4", scenes(count, EDIT))
        write(folder / "first-source.mp4", scenes(2, (64, 64)))
        return quality(source) | alone(cost, folder, count)


if __name__ == "__main__":
    main(__file__)
