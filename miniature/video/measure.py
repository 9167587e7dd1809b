"""Measurements of the video miniature against its world's truth; a bench puts them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from ..measure import psnr
from .judge import Path, Watched, watch
from .motions import CLIP
from .sample_clips import KINDS, sample_clip
from .sampling import GUIDANCE, VideoMiniature, initial_noise, sample
from .verdict import ClipVerdict, judge_clip
from .world import Clip, render

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Drawn:
    """Clips with what was asked and what was seen. frames: (n, f, 128, 128, 3)."""

    clips: tuple[Clip, ...]
    frames: Array
    watched: tuple[Watched, ...]
    verdicts: tuple[ClipVerdict, ...]

    @property
    def paths(self) -> list[Path]:
        """Of all things that were found."""
        return [path for each in self.verdicts for path in each.paths if path is not None]


def bench_clips(count: int, seed: int, held_out: bool = False) -> list[Clip]:
    """Seeded clips of every kind that a prompt can fully describe."""
    rng = np.random.default_rng([seed, int(held_out)])
    kinds = {kind: share for kind, share in KINDS.items() if kind != "crossing"}
    shares = np.array(list(kinds.values()))
    drawn = rng.choice(list(kinds), size=count, p=shares / shares.sum())
    return [sample_clip(rng, str(kind), held_out) for kind in drawn]


def draw(
    model: VideoMiniature,
    clips: Sequence[Clip],
    seed: int,
    guidance: float = GUIDANCE,
    frames: int = CLIP,
    steps: int = 25,
) -> Drawn:
    """Sample a clip of each one's prompt, and judge it."""
    noise = initial_noise(range(seed, seed + len(clips)), frames)
    latents = sample(model, [clip.prompt for clip in clips], noise, steps, guidance)
    return judged(clips, model.decode(latents))


def judged(clips: Sequence[Clip], frames: Array) -> Drawn:
    """Frames (n, f, 128, 128, 3) that shall be of these clips, with what is seen in them."""
    watched = tuple(watch(each) for each in frames)
    verdicts = tuple(judge_clip(*pair) for pair in zip(clips, watched, strict=True))
    return Drawn(tuple(clips), frames, watched, verdicts)


def rendered(clips: Sequence[Clip], frames: int = CLIP) -> Array:
    """The truth: (n, frames, 128, 128, 3)."""
    return np.stack(
        [np.stack([render(clip, frame)[0] for frame in range(frames)]) for clip in clips]
    )


def travel_share(drawn: Drawn) -> float:
    """How far things go, of how far they go in the world: the ratio of the sums."""
    ways = np.array([way for each in drawn.verdicts for way in each.travels]).reshape(-1, 2)
    return float(ways[:, 0].sum() / max(1e-6, ways[:, 1].sum()))


def path_error(drawn: Drawn) -> float:
    """Mean distance of things from their even path, in pixels; nan where none was found."""
    return _mean([path.error for path in drawn.paths])


def wobble(drawn: Drawn) -> float:
    """Mean change of outlines from frame to frame, 0..1; nan where none was seen whole."""
    return _mean([path.wobble for path in drawn.paths if path.wobble is not None])


def flicker(drawn: Drawn) -> float:
    """Mean change of what stands still, 0..1."""
    return _mean([each.flicker for each in drawn.watched if each.flicker is not None])


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else float("nan")


def autoencoder_psnr(model: VideoMiniature, clips: Sequence[Clip]) -> list[float]:
    """PSNR in dB of each clip through the autoencoder."""
    found = []
    for clip in clips:
        frames = rendered([clip])
        kept = model.decode(model.encode(frames))
        found += psnr(*(each.reshape(1, -1, *each.shape[3:]) for each in (kept, frames)))
    return found
