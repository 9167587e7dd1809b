"""The world in motion: seeded, true to its prompts, exact in the latents that are trained on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from evenframe.miniature.latents import load_latent_map
from evenframe.miniature.video.latents import clip_latents, frame_latents, frames_of, pack
from evenframe.miniature.video.motions import (
    CLIP,
    FIGURE_MOTIONS,
    HELD_OUT_MOTIONS,
    OBJECT_MOTIONS,
    TURNS,
)
from evenframe.miniature.video.sample_clips import KINDS, sample_clip, stays_true
from evenframe.miniature.video.text import words
from evenframe.miniature.video.world import Clip, render


def clips(count: int, seed: int = 1, **options) -> list[Clip]:
    rng = np.random.default_rng(seed)
    return [sample_clip(rng, **options) for _ in range(count)]


def holds_held_out_things(clip: Clip) -> bool:
    return any(item.is_held_out(clip.scene.background) for item in clip.scene.items)


@pytest.fixture(scope="module")
def drawn() -> list[Clip]:
    return clips(300)


def combinations(clip: Clip) -> set[tuple[str, str]]:
    return {(m.item.noun, m.motion.words) for m in clip.movers if m.told and m.motion is not None}


def test_the_same_seed_gives_the_same_clips_and_pixels():
    first, second = clips(10), clips(10)
    assert first == second != clips(10, seed=2)
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(render(a, 3)[0], render(b, 3)[0])


def test_prompts_are_of_known_words_and_fit_the_encoder(drawn: list[Clip]):
    known = set(words())
    for clip in drawn:
        said = clip.prompt.split()
        assert set(said) <= known and len(said) <= 75


def test_every_kind_and_every_motion_is_drawn(drawn: list[Clip]):
    assert {clip.scene.kind for clip in drawn} == set(KINDS)
    told = {motion for clip in drawn for _, motion in combinations(clip)}
    assert told == {motion.words for motion in (*OBJECT_MOTIONS, *FIGURE_MOTIONS)}
    assert 0.4 < np.mean([any(m.told for m in clip.movers) for clip in drawn]) < 0.7
    assert any(clip.pan for clip in drawn)


def test_one_motion_can_be_asked_for_to_practise_it():
    drawn = clips(8, kind="one", told=1.0, motion="turning")
    assert all(clip.told == ("turning",) and clip.movers[0].turn for clip in drawn)


def test_a_clip_tells_its_motions_and_the_camera_s(drawn: list[Clip]):
    for clip in drawn:
        said = clip.prompt
        assert all(words in said for words in clip.told)
        assert (clip.told[-1:] == ("camera panning",)) == bool(clip.pan)


def test_training_holds_nothing_that_is_held_out(drawn: list[Clip]):
    for clip in drawn:
        assert not combinations(clip) & HELD_OUT_MOTIONS
        assert not holds_held_out_things(clip)
    for clip in clips(20, held_out=True):
        assert combinations(clip) & HELD_OUT_MOTIONS or holds_held_out_things(clip)


def test_what_is_told_is_what_happens(drawn: list[Clip]):
    seen = set()
    for clip in drawn:
        for index, mover in enumerate(clip.movers):
            if not mover.told or mover.motion is None:
                continue
            motion, first, last = mover.motion, clip.pose(index, 0), clip.pose(index, CLIP - 1)
            seen.add(motion.words)
            along = np.dot((last.x - first.x, last.y - first.y), motion.way)
            assert along >= (CLIP - 1) * motion.speed[0] - 0.1 or motion.way == (0, 0)
            if motion.grow:
                assert (last.radius - first.radius) * motion.grow > 0.25 * first.radius
            if motion.turn:
                assert abs(last.angle - first.angle) >= TURNS[0] - 1e-9
            if motion.words == "standing still":
                assert first == last
    assert len(seen) > 8


def test_clips_stay_true(drawn: list[Clip]):
    assert all(stays_true(clip) for clip in drawn)


def test_clips_are_drawn_in_latent_space_as_their_pictures_are(drawn: list[Clip]):
    latent_map = load_latent_map()
    kinds = {clip.scene.kind: clip for clip in drawn} | {
        motion: clip for clip in drawn for _, motion in combinations(clip)
    }
    for clip in kinds.values():
        pictures = np.stack([render(clip, frame)[0] for frame in range(CLIP)])
        apart = frame_latents(clip, latent_map) - latent_map.encode(pictures)
        assert np.abs(apart).max() < 1e-4, clip.prompt


@pytest.mark.parametrize("frames", [17, 9, 5, 1])
def test_a_latent_frame_holds_four_frames_and_the_first_one_four_times(frames: int, drawn):
    latent_map = load_latent_map()
    whole = frame_latents(drawn[0], latent_map)
    latents = clip_latents(drawn[0], latent_map, frames)
    assert latents.shape == (16, (frames - 1) // 4 + 1, 16, 16)
    assert np.array_equal(latents[:, 0], np.tile(whole[0], (4, 1, 1)))
    assert np.array_equal(latents, pack(whole[:frames]))
    back = frames_of(torch.from_numpy(latents)[None])[0].numpy()
    assert np.array_equal(back[3:], whole[:frames])
