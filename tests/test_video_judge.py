"""The judge of time reads rendered truth without an error, and sees what only time shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evenframe.miniature.scenes import compose, make_figure, make_object
from evenframe.miniature.video.judge import Path, Watched, watch
from evenframe.miniature.video.motions import CLIP, FIGURE_MOTIONS, OBJECT_MOTIONS, STILL
from evenframe.miniature.video.sample_clips import KINDS, sample_clip
from evenframe.miniature.video.verdict import judge_clip, tally
from evenframe.miniature.video.world import Clip, Mover, render

Frames = NDArray[np.float32]
MOTIONS = {motion.words: motion for motion in (*OBJECT_MOTIONS, *FIGURE_MOTIONS)}
FEW = 9


def frames_of(clip: Clip, count: int = CLIP) -> Frames:
    return np.stack([render(clip, frame)[0] for frame in range(count)])


def clip_of(*movers: Mover, background: str = "gray", kind: str = "", pan: float = 0.0) -> Clip:
    kind = kind or {1: "one", 2: "two"}[len(movers)]
    items = tuple(mover.item for mover in movers)
    return Clip(compose(kind, items, background), movers, pan, ())


def going(words: str, shape: str = "square", **how: Any) -> Mover:
    item = make_object("red", shape, 64, 64, 24)
    return Mover(item, motion=MOTIONS[words], told=True, **how)


def only(watched: Watched) -> Path:
    [path] = watched.paths
    assert path is not None
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_truth_is_read_without_an_error(kind: str):
    rng = np.random.default_rng([5, len(kind)])
    for held_out in (False, False, False, kind not in ("count", "crossing")):
        clip = sample_clip(rng, kind, held_out)
        seen = watch((frames_of(clip) * 255 + 0.5).astype(np.uint8))
        verdict = judge_clip(clip, seen)
        assert verdict.right and all(verdict.motion) and all(verdict.identity), clip.prompt
        lasting = sum(track.is_lasting for track in seen.tracks)
        assert kind == "crossing" or lasting == len(clip.movers)  # what is behind falls into parts
        for measured, true in verdict.travels:
            assert measured == pytest.approx(true, abs=0.5), clip.prompt
        for path in verdict.paths:
            assert path is not None and (kind == "crossing" or path.error < 0.25)
            assert path.wobble is None or path.wobble < 0.03
        assert seen.flicker is not None and seen.flicker < 0.005


@pytest.mark.parametrize(
    ("words", "how"),
    [
        ("moving left", {"vx": -1.2}),
        ("moving down", {"vy": 1.2}),
        ("standing still", {}),
        ("turning", {"turn": 0.05}),
        ("growing", {"growth": 1.02}),
        ("shrinking", {"growth": 0.98}),
    ],
)
def test_a_told_motion_is_told_from_all_others(words: str, how: dict[str, float]):
    seen = watch(frames_of(clip_of(going(words, shape="triangle", **how)), FEW))
    for other in OBJECT_MOTIONS:
        told = clip_of(going(other.words, shape="triangle"))
        assert judge_clip(told, seen).motion == (other.words == words,), other.words


def test_a_walk_rises_and_sinks_and_a_slide_does_not():
    walk = MOTIONS["walking right"]
    figure = make_figure("doctor", "male", 64, 64, 44)
    for motion, bob in ((walk, 2.0), (None, 0.0)):
        seen = watch(frames_of(clip_of(Mover(figure, vx=1.0, motion=motion), kind="figure")))
        assert only(seen).bob == pytest.approx(bob, abs=0.1)
        assert only(seen).vx == pytest.approx(1.0, abs=0.02)


def test_the_camera_is_told_from_its_opposite():
    clip = clip_of(Mover(make_object("red", "circle", 64, 64)), background="checkered", pan=1.1)
    seen = watch(frames_of(clip))
    assert judge_clip(clip, seen).motion == (True,) and judge_clip(clip, seen).right
    assert judge_clip(replace(clip, pan=-1.1), seen).motion == (False,)


def test_an_exchange_of_colours_is_seen_and_a_crossing_is_none():
    red, blue = make_object("red", "square", 34, 64, 20), make_object("blue", "square", 94, 64, 20)
    before = clip_of(Mover(red), Mover(blue))
    after = clip_of(Mover(replace(blue, x=red.x)), Mover(replace(red, x=blue.x)))
    swapped = np.concatenate([frames_of(before, 5), frames_of(after, 4)])
    verdict = judge_clip(before, watch(swapped))
    assert verdict.right and verdict.identity == (False, False)
    crossed = clip_of(
        Mover(replace(red, x=64.0), vx=3.0), Mover(replace(blue, x=64.0), vx=-3.0), kind="crossing"
    )
    verdict = judge_clip(crossed, watch(frames_of(crossed)))
    assert verdict.right and verdict.identity == (True, True)


def test_of_things_that_look_alike_the_motion_tells_which_is_which():
    nurse = make_figure("nurse", "female", 34, 64, 40)
    left, still = MOTIONS["walking left"], STILL
    movers = [
        Mover(nurse, vx=-0.8, motion=left, told=True),
        Mover(replace(nurse, x=92.0), motion=still, told=True),
    ]

    def told(*movers: Mover) -> Clip:
        items = tuple(mover.item for mover in movers)
        return Clip(compose("two_figures", items, "navy", "left of"), movers, 0.0, ())

    shown = watch(frames_of(told(*movers), FEW))
    verdict = judge_clip(told(*movers), shown)
    assert verdict.right and verdict.motion == (True, True)
    # A nurse standing still left of a nurse walking left: either the place or the motion is wrong.
    verdict = judge_clip(told(*movers[::-1]), shown)
    assert not (verdict.right and all(verdict.motion))


def test_parts_of_what_is_behind_another_thing_are_one():
    blue = make_object("blue", "square", 64, 64, 18)
    green = make_object("green", "cross", 64, 64, 26)
    clip = clip_of(Mover(green, vx=2.5), Mover(blue, vx=-2.5), kind="crossing")
    seen = watch(frames_of(clip))
    assert [track.looks().most_common(1)[0][0][1] for track in seen.tracks] == ["green", "blue"]
    verdict = judge_clip(clip, seen)
    assert verdict.right and verdict.identity == (True, True)
    speeds = [path.vx for path in verdict.paths if path is not None]
    assert speeds == pytest.approx([2.5, -2.5], abs=1.0)  # less exact while hidden


def test_what_is_gone_for_a_while_is_not_the_same():
    clip = clip_of(going("standing still"))
    frames = frames_of(clip, FEW)
    frames[4] = 0.5
    verdict = judge_clip(clip, watch(frames))
    assert verdict.identity == (False,) and not verdict.right
    assert tally([verdict])["frames"] == (FEW - 1, FEW, 1)


def test_what_comes_and_goes_among_others_is_followed():
    rng = np.random.default_rng(0)
    frames = frames_of(clip_of(going("standing still")), FEW)
    colours = np.array([(1, 0, 0), (0.1, 0.8, 0.2), (1, 1, 1)])
    for frame in frames:  # two blocks of any colour, anywhere
        for x, y in rng.integers(0, 100, (2, 2)):
            frame[y : y + 20, x : x + 20] = colours[rng.integers(3)]
    seen = watch(frames)
    assert len(seen.tracks) > 3
    assert sum(len(track.shown()) for track in seen.tracks) >= FEW
    assert not judge_clip(clip_of(going("standing still")), seen).right


def test_uneven_paths_and_outlines_are_measured():
    still = going("standing still", shape="circle")
    jumps = [replace(still, item=replace(still.item, x=64 + 2.0 * (n % 2))) for n in range(FEW)]
    shaken = np.stack([frames_of(clip_of(mover), 1)[0] for mover in jumps])
    assert only(watch(shaken)).error == pytest.approx(1.0, abs=0.1)
    assert (only(watch(shaken)).wobble or 0) < 0.02  # the outline is the same
    breathing = [
        replace(still, item=replace(still.item, radius=24 + 2.0 * (n % 2))) for n in range(FEW)
    ]
    breathed = np.stack([frames_of(clip_of(mover), 1)[0] for mover in breathing])
    assert only(watch(breathed)).error < 0.05
    assert (only(watch(breathed)).wobble or 0) > 0.1  # its area changes by a sixth


def test_only_what_stands_still_can_flicker():
    frames = frames_of(clip_of(going("moving left", vx=-1.5)), FEW)
    quiet = watch(frames).flicker
    assert quiet is not None and quiet < 0.002
    bright = frames.copy()
    bright[::2] += 0.02
    assert watch(bright).flicker == pytest.approx(0.02, abs=0.002)
    resting = frames_of(clip_of(going("standing still")), FEW)
    resting[::2, 60:68, 60:68] *= 0.9  # within the object
    assert (watch(resting).flicker or 0) > 0.002


def test_single_frames_and_empty_ones_are_watched():
    clip = clip_of(going("moving left"))
    seen = watch(frames_of(clip, 1))
    verdict = judge_clip(clip, seen)
    assert verdict.right and verdict.motion == () and seen.flicker is None
    empty = watch(np.full((2, 128, 128, 3), 0.5, np.float32))
    assert empty.tracks == () and not judge_clip(clip, empty).right
    assert judge_clip(clip, empty).motion == (False,)
    with pytest.raises(ValueError, match="at least one"):
        watch(np.empty((0, 128, 128, 3), np.float32))


def test_standing_still_is_what_motions_call_it():
    assert STILL is MOTIONS["standing still"]
