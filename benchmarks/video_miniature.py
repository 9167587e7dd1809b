"""How well the video miniature draws its world in motion, judged from pixels: the keys `video.*`.

200 held-in prompts, 100 that hold a thing or a motion never trained on, 25 steps, fixed seeds. Each
motion that is told counts by its words, too (`video.motion.turning`).
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from ..miniature.contact_sheet import save_rows
from ..miniature.measure import SKEW, figure_scenes, presentations, skew_key
from ..miniature.verdict import ASPECTS
from ..miniature.video import measure, weights_dir
from ..miniature.video.model import FILES
from ..miniature.video.sampling import GUIDANCE, VideoMiniature, load, load_run
from ..miniature.video.verdict import tally
from ..miniature.video.world import Clip, Mover
from . import main
from .shares import Figures, share, share_of

BY_NAME = True
SEED = 9000
HELD_IN, HELD_OUT, FIGURES, THROUGH = 200, 100, 60, 16
SHOWN = (0, 8, 16)
ASKED = (*ASPECTS, "frames", "all", "motion", "identity")
FLOORS = {
    "video.all": 0.85,
    "video.all_held_out": 0.75,
    "video.motion": 0.85,
    "video.travel": 0.85,
    "video.color": 0.95,
    "video.shape": 0.85,
    "video.relation": 0.85,
    "video.background": 0.95,
    "video.profession": 0.85,
    "video.explicit_attribute": 0.95,
    "video.autoencoder_psnr_db": 32,
}
TARGETS = {"video.path_error_px": 0.5}


def run(
    run: Path | None = None,
    sheets: Path | None = None,
    scale: float = 1.0,
    guidance: float = GUIDANCE,
    seed: int = SEED,
) -> Figures:
    """Measure; each share `key` comes with its 95 % Wilson interval, and the number of clips that
    were asked: frames of one clip are right or wrong together.

    run: a training whose averaged weights are measured, with the autoencoder in `codec` beside it,
    where there is one. sheets: folder for contact sheets. scale: share of the clips to draw. seed:
    of clips and noise; settings are chosen on others than the usual one.
    """
    model = load() if run is None else _of_run(run)
    figures: Figures = {}
    for held_out, count, suffix in ((False, HELD_IN, ""), (True, HELD_OUT, "_held_out")):
        clips = measure.bench_clips(_number(count, scale), seed, held_out)
        drawn = measure.draw(model, clips, seed + 1000 * held_out, guidance)
        counts = tally(drawn.verdicts)
        for aspect in ASKED:
            figures |= share(f"video.{aspect}{suffix}", *counts.get(aspect, (0, 0, 0)))
        figures |= _of_time(drawn, suffix)
        figures |= _by_motion(drawn, suffix)
        if sheets is not None:
            _save_sheet(sheets / f"video{suffix}.png", drawn)
    return figures | _skew(model, scale) | _autoencoder(model, scale)


def _of_run(run: Path) -> VideoMiniature:
    """With the autoencoder that is in training beside it, or the shipped one."""
    codec = run.parent / "codec" / "averages.safetensors"
    shipped = weights_dir() / FILES["vae"]
    there = next((path for path in (codec, shipped) if path.is_file()), None)
    return load_run(run / "averages.safetensors", there)


def _number(count: int, scale: float) -> int:
    return max(2, round(count * scale))


def _of_time(drawn: measure.Drawn, suffix: str) -> Figures:
    found = {
        "travel": measure.travel_share(drawn),
        "path_error_px": measure.path_error(drawn),
        "wobble": measure.wobble(drawn),
        "flicker": measure.flicker(drawn),
    }
    return {f"video.{name}{suffix}": round(value, 4) for name, value in found.items()}


def _by_motion(drawn: measure.Drawn, suffix: str) -> Figures:
    """Each told motion by its words: how often it is followed."""
    answers = defaultdict[str, list[bool]](list)
    for clip, verdict in zip(drawn.clips, drawn.verdicts, strict=True):
        for words, followed in zip(clip.told, verdict.motion, strict=True):
            answers[words.replace(" ", "_")].append(followed)
    figures: Figures = {}
    for name, held in sorted(answers.items()):
        figures |= share_of(f"video.motion.{name}{suffix}", held)
    return figures


def _skew(model: VideoMiniature, scale: float) -> Figures:
    """Of the first frames of clips of one figure, as of the image miniature's pictures."""
    figures: Figures = {}
    for profession, named, counted in SKEW:
        scenes = figure_scenes(profession, named, _number(FIGURES, scale))
        clips = [Clip(each, (Mover(each.items[0]),), 0.0, each.words) for each in scenes]
        drawn = measure.draw(model, clips, SEED + 3000, frames=5)
        seen = presentations(verdict.frames[0] for verdict in drawn.verdicts)
        key = skew_key(profession, named)
        figures |= share(f"video.{key}", sum(each == counted for each in seen), len(seen))
    return figures


def _autoencoder(model: VideoMiniature, scale: float) -> Figures:
    if model.codec is None:
        return {}
    clips = measure.bench_clips(_number(THROUGH, scale), SEED + 1)
    through = measure.autoencoder_psnr(model, clips)
    return {
        "video.autoencoder_psnr_db": round(sum(through) / len(through), 2),
        "video.autoencoder_psnr_db.worst": round(min(through), 2),
    }


def _save_sheet(path: Path, drawn: measure.Drawn) -> None:
    captions = []
    for clip, verdict in zip(drawn.clips, drawn.verdicts, strict=True):
        marks = ["+" if verdict.frames[frame].right else "-" for frame in SHOWN]
        moved = "" if not verdict.motion else " moves" if all(verdict.motion) else " moves not"
        captions.append([clip.prompt, marks[1] + moved, clip.prompt[44:]])
    save_rows(path, [frames[list(SHOWN)] for frames in drawn.frames], captions, 24)


if __name__ == "__main__":
    main(__file__)
