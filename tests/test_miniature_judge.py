"""The judge reads rendered truth without an error, and does not guess where nothing is clear."""

from __future__ import annotations

import numpy as np
import pytest

from evenframe.miniature.demo import demo_clip
from evenframe.miniature.judge import analyse, relations
from evenframe.miniature.read_figures import read_figures
from evenframe.miniature.sample_scenes import sample_scene
from evenframe.miniature.scenes import compose, make_figure, make_object, render
from evenframe.miniature.verdict import judge_scene


def truth_is_read(scene, frame):
    image, _ = render(scene, frame)
    seen = analyse((image * 255 + 0.5).astype(np.uint8))
    verdict = judge_scene(scene, seen)
    presented = all(
        item.presentation == getattr(found, "presentation", None)
        for item, found in zip(scene.items, verdict.matched, strict=True)
        if item.is_figure
    )
    return verdict.right and presented and seen.background == scene.background


@pytest.mark.parametrize("held_out", [False, True])
def test_rendered_truth_is_read_without_error(held_out):
    rng = np.random.default_rng(11)
    kinds = ["one", "two", "count", "figure", "figure_object", "two_figures"]
    for index in range(60):
        kind = kinds[index % len(kinds)]
        if held_out and kind == "count":
            kind = "one"
        scene = sample_scene(rng, kind, held_out)
        assert truth_is_read(scene, int(rng.integers(16))), scene.prompt


def test_an_empty_picture_holds_nothing():
    seen = analyse(np.full((128, 128, 3), 0.5, np.float32))
    assert seen.background == "gray"
    assert seen.count == 0


def test_noise_is_undetermined():
    noise = np.random.default_rng(0).random((128, 128, 3)).astype(np.float32)
    assert analyse(noise).background is None


def test_a_shape_that_is_none_of_the_four_is_undetermined():
    image, _ = render(compose("one", (make_object("red", "square", 64, 64, 30),), "gray"))
    image[58:70, 20:108] = 0.5  # cut in two bars: neither is a square
    objects = analyse(image).objects
    assert len(objects) == 2
    assert all(found.colour == "red" and found.shape is None for found in objects)


def test_a_wrong_prompt_is_judged_wrong():
    circle, square = make_object("red", "circle", 35, 64), make_object("blue", "square", 92, 64)
    shown = analyse(render(compose("two", (circle, square), "gray", "left of"))[0])
    swapped = compose("two", (circle, square), "navy", "right of")
    answers = judge_scene(swapped, shown).answers
    assert answers["color"] == (True, True) and answers["shape"] == (True, True)
    assert answers["relation"] == (False,) and answers["background"] == (False,)


def test_two_objects_may_not_be_swapped_to_please_a_relation():
    red, blue = make_object("red", "circle", 35, 64), make_object("blue", "circle", 92, 64)
    shown = analyse(render(compose("two", (red, blue), "gray", "left of"))[0])
    asked = compose("two", (blue, red), "gray", "left of")
    assert judge_scene(asked, shown).answers["relation"] == (False,)


def test_a_figure_without_its_coat_is_undetermined():
    doctor = make_figure("doctor", "male", 64, 64)
    image, _ = render(compose("figure", (doctor,), "gray"))
    mixed = image.copy()
    female, _ = render(compose("figure", (make_figure("doctor", "female", 64, 64),), "gray"))
    mixed[64:] = female[64:]  # short hair over an orange coat
    assert analyse(image).figures[0].presentation == "male"
    assert analyse(female).figures[0].presentation == "female"
    assert analyse(mixed).figures[0].presentation is None


def test_of_two_faces_above_each_other_one_is_a_figure():
    pixels = np.zeros((128, 128, 3), np.float32)
    blob, faces = np.zeros((128, 128), bool), []
    blob[20:100, 50:70] = True
    for top in (30, 70):
        face = np.zeros_like(blob)
        face[top : top + 10, 55:65] = True
        faces.append(face)
    assert len(read_figures(pixels, blob, faces, blob.astype(np.float32))) == 1


def test_relations_follow_the_centres():
    seen = analyse(demo_clip(1)[0][0])
    circle = next(o for o in seen.objects if o.shape == "circle")
    square = next(o for o in seen.objects if o.shape == "square")
    assert relations(circle, square) == {"left of"}
    assert relations(square, circle) == {"right of"}


def path_of(colour, frames):
    """Centre of the first object of a colour on each frame, (f, 2); NaN where there is none."""
    found = [[o for o in analyse(frame).objects if o.colour == colour] for frame in frames]
    return np.array([(one[0].x, one[0].y) if one else (np.nan, np.nan) for one in found])


def test_the_path_of_a_subject_is_its_motion():
    frames = demo_clip(8)[0]
    path = path_of("red", frames)
    step = np.diff(path, axis=0).mean(0)
    assert step == pytest.approx([0.6, 2.4], abs=0.15)
    assert np.isnan(path_of("green", frames)).all()


def test_pictures_of_another_size_are_refused():
    with pytest.raises(ValueError, match="128x128"):
        analyse(np.zeros((64, 64, 3), np.float32))
