"""Tracks that are corrected: prompts on several frames, blended tracks, confidence."""

from __future__ import annotations

import json
import math
from statistics import fmean
from typing import Any

import pytest
import torch
from torch import Tensor

from evenframe.benchmarks import tracking as bench
from evenframe.nodes.tracking import FLOW, NO_SEGMENTER, EvenframeTrackRegion
from evenframe.pipelines.common.errors import EvenframeError
from evenframe.pipelines.regions.tracking import confidence, fields, flow
from evenframe.pipelines.regions.tracking.blend import HIDDEN, SEEN, mixed_box, mixed_mask
from evenframe.pipelines.regions.tracking.cutout import foreground
from evenframe.pipelines.regions.tracking.drawn import (
    MAX_CORRECTIONS,
    Drawing,
    painted_masks,
    parse_drawing,
)
from evenframe.pipelines.regions.tracking.track import Tracked, track

SIZE = (64, 96)
BOX = (10.0, 10.0, 40.0, 40.0)


def noise(rows: int, columns: int, cell: int = 4, seed: int = 0) -> Tensor:
    """(rows, columns, 3): a smooth texture."""
    random = torch.rand(1, 3, rows // cell, columns // cell, generator=_seeded(seed))
    sized = torch.nn.functional.interpolate(random, (rows, columns), mode="bicubic")
    return sized[0].permute(1, 2, 0).clamp(0, 1)


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def passing(frames: int = 9, post: float = 24) -> tuple[Tensor, Tensor]:
    """Frames (f, 96, 160, 3) and what is seen (f, 96, 160) of a disc of radius 16 that passes
    behind a post."""
    ground, texture = 0.5 * noise(96, 160, 16), 0.5 + 0.5 * noise(96, 160, 8, seed=1)
    rows, columns = torch.meshgrid(torch.arange(96.0), torch.arange(160.0), indexing="ij")
    made, seen = [], []
    for frame in range(frames):
        left = 24 + 112 * frame / (frames - 1)
        disc = (rows - 48) ** 2 + (columns - left) ** 2 <= 16**2
        hidden = (columns - 80).abs() < post / 2
        picture = torch.where(disc[..., None], texture.roll(round(left), 1), ground)
        made.append(torch.where(hidden[..., None], torch.tensor([0.1, 0.6, 0.1]), picture))
        seen.append((disc & ~hidden).float())
    return torch.stack(made), torch.stack(seen)


def test_corrections_are_read():
    text = {
        "version": 1,
        "unit": "pixel",
        "box": [10, 10, 40, 40],
        "corrections": [
            {"frame": 8, "box": [20, 10, 50, 40]},
            {"frame": 3, "points": [[30, 20]], "outside": [[60, 20]]},
        ],
    }
    prompt = parse_drawing(json.dumps(text), 9, SIZE)
    assert [each.frame for each in prompt.every()] == [0, 8, 3]
    assert prompt.corrections == (
        Drawing(8, (20, 10, 50, 40)),
        Drawing(3, None, ((30, 20),), ((60, 20),)),
    )
    masked = '{"version": 1, "frame": 2, "corrections": [{"frame": 0}]}'
    assert parse_drawing(masked, 9, SIZE, masked=True) == Drawing(2, corrections=(Drawing(0),))


@pytest.mark.parametrize(
    "corrections, message",
    [
        ([], "^corrections is empty: give 1 to 1000 corrections"),
        ({}, "^corrections is {}: give 1 to 1000 corrections"),
        ([{"frame": 1}] * (MAX_CORRECTIONS + 1), "^corrections has 1001 corrections: give 1 to"),
        ([5], r"^corrections\[0\] is 5: write it in braces"),
        ([{"box": [0, 0, 1, 1]}], r"^corrections\[0\] has no frame: add it"),
        ([{"frame": 1, "unit": "pixel"}], r"^corrections\[0\] has 'unit', which is unknown"),
        ([{"frame": 1}], r"^corrections\[0\] has neither a box nor points: write {.*}, or give a"),
        (
            [{"frame": 1, "box": [0, 0, 1, 1]}, {"frame": 9, "box": [0, 0, 1, 1]}],
            r"^corrections\[1\].frame is 9, beyond the clip: its frames are 0 to 8",
        ),
        ([{"frame": -1, "box": [0, 0, 1, 1]}], r"^corrections\[0\].frame is -1: give a whole"),
        ([{"frame": 1.5, "box": [0, 0, 1, 1]}], r"^corrections\[0\].frame is 1.5: give a whole"),
        ([{"frame": 1e99, "box": [0, 0, 1, 1]}], r"^corrections\[0\].frame has 1e\+99: give a n"),
        (
            [{"frame": 0, "box": [0, 0, 1, 1]}],
            r"^corrections\[0\].frame is 0, as of the prompt itself: give each frame once",
        ),
        (
            [{"frame": 4, "box": [0, 0, 1, 1]}, {"frame": 4, "box": [0, 0, 1, 1]}],
            r"^corrections\[1\].frame is 4, as of corrections\[0\]: give each frame once",
        ),
        ([{"frame": 1, "box": [0.5, 0, 0.2, 1]}], r"of corrections\[0\] is reversed or empty"),
        ([{"frame": 1, "box": [1.5, 0, 2, 1]}], r"of corrections\[0\] lies outside the frame"),
        ([{"frame": 1, "box": [0, 0, 60, 40]}], r"^corrections\[0\].box has 60, but the unit is"),
        ([{"frame": 1, "points": [[2, 2, 2]]}], r"^corrections\[0\].points\[0\] is \[2, 2, 2\]"),
        ([{"frame": 1, "points": [[1.2, 0]]}], r"^corrections\[0\].points\[0\] is \[1.2, 0\], out"),
    ],
)
def test_a_bad_correction_is_refused_by_its_place(corrections: Any, message: str):
    text = json.dumps({"version": 1, "box": [0, 0, 1, 1], "corrections": corrections})
    with pytest.raises(EvenframeError, match=message):
        parse_drawing(text, 9, SIZE)


def test_masks_are_painted_in_the_order_of_the_text():
    prompt = Drawing(3, corrections=(Drawing(0),))
    masks = torch.zeros(4, *SIZE)
    masks[3, 10], masks[0, 20] = 1, 1
    wanted = masks[[3, 0]]
    assert torch.equal(painted_masks(masks, prompt, 4, SIZE), wanted), "of all frames"
    assert torch.equal(painted_masks(wanted, prompt, 4, SIZE), wanted), "of these alone"
    with pytest.raises(EvenframeError, match=r"give a mask of the 2 frames of the text, \(2, 64,"):
        painted_masks(masks[:1], prompt, 4, SIZE)
    masks[0] = 0
    with pytest.raises(EvenframeError, match="The mask of frame 0 is empty"):
        painted_masks(masks, prompt, 4, SIZE)


@pytest.mark.parametrize(
    "prompt, mask, message",
    [
        (
            Drawing(0, BOX, corrections=(Drawing(5, BOX),)),
            None,
            r"corrections\[0\].frame is 5: cho",
        ),
        (
            Drawing(0, BOX, corrections=(Drawing(0, BOX),)),
            None,
            r"corrections\[0\].frame is 0, as ",
        ),
        (
            Drawing(0, BOX, corrections=(Drawing(1, BOX), Drawing(2, (9.0, 9.0, 5.0, 9.0)))),
            None,
            r"The box \[9, 9, 5, 9\] of corrections\[1\] is reversed",
        ),
        (
            Drawing(0, BOX, corrections=(Drawing(2, None, ((1.0, 1.0),)),)),
            None,
            "Points need a model that segments",
        ),
        (
            Drawing(0, corrections=(Drawing(2),)),
            torch.ones(SIZE),
            "There are 1 masks for 2 prompted",
        ),
    ],
)
def test_what_is_wrong_with_a_correction_is_told_first(
    monkeypatch: pytest.MonkeyPatch, prompt: Drawing, mask: Tensor | None, message: str
):
    for name in ("follow_boxes", "follow_masks"):
        monkeypatch.setattr(flow, name, lambda *_: pytest.fail("it was followed"))
    with pytest.raises(EvenframeError, match=message):
        track(torch.rand(5, *SIZE, 3), prompt, mask, name="o")


def test_what_was_hidden_is_seen_again():
    frames, truth = passing(24)
    masks, trust = flow.follow_masks(frames, {0: truth[0]})
    overlaps = bench.mask_overlaps(masks, truth)
    assert overlaps[-1] > 0.85, "it came out behind the post"
    assert trust[0] == 1 and trust[11:13].max() < trust[-1] < trust[3]


def test_prompts_are_kept_and_the_way_between_them_is_better_than_from_one():
    frames, truth = passing(24, post=40)
    alone, _ = flow.follow_masks(frames, {0: truth[0]})
    both, trust = flow.follow_masks(frames, {23: truth[23], 0: truth[0]})
    assert torch.equal(both[0], truth[0]) and torch.equal(both[23], truth[23])
    assert trust[0] == trust[23] == 1
    gained = [fmean(bench.mask_overlaps(masks, truth)[1:23]) for masks in (alone, both)]
    assert gained[1] > max(gained[0] + 0.05, 0.78)


def test_a_box_between_two_prompts_follows_both():
    frames, _ = passing(24)
    middle = [24 + 112 * frame / 23 for frame in range(24)]
    boxes: list[Any] = [(x - 17, 31.0, x + 18, 66.0) for x in middle]
    found, trust = flow.follow_boxes(frames, {0: boxes[0], 23: boxes[23]})
    assert found[0] == boxes[0] and found[23] == boxes[23]
    assert min(bench.box_overlaps(found, boxes)) > 0.8, "also while it is half hidden"
    assert trust.min() >= 0 and trust.max() == 1


@pytest.mark.parametrize("room", [fields.KEPT_BYTES, 0])
def test_each_flow_is_computed_once_where_there_is_room(monkeypatch: pytest.MonkeyPatch, room: int):
    frames, truth = passing(9)
    made, real = [], fields._dense_flow

    class Counted:
        def calc(self, *values: Any) -> Any:
            made.append(1)
            return real().calc(*values)

    monkeypatch.setattr(fields, "_dense_flow", Counted)
    monkeypatch.setattr(fields, "KEPT_BYTES", room)
    reported: list[int] = []
    masks, _ = flow.follow_masks(frames, {2: truth[2], 4: truth[4], 6: truth[6]}, reported.append)
    between = 4  # steps between the first prompt and the last, followed both ways
    assert len(made) == 2 * (8 + (0 if room else between))
    assert reported == sorted(reported) and reported[-1] == 9 and len(reported) == 8 + between
    assert masks.shape == truth.shape


def test_a_blend_lies_between_and_asks_who_saw_it():
    def disc(x: int, radius: int = 12) -> Tensor:
        rows, columns = torch.meshgrid(torch.arange(64), torch.arange(96), indexing="ij")
        return ((rows - 32) ** 2 + (columns - x) ** 2 <= radius**2).to(torch.uint8)

    one, other = disc(40), disc(52)
    half = mixed_mask(one, other, 0.5) == SEEN
    assert half.nonzero().float().mean(0).tolist() == pytest.approx([32, 46], abs=0.5)
    assert int(half.sum()) == pytest.approx(int(one.sum()), rel=0.2), "of about their size"
    nearer = (mixed_mask(one, other, 0.9) == SEEN).nonzero().float().mean(0)
    assert nearer[1] == pytest.approx(41.2, abs=1)
    behind = one.clone()
    behind[:, 40:] = torch.where(behind[:, 40:] == SEEN, HIDDEN, 0)
    assert torch.equal(mixed_mask(behind, one, 0.9), one), "what one lost the other has seen"
    empty = torch.zeros_like(one)
    assert not mixed_mask(empty, empty, 0.5).any() and not mixed_mask(empty, one, 0.8).any()
    assert torch.equal(mixed_mask(empty, one, 0.2), one) or mixed_mask(empty, one, 0.2).any()
    boxes = torch.tensor([0.0, 0, 10, 10]), torch.tensor([10.0, 0, 30, 10])
    assert mixed_box(*boxes, 0.75).tolist() == [2.5, 0, 15, 10]


def test_a_track_that_misses_the_other_prompt_counts_less():
    assert confidence.weight(0.9, 0.9) == pytest.approx(0.5)
    assert confidence.weight(0.95, 0.6) > 0.9 > 0.1 > confidence.weight(0.6, 0.95)
    ratio = confidence.error_ratio(0.9, 0.2)
    assert ratio > 5 and confidence.corrected(0.95, ratio) < 0.75
    assert confidence.error_ratio(0.5, 1.0) < 0.1 + 1e-6
    assert 0 <= confidence.corrected(0.1, 10) <= confidence.corrected(0.9, 0.1) <= 1


def wide(growth: tuple[float, float], lean: float, frames: int = 8) -> tuple[Tensor, list[Any]]:
    """A textured square over another texture that grows along each axis, and leans."""
    ground, texture = 0.5 * noise(160, 160, 16), 0.5 + 0.5 * noise(160, 160, 8, seed=3)
    rows, columns = torch.meshgrid(torch.arange(160.0), torch.arange(160.0), indexing="ij")
    made, boxes = [], []
    for frame in range(frames):
        share = frame / (frames - 1)
        across, down = (24 * factor**share for factor in growth)
        slope = lean * share
        v = (rows + 0.5 - 80) / down
        u = (columns + 0.5 - 80 - slope * (rows + 0.5 - 80)) / across
        inside = (u.abs() <= 1) & (v.abs() <= 1)
        where = torch.stack([u, v], -1)[None] * 0.5
        drawn = torch.nn.functional.grid_sample(
            texture.permute(2, 0, 1)[None], where, align_corners=False
        )[0].permute(1, 2, 0)
        made.append(torch.where(inside[..., None], drawn, ground))
        half = across + abs(slope) * down
        boxes.append((80 - half, 80 - down, 80 + half, 80 + down))
    return torch.stack(made), boxes


@pytest.mark.parametrize(
    "growth, lean, least",
    [((1.6, 1.0), 0.0, 0.88), ((1.0, 0.7), 0.0, 0.88), ((1.0, 1.0), 0.8, 0.78)],
)
def test_a_box_follows_each_axis_and_a_lean(growth: tuple[float, float], lean: float, least: float):
    frames, boxes = wide(growth, lean)
    found, _ = flow.follow_boxes(frames, {0: boxes[0]})
    assert min(bench.box_overlaps(found, boxes)) > least
    assert bench.box_overlaps(boxes[:1], boxes[-1:])[0] < least - 0.15, "one that only moves"


def test_what_is_meant_in_a_loose_box_is_what_differs_from_its_surroundings():
    frames, truth = passing(6, post=0)
    loose = (0.0, 12.0, 60.0, 84.0)  # most of it is background
    cut = foreground(frames[0], loose)
    assert bench.mask_overlaps(cut[None], truth[:1])[0] > 0.8
    assert foreground(torch.zeros(20, 20, 3), (2, 2, 9, 9)).sum() == 49, "nothing differs"
    assert foreground(frames[0], (0, 0, 160, 96)).all(), "there is nothing around it"


def test_small_shapes_are_followed_and_the_confidence_tells_how_well():
    found: dict[str, list[bench.Result]] = {}
    for case in bench.cases(3, frames=16, side=160, real=False):
        for kind in ("mask",) if "box corrected" in found else ("mask", "box"):
            alone = bench.followed(case, kind)
            found.setdefault(kind, []).append(alone)
            corrected = bench.followed(case, kind, alone.weakest)
            found.setdefault(f"{kind} corrected", []).append(corrected)
    least = {"mask": 0.78, "box": 0.85, "mask corrected": 0.85, "box corrected": 0.92}
    for key, results in found.items():
        assert fmean(fmean(result.overlaps) for result in results) > least[key], key
        assert fmean(fmean(result.errors) for result in results) < 0.1, key


def told(confidences: list[float], areas: list[float] | None = None) -> str:
    from evenframe.pipelines.regions.region import mask_region

    masks = torch.ones(len(confidences), *SIZE)
    region = mask_region(masks, len(masks), SIZE, name="o")
    sizes = torch.tensor(areas or [100.0] * len(masks))
    return Tracked(region, sizes, 0, torch.tensor(confidences)).note()


def test_the_note_names_uncertain_frames():
    assert told([1, 0.9, 0.7]) == ""
    assert told([1, 0.9, 0.5, 0.3, 0.4, 0.9]) == (
        "Region 'o' is uncertain on frames 2 to 4: look there, and add a correction on one of them "
        "if it is wrong, best on frame 3."
    )
    assert "uncertain on frame 1: look there, and add a correction on it" in told([1, 0.2])
    hidden = told([1, 0.5, 0.1, 0.55], [100, 90, 40, 100])
    assert hidden.endswith("best on frame 1."), "where it is hardly hidden"
    lost = told([1, 0.2, 0.2], [100, 0, 100])
    assert "is empty on frame 1." in lost and "uncertain on frame 2:" in lost


def test_the_node_takes_corrections_and_draws_how_sure_it_is():
    frames, truth = passing(12)
    text: dict[str, Any] = {"version": 1, "corrections": [{"frame": 11}]}

    def run(mask: Tensor, **changes: Any) -> tuple[Tensor, Tensor]:
        result = EvenframeTrackRegion.execute(
            frames,
            json.dumps(text | changes),
            NO_SEGMENTER,
            FLOW,
            mask=mask,
            name="disc",
            words="",
            grow=0,
            soften=0,
        )
        return result.args[1], result.args[2]

    found, picture = run(truth[[0, 11]])
    bar = picture[:, -1, :, 1].bool().sum(1)  # green, as far as a frame is trusted
    assert bar[0] == bar[11] == 160 > bar[5] > 30
    assert torch.equal(found[0], truth[0]) and torch.equal(found[11], truth[11])
    assert torch.equal(found, run(truth)[0]), "one for each frame"
    flipped, _ = run(truth[[11, 0]], frame=11, corrections=[{"frame": 0}])
    assert torch.equal(found, flipped), "in whatever order"
    with pytest.raises(EvenframeError, match="give a mask of the 2 frames of the text"):
        run(truth[:1])
    with pytest.raises(EvenframeError, match=r"corrections\[0\].frame is 12, beyond the clip"):
        run(truth, corrections=[{"frame": 12}])


def test_a_confidence_is_a_number_whatever_is_followed():
    for frames in (torch.zeros(3, *SIZE, 3), torch.rand(3, *SIZE, 3, generator=_seeded(2))):
        for given in (torch.ones(SIZE), torch.zeros(SIZE).index_fill(0, torch.tensor([5]), 1)):
            masks, trust = flow.follow_masks(frames, {1: given, 2: given})
            assert masks.isfinite().all() and all(0 <= each <= 1 for each in trust.tolist())
        boxes, trust = flow.follow_boxes(frames, {0: (-5.0, -5.0, 3.0, 3.0), 2: (1, 1, 96, 64)})
        assert all(math.isfinite(edge) for box in boxes for edge in box)
