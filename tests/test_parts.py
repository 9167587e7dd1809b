"""People told apart on given masks: those who cross, hide, leave, return and come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from drawn_people import overlap
from numpy.typing import NDArray

from evenframe.pipelines.regions.tracking import parts, sharing

cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")

SIZE = (120, 160)
RED, GREEN, BLUE = (200, 60, 50), (60, 170, 80), (50, 80, 200)
Frames = list[NDArray[np.uint8]]


@dataclass(frozen=True)
class Body:
    """x, y: of its middle on frame t. height: half of it."""

    colour: tuple[int, int, int]
    height: float
    x: Callable[[int], float]
    y: float = 60

    def drawn(self, frame: int) -> NDArray[np.bool_]:
        mask = np.zeros(SIZE, np.uint8)
        centre = round(self.x(frame)), round(self.y)
        cv2.ellipse(mask, centre, (round(self.height / 2), round(self.height)), 0, 0, 360, 1, -1)
        head = centre[0], round(self.y - 1.1 * self.height)
        cv2.circle(mask, head, round(0.4 * self.height), 1, -1)
        return mask > 0


def line(start: float, step: float) -> Callable[[int], float]:
    return lambda frame: start + step * frame


def scene(bodies: list[Body], count: int) -> tuple[Frames, Frames]:
    """Frames (h, w, 3) over a coloured ground, and true labels (h, w); later bodies in front."""
    rng = np.random.default_rng(0)
    rough = rng.integers(60, 200, (SIZE[0] // 8, SIZE[1] // 8, 3)).astype(np.uint8)
    ground = cv2.resize(rough, SIZE[::-1], interpolation=cv2.INTER_CUBIC)
    frames, truths = [], []
    for index in range(count):
        frame, labels = ground.copy(), np.zeros(SIZE, np.uint8)
        for label, body in enumerate(bodies, start=1):
            frame[body.drawn(index)] = body.colour
            labels[body.drawn(index)] = label
        frames.append(frame)
        truths.append(labels)
    return frames, truths


def followed(frames: Frames, masks: Frames, first: NDArray[np.uint8]) -> Frames:
    """Labels on every frame, from those of the first one and masks of everybody."""
    state, found = parts.begin(frames[0], first), [first]
    for frame, mask in zip(frames[1:], masks[1:], strict=True):
        state, labels = parts.follow(state, frame, mask > 0)
        assert ((labels > 0) <= (mask > 0)).all()
        found.append(labels)
    return found


CROSSINGS = {
    "two": [Body(RED, 16, line(30, 2)), Body(BLUE, 16, line(130, -2), 62)],
    "two alike": [Body(RED, 16, line(30, 2)), Body(RED, 16, line(130, -2), 62)],
    "one wholly hidden": [Body(RED, 12, line(30, 2), 64), Body(BLUE, 18, line(130, -2), 62)],
    "one wholly hidden, alike": [Body(RED, 12, line(30, 2), 64), Body(RED, 18, line(130, -2), 62)],
    "three": [
        Body(RED, 14, line(25, 2)),
        Body(GREEN, 16, line(80, 0.15), 62),
        Body(BLUE, 16, line(135, -2)),
    ],
    "three alike": [
        Body(RED, 14, line(25, 2)),
        Body(RED, 16, line(80, 0.15), 62),
        Body(RED, 16, line(135, -2)),
    ],
}


@pytest.mark.parametrize("name", CROSSINGS)
def test_nobody_is_lost_where_they_cross(name: str):
    bodies = CROSSINGS[name]
    frames, truths = scene(bodies, 50)
    found = followed(frames, truths, truths[0])
    assert {int(labels.max()) for labels in found} == {len(bodies)}, "nobody else has come"
    for label, body in enumerate(bodies, start=1):
        whole = body.drawn(0).sum()
        apart = [t for t, truth in enumerate(truths) if (truth == label).sum() > 0.95 * whole]
        for frame in [*apart[:10], *apart[-10:]]:
            assert overlap(found[frame] == label, truths[frame] == label) > 0.9, frame


def test_where_two_are_one_part_their_colours_tell_them_apart():
    frames, truths = scene(CROSSINGS["two"], 50)
    found = followed(frames, truths, truths[0])
    joined = [t for t, truth in enumerate(truths) if cv2.connectedComponents(truth)[0] == 2]
    assert len(joined) > 5
    for label, least in ((1, 0.8), (2, 0.9)):
        overlaps = [
            overlap(found[frame] == label, truths[frame] == label)
            for frame in joined
            if (truths[frame] == label).sum() > 200
        ]
        assert np.mean(overlaps) > least


@pytest.mark.parametrize("colour", [RED, BLUE])
def test_who_meets_somebody_and_turns_back_stays_the_same(colour: tuple[int, int, int]):
    bodies = [Body(RED, 16, lambda t: 30 + 2 * min(t, 50 - t)), Body(colour, 16, line(95, 0), 62)]
    frames, truths = scene(bodies, 50)
    found = followed(frames, truths, truths[0])
    for label in (1, 2):
        assert overlap(found[-1] == label, truths[-1] == label) > 0.99


def test_who_walks_behind_a_pillar_comes_out_as_the_same():
    frames, truths = scene([Body(RED, 16, line(20, 3))], 40)
    masks = [truth.copy() for truth in truths]
    for frame, mask in zip(frames, masks, strict=True):
        frame[:, 65:95], mask[:, 65:95] = 128, 0
    assert min(mask.sum() for mask in masks) == 0, "nothing of it is seen for a while"
    found = followed(frames, masks, masks[0])
    assert (
        min(overlap(labels == 1, mask == 1) for labels, mask in zip(found, masks, strict=True))
        > 0.95
    )


def test_who_left_and_returns_is_the_same_and_who_comes_meanwhile_is_not():
    leaves = Body(RED, 16, lambda t: 30 - 4 * min(t, 40 - t))
    comes = Body(BLUE, 16, line(210, -2.5), 62)
    frames, truths = scene([leaves, comes], 40)
    assert not (truths[20] == 1).any() and not (truths[0] == 2).any()
    found = followed(frames, truths, truths[0])
    assert overlap(found[-1] == 1, truths[-1] == 1) > 0.99
    assert overlap(found[-1] == 2, truths[-1] == 2) > 0.99


def test_a_person_in_pieces_is_one():
    frames, truths = scene([Body(RED, 16, line(40, 1)), Body(BLUE, 16, line(120, 0))], 30)
    masks = [truth.copy() for truth in truths]
    for mask in masks[5:]:
        mask[66:70] = 0  # a railing
    found = followed(frames, masks, truths[0])
    assert all(np.array_equal(labels, mask) for labels, mask in zip(found, masks, strict=True))


def test_more_people_than_are_followed_are_nobody():
    many = [Body(RED, 6, line(x, 0.2), y) for y in (20, 60, 100) for x in (15, 45, 75, 105)]
    frames, truths = scene(many, 6)
    first = truths[0] * (truths[0] <= 2)
    found = followed(frames, truths, first)
    assert found[-1].max() == parts.MOST
    assert overlap(found[-1] == 1, truths[-1] == 1) > 0.99
    unknown = {int(truth) for truth in np.unique(truths[-1][found[-1] == 0])} - {0}
    assert len(unknown) == len(many) - parts.MOST


def test_a_large_frame_is_followed_on_a_small_grid():
    frames, truths = scene(CROSSINGS["two"], 3)
    large = [cv2.resize(frame, None, fx=5, fy=5) for frame in frames]
    masks = [cv2.resize(t, None, fx=5, fy=5, interpolation=cv2.INTER_NEAREST) for t in truths]
    state = parts.begin(large[0], masks[0])
    assert max(state.grey.shape) == parts.SIDE
    state, labels = parts.follow(state, large[1], masks[1] > 0)
    assert labels.shape == masks[1].shape and np.array_equal(labels, masks[1])


def test_nobody_to_follow_is_no_error():
    frame = np.zeros((*SIZE, 3), np.uint8)
    state = parts.begin(frame, np.zeros(SIZE, np.uint8))
    state, labels = parts.follow(state, frame, np.zeros(SIZE, bool))
    assert not labels.any() and state.tracks == ()


def test_as_many_parts_as_can_be_have_somebody():
    bins = np.zeros((4, 8), np.intp)
    left, right = np.zeros((4, 8), bool), np.zeros((4, 8), bool)
    left[:, :3], right[:, 5:] = True, True
    same = sharing.histogram(bins)
    both = sharing.Evidence(
        shapes=[left, left],
        colours=[same, same],
        before=[left, left],
        motions=[np.zeros(2), np.zeros(2)],
        bins=bins,
        was=np.zeros((4, 8), np.uint8),
        now=np.zeros((4, 8), np.uint8),
    )
    assert sorted(sharing._matched([0, 1], [left, right], [0, 1], both)) == [0, 1]


def test_of_many_ways_the_best_pairs_are_taken_first():
    values = np.array([[3.0, 1.0, 0.0], [2.9, 0.5, 0.0], [2.0, 1.5, 0.1], [0.0, 0.0, 0.2]])
    assert sharing._one_by_one(values, 3) == [0, 0, 1, 2]


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (15, 15), (300, 4)])
def test_frames_of_any_size_are_followed(size: tuple[int, int]):
    frame = np.full((*size, 3), 90, np.uint8)
    state = parts.begin(frame, np.ones(size, np.uint8))
    state, labels = parts.follow(state, frame, np.ones(size, bool))
    assert (labels == 1).all()
