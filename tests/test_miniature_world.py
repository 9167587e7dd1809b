"""The world: seeded, true to its prompts, with held-out combinations that training never sees."""

from __future__ import annotations

import numpy as np
import pytest

from evenframe.miniature.demo import SCENES, SOURCE_PROMPT, demo_clip, demo_scene, scene_clip
from evenframe.miniature.judge import analyse
from evenframe.miniature.sample_scenes import KINDS, sample_scene
from evenframe.miniature.scenes import compose, make_figure, make_object, render
from evenframe.miniature.verdict import judge_scene
from evenframe.miniature.vocabulary import (
    FEMALE_SHARE,
    FRAMES,
    HELD_OUT_FIGURES,
    HELD_OUT_OBJECTS,
    trained_words,
)
from evenframe.pipelines.text.prompt import unknown_words


def scenes(count: int, seed: int = 1, **options):
    rng = np.random.default_rng(seed)
    return [sample_scene(rng, **options) for _ in range(count)]


def combinations(scene):
    for item in scene.items:
        yield (item.noun, scene.background) if item.is_figure else (item.colour, item.noun)


def test_both_numbers_are_as_frequent_and_their_objects_evenly_apart():
    drawn = scenes(200, kind="count")
    assert 80 <= sum(len(scene.items) == 3 for scene in drawn) <= 120
    for scene in drawn:
        assert scene.prompt.split()[0] == {2: "two", 3: "three"}[len(scene.items)]
        assert len({(i.noun, i.colour, i.radius, i.vx, i.vy) for i in scene.items}) == 1
        places = np.array([(item.x, item.y) for item in scene.items])
        apart = np.hypot(*(places - np.roll(places, 1, axis=0)).T)
        assert np.ptp(apart) < 1e-9


def test_the_same_seed_gives_the_same_scenes_and_pixels():
    first, second = scenes(20), scenes(20)
    assert first == second
    assert first != scenes(20, seed=2)
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(render(a, 3)[0], render(b, 3)[0])


def test_training_scenes_hold_no_held_out_combination():
    held_out = HELD_OUT_OBJECTS | HELD_OUT_FIGURES
    for scene in scenes(1500):
        assert not held_out & set(combinations(scene)), scene.prompt


def test_held_out_scenes_hold_at_least_one():
    held_out = HELD_OUT_OBJECTS | HELD_OUT_FIGURES
    for scene in scenes(100, held_out=True):
        assert held_out & set(combinations(scene)), scene.prompt
        assert scene.says_background


def test_every_word_of_a_prompt_is_known():
    known = set(trained_words())
    for scene in scenes(500):
        assert set(scene.prompt.split()) <= known


def test_unknown_words_are_told_with_the_nearest_known():
    known = trained_words()
    assert unknown_words("a red circle, left of a blue square", known) == {}
    told = unknown_words("a red zircle on a sky background", known)
    assert list(told) == ["zircle", "sky"]
    assert told["zircle"][0] == "circle"
    assert "orange" in unknown_words("an orange circle", known)  # a spare token, but never trained


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_items_stay_in_the_frame_and_apart(kind):
    for scene in scenes(25, kind=kind):
        for frame in (0, 7, FRAMES - 1):
            image, masks = render(scene, frame)
            assert image.dtype == masks.dtype == np.float32
            assert image.min() >= 0 and image.max() <= 1
            edge = np.concatenate([masks[:, [0, -1]].ravel(), masks[:, :, [0, -1]].ravel()])
            assert edge.max() == 0
            overlap = masks.sum(0).max()
            assert overlap <= 1 + 1e-5
            assert (masks.sum((1, 2)) > 0).all() or kind == "crossing"


def test_crossing_objects_hide_each_other_and_part_again():
    scene = scenes(1, kind="crossing")[0]
    area = [render(scene, frame)[1][0].sum() for frame in range(FRAMES)]
    assert min(area) < 0.7 * area[0]
    assert area[-1] > 0.9 * area[0]


def test_figures_follow_the_stated_skew():
    seen: dict[str, list[bool]] = {}
    explicit = []
    for scene in scenes(1500, kind="figure"):
        item = scene.items[0]
        if item.explicit:
            explicit.append(item.presentation == "female")
        else:
            seen.setdefault(item.noun, []).append(item.presentation == "female")
    for profession, share in FEMALE_SHARE.items():
        assert np.mean(seen[profession]) == pytest.approx(share, abs=0.12), profession
    assert np.mean(explicit) == pytest.approx(0.5, abs=0.08)


def test_prompts_read_as_stated():
    circle, square = make_object("red", "circle", 35, 64), make_object("blue", "square", 92, 64)
    pair = compose("two", (circle, square), "gray", "left of")
    assert pair.prompt == "a red circle left of a blue square on a gray background"
    assert [slot for word, slot in pair.words if word in ("red", "circle")] == [0, 0]
    assert [slot for word, slot in pair.words if word in ("blue", "square")] == [1, 1]
    engineer = make_figure("engineer", "female", 64, 64)
    assert compose("figure", (engineer,), "navy").prompt == "an engineer on a navy background"
    doctor = make_figure("doctor", "female", 64, 64, explicit=True)
    assert compose("figure", (doctor,), "navy").prompt == "a female doctor on a navy background"


def test_the_demo_clip_shows_its_source_prompt():
    frames, source, target, word = demo_clip(8)
    assert frames.shape == (8, 128, 128, 3) and frames.dtype == np.float32
    assert demo_scene().prompt == source == SOURCE_PROMPT
    assert len(source.split()) == len(target.split())
    assert word in target.split() and word not in source.split()
    assert not np.array_equal(frames[0], frames[-1])
    with pytest.raises(ValueError, match="1 to 16"):
        demo_clip(17)


@pytest.mark.parametrize("name", SCENES)
def test_a_built_in_clip_shows_what_its_prompt_says(name: str):
    frames, prompt = scene_clip(name, 16)
    scene = SCENES[name]()
    assert prompt == scene.prompt and len(frames) == 16
    for frame in (frames[0], frames[7]):
        assert judge_scene(scene, analyse(frame)).right
    figures = [item for item in scene.items if item.is_figure]
    assert not any(item.explicit for item in figures)
    shown = [figure.presentation for figure in analyse(frames[0]).figures]
    assert sorted(map(str, shown)) == sorted(str(item.presentation) for item in figures)
