"""What the pack's methods do on the video miniature, and on the image miniature with the same
clips: those of the keys `video.*` that are about edits.

How well clips are inverted; then `video_recolour`, `video_unsaid` and `video_people` in turn.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import fmean

from ..miniature.video.measure import bench_clips
from ..miniature.video.world import Clip
from ..pipelines.measure.psnr import psnr
from ..pipelines.source.reconstruction import reconstruct
from . import main, video_people, video_recolour, video_unsaid
from .shares import Figures
from .video_clips import STEPS, Side, Task, inverted, shot, sides

BY_NAME = True
SEED, INVERTED, INVERSION_STEPS = 7401, 12, 50
PARTS = (video_recolour, video_unsaid, video_people)
FLOORS = {
    "video.inversion_psnr_db": 34,
    "video.inversion_psnr_db.worst": 25,
    "video.fusion_right_share": 0.80,
    "video.fusion_background_gain_db": 8,
    "video.unsaid_share_with": 0.80,
    "video.unsaid_gain": 0.5,
    "video.two_people_share": 0.70,
    "video.two_people_profession_share": 0.90,
}
TARGETS = {
    "video.wobble_ratio": 0.5,
    "video.flicker_ratio": 0.5,
    "video.wobble_over_plain": 1,
    "video.flicker_over_plain": 1,
}


def run(
    scale: float = 1.0, steps: int = STEPS, model: Path | None = None, keep: Path | None = None
) -> Figures:
    """Measure; shares come with their 95 % Wilson intervals, ratios with those of a bootstrap.

    scale: share of the clips. model: an export of the video miniature, in the place of the shipped
    one. keep: a folder for what was judged of each clip; a run that was stopped goes on there.
    """
    [video, _] = sides(model)
    figures = inversion(video, max(2, round(INVERTED * scale)))
    for part in PARTS:
        figures |= part.run(scale, steps, model, keep)
    return figures


def inversion(side: Side, count: int) -> Figures:
    """PSNR in dB of clips that were inverted and made again at guidance 1, against what the
    autoencoder makes of them, by solver; 50 steps each way."""
    figures: Figures = {}
    clips = bench_clips(count, SEED)
    for solver, key in (("uni-inv", ""), ("ddim", "_ddim")):
        found = [_again(replace(side, solver=solver), clip) for clip in clips]
        figures[f"video.inversion{key}_psnr_db"] = round(fmean(found), 2)
        figures[f"video.inversion{key}_psnr_db.worst"] = round(min(found), 2)
    return figures


def _again(side: Side, clip: Clip) -> float:
    made, codec = inverted(side, shot(0, Task(clip, clip, ())), INVERSION_STEPS), side.model.codec
    again = reconstruct(side.model, made)
    return psnr(codec.decode(again), codec.decode(made.trajectory[0]))


if __name__ == "__main__":
    main(__file__)
