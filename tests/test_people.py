"""Everybody on a clip as a region, or the one who is meant, and Track Region with them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn_people import Figure, drawn, overlap
from numpy.typing import NDArray
from torch import Tensor

from evenframe.nodes import node_classes
from evenframe.nodes.host import host, workflow
from evenframe.nodes.host.executor import Executor
from evenframe.nodes.host.standalone import Interrupted, Session, StandaloneHost
from evenframe.nodes.region import EvenframeDrawRegions
from evenframe.nodes.tracking import EXAMPLE, NO_SEGMENTER, PERSON, EvenframeTrackRegion
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.regions.tracking import people, person
from evenframe.pipelines.regions.tracking.drawn import Drawing
from evenframe.pipelines.regions.tracking.people import follow_people
from evenframe.pipelines.regions.tracking.person import Segmenter, load_segmenter

pytest.importorskip("cv2", reason="OpenCV is not installed")

SIZE = (120, 214)
RED, BLUE = (150, 60, 60), (60, 60, 150)
Labels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return load_segmenter()


def clip(frames: Sequence[Sequence[Figure]]) -> tuple[Tensor, list[Labels]]:
    """Frames (f, h, w, 3) and the labels of each."""
    pairs = [drawn(figures, SIZE) for figures in frames]
    return torch.stack([frame for frame, _ in pairs]), [labels for _, labels in pairs]


def standing(count: int = 2) -> tuple[Tensor, list[Labels]]:
    """A larger one at the left, a smaller one at the right, who both move a little."""
    return clip(
        [
            [Figure(60 + 2 * index, 15, 0.7, RED), Figure(160 - index, 45, 0.5, BLUE)]
            for index in range(count)
        ]
    )


def masks_of(found: people.People) -> NDArray[np.bool_]:
    assert set(found.region.masks.unique().tolist()) <= {0, 1}
    return found.region.masks.numpy() > 0


def test_everybody_is_one_region_without_a_prompt(segmenter: Segmenter):
    frames, truths = standing()
    counted: list[int] = []
    found = follow_people(segmenter, frames, name="all", words="two men", on_frame=counted.append)
    for mask, labels in zip(masks_of(found), truths, strict=True):
        assert overlap(mask, labels > 0) > 0.9
    assert counted == [1, 2] and found.note() == ""
    assert (found.region.name, found.region.words) == ("all", "two men")


@pytest.mark.parametrize(
    "prompt, label",
    [
        (Drawing(1, box=(25, 5, 100, 118)), 1),
        (Drawing(1, box=(55, 20, 65, 40)), 1),
        (Drawing(1, box=(60, 5, 200, 118), points=((160.0, 90.0),)), 2),
        (Drawing(1, points=((160.0, 43.0),)), 2),
        (Drawing(0, points=((62.0, 60.0), (50.0, 90.0)), outside=((158.0, 60.0),)), 1),
    ],
)
def test_the_one_who_is_meant_is_followed(segmenter: Segmenter, prompt: Drawing, label: int):
    frames, truths = standing()
    found = follow_people(segmenter, frames, [prompt], name="one")
    for mask, labels in zip(masks_of(found), truths, strict=True):
        assert overlap(mask, labels == label) > 0.85


def test_a_painted_mask_says_who_is_meant(segmenter: Segmenter):
    frames, truths = standing()
    painted = torch.from_numpy(truths[1] == 2).float()
    masks = masks_of(follow_people(segmenter, frames, [Drawing(1)], [painted], name="one"))
    for mask, labels in zip(masks, truths, strict=True):
        assert overlap(mask, labels == 2) > 0.9


def test_of_two_who_touch_a_mask_or_points_mean_one(segmenter: Segmenter):
    frames, truths = clip([[Figure(80, 15, 0.7, RED), Figure(122, 15, 0.7, BLUE)]])
    painted = torch.from_numpy(truths[0] == 1).float()
    apart = Drawing(0, points=((80.0, 70.0),), outside=((122.0, 70.0),))
    for prompt, mask, least in ((Drawing(0), [painted], 0.95), (apart, None, 0.7)):
        found = masks_of(follow_people(segmenter, frames, [prompt], mask, name="one"))
        assert overlap(found[0], truths[0] == 1) > least
    boxed = follow_people(segmenter, frames, [Drawing(0, box=(40, 5, 118, 118))], name="both")
    assert overlap(masks_of(boxed)[0], truths[0] > 0) > 0.9, "a box means a whole part"


@pytest.mark.parametrize("start", [0, 12])
def test_who_is_meant_is_followed_past_another(segmenter: Segmenter, start: int):
    frames, truths = clip(
        [
            [Figure(50 + 9 * index, 20, 0.6, RED), Figure(164 - 9 * index, 18, 0.6, BLUE)]
            for index in range(13)
        ]
    )
    x = 50 if start == 0 else 158
    prompt = Drawing(start, box=(x - 25.0, 10, x + 25.0, 115))
    masks = masks_of(follow_people(segmenter, frames, [prompt], name="one"))
    for index in (0, 1, 2, 10, 11, 12):
        assert overlap(masks[index], truths[index] == 1) > 0.75, index
        assert overlap(masks[index], truths[index] == 2) < 0.05, index


def test_from_each_prompted_frame_as_far_as_the_middle(segmenter: Segmenter):
    frames, truths = standing(7)
    prompts = [Drawing(5, box=(125, 5, 200, 118)), Drawing(0, box=(25, 5, 100, 118))]
    masks = masks_of(follow_people(segmenter, frames, prompts, name="one"))
    for label, index in ((1, 0), (1, 1), (1, 2), (2, 3), (2, 4), (2, 5), (2, 6)):
        assert overlap(masks[index], truths[index] == label) > 0.85, index


def test_a_frame_without_anybody_is_empty_and_said(segmenter: Segmenter):
    somebody = [Figure(100, 15, 0.7, RED)]
    frames, _ = clip([[], somebody, somebody, [], []])
    found = follow_people(segmenter, frames, name="all")
    assert [bool(mask.any()) for mask in masks_of(found)] == [False, True, True, False, False]
    assert found.note() == "Region 'all' is empty on frames 0, 3 to 4: nobody is found there."


def test_where_the_one_is_not_found_is_said(segmenter: Segmenter):
    frames, _ = clip([[Figure(60, 15, 0.7, RED)], [Figure(60, 15, 0.7, RED)], []])
    prompt = Drawing(0, box=(25, 5, 100, 118))
    found = follow_people(segmenter, frames, [prompt], name="one")
    told = "Region 'one' is empty on frame 2. If the person is seen there, say there who is meant."
    assert found.note().startswith(told)


def test_a_small_person_in_a_drawn_box_is_followed(segmenter: Segmenter):
    pairs = [drawn([Figure(400 + 3 * i, 250, 0.13, RED)], (480, 854)) for i in range(3)]
    frames = torch.stack([frame for frame, _ in pairs])
    with pytest.raises(EvenframeError, match="^Nobody is found on any of the 3 frames: draw a box"):
        follow_people(segmenter, frames, name="one")
    found = follow_people(segmenter, frames, [Drawing(0, box=(390, 246, 410, 273))], name="one")
    for mask, (_, labels) in zip(masks_of(found), pairs, strict=True):
        assert overlap(mask, labels > 0) > 0.6


@pytest.mark.parametrize(
    "prompt, mask, told",
    [
        (None, None, "Nobody is found on any of the 2 frames: draw a box around"),
        (Drawing(1, box=(0, 0, 90, 90)), None, "Nobody is found in the box on frame 1: draw a box"),
        (
            Drawing(0, points=((9, 9),)),
            None,
            "Nobody is found at the points on frame 0: draw a box",
        ),
        (Drawing(0), torch.ones(SIZE), "Nobody is found under the mask on frame 0: draw a box"),
    ],
)
def test_that_nobody_is_there_is_told(
    segmenter: Segmenter, prompt: Drawing | None, mask: Tensor | None, told: str
):
    frames, _ = clip([[], []])
    with pytest.raises(EvenframeError, match=f"^{told}"):
        prompts, masks = [prompt] if prompt else [], None if mask is None else [mask]
        follow_people(segmenter, frames, prompts, masks, name="o")


@pytest.mark.parametrize(
    ("prompt", "edges", "starts"),
    [
        (None, {"grow": -1}, "grow of region 'o' is -1: choose 0 to 1024 pixels"),
        (None, {"soften": 2000}, "soften of region 'o' is 2000: choose 0 to 1024"),
        (None, {"words": "x" * 2000}, "The words of a region"),
        (Drawing(1), {}, "Nothing says who is meant on frame 1: give a box or points, or no"),
        (Drawing(9, box=(1, 1, 9, 9)), {}, "frame is 9: choose a whole number from 0 to 1"),
        (
            Drawing(0, box=(40, 10, 20, 30)),
            {},
            "The box [40, 10, 20, 30] of region 'o' is reversed",
        ),
    ],
)
def test_what_is_wrong_is_told_before_anybody_is_looked_for(
    monkeypatch: pytest.MonkeyPatch, prompt: Drawing | None, edges: Any, starts: str
):
    monkeypatch.setattr(person, "find_people", lambda *_, **__: pytest.fail("it was looked"))
    with pytest.raises(EvenframeError) as caught:
        follow_people(Segmenter(None), standing()[0], [prompt] if prompt else [], name="o", **edges)
    assert str(caught.value).startswith(starts)


def node(frames: Tensor, text: str, **changes: Any) -> Any:
    inputs = {"segmenter": NO_SEGMENTER, "tracker": PERSON, "grow": 0, "soften": 0} | changes
    return EvenframeTrackRegion.execute(frames=frames, text=text, name="o", words="", **inputs)


@pytest.mark.parametrize("text", [" \n", EXAMPLE, '{"version": 1, "frame": 1}'])
def test_the_node_takes_everybody_where_nobody_is_drawn(text: str):
    frames, truths = standing()
    found = node(frames, text)
    assert [region.name for region in found[0].items] == ["o"]
    assert overlap(found[1][1].numpy() > 0, truths[1] > 0) > 0.9
    assert found[2].shape == frames.shape


def test_the_node_takes_whom_the_text_or_the_mask_means():
    frames, truths = standing()
    text = json.dumps({"version": 1, "frame": 1, "box": [0.6, 0.1, 0.95, 1]})
    assert overlap(node(frames, text)[1][0].numpy() > 0, truths[0] == 2) > 0.9
    painted = torch.from_numpy(np.stack([labels == 1 for labels in truths])).float()
    for text in ('{"version": 1, "frame": 1}', EXAMPLE):
        found = node(frames, text, mask=painted)[1]
        assert overlap(found[0].numpy() > 0, truths[0] == 1) > 0.9


def test_the_nodes_region_grows_and_lies_on_others():
    frames, _ = standing()
    below = EvenframeDrawRegions.execute(
        frames, '{"version": 1, "regions": [{"name": "a", "box": [0, 0, 0.1, 0.1]}]}'
    )[0]
    plain, wide = node(frames, ""), node(frames, "", grow=6, regions=below)
    assert [region.name for region in wide[0].items] == ["a", "o"]
    assert wide[0].items[1].masks.sum() > plain[0].items[0].masks.sum()


def test_the_node_says_where_nobody_is():
    frames, _ = clip([[Figure(100, 15, 0.7, RED)], []])
    assert "Region 'o' is empty on frame 1: nobody" in node(frames, "").ui["text"][0]


def test_a_text_that_is_wrong_is_refused_here_too():
    with pytest.raises(EvenframeError, match="frame is 7, beyond the clip: its frames are 0 to 1"):
        node(standing()[0], '{"version": 1, "frame": 7}')


def graph() -> Any:
    inputs = {"frames": ["clip", 0], "text": "", "name": "o", "words": ""}
    chosen = {"segmenter": NO_SEGMENTER, "tracker": PERSON, "grow": 0, "soften": 0}
    saved = {"filename_prefix": "a", "format": "gif", "frame_rate": 8, "undo_fit": True, "crf": -1}
    return workflow.parse(
        {
            "clip": {"class_type": "EvenframeDemoClip", "inputs": {"max_frames": 5}},
            "track": {"class_type": "EvenframeTrackRegion", "inputs": inputs | chosen},
            "save": {
                "class_type": "EvenframeSaveVideo",
                "inputs": saved | {"frames": ["track", 2]},
            },
        }
    )


def test_the_search_stops_at_the_next_frame(tmp_path: Path):
    reported: list[int] = []
    session = Session(output=tmp_path)

    def report(label: str, done: int, total: int) -> None:
        if label == "Tracking":
            reported.append(done)
        if len(reported) == 2:
            session.cancel.set()

    assert isinstance(host, StandaloneHost)
    with host.using(replace(session, report=report)), pytest.raises(Interrupted):
        Executor(host, node_classes()).run(graph())
    assert reported == [1, 2], "of 5"


def test_the_node_tells_of_a_missing_opencv_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    assert EvenframeTrackRegion.validate_inputs(NO_SEGMENTER, PERSON) is True
    assert EvenframeTrackRegion.fingerprint_inputs(NO_SEGMENTER, PERSON) == []
    monkeypatch.setitem(person.packages.sys.modules, "cv2", None)
    assert isinstance(host, StandaloneHost)
    with host.using(Session(output=tmp_path)):
        executor = Executor(host, node_classes())
        with pytest.raises(EvenframeError, match="Finding people needs OpenCV, which is not inst"):
            executor.check(graph())
